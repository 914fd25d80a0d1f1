// dx = dy·W for packed and dense weights.
#pragma once

#include "matmul.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

/** Panels whose products are summed before they are added to dx: two levels keep the rounding error small. */
constexpr size_t kGradientPanels = 2;
constexpr size_t kGradientOutputs = kGradientPanels * kPanel;
/** Rows of dy that share a tile before it is decoded again. */
constexpr size_t kGradientRows = 64;
/** Rows of the inner loop. */
constexpr size_t kGradientRowsAtOnce = 4;

/** dx[r, k] += Σ_j dy[r, j]·tile[j, k] for `rows` rows and kLanes·`lanes` inputs, of which `count` exist. */
template <size_t rows, size_t lanes>
static inline void addOutputs(const float* dy, size_t dyStride, const float* tile, size_t outputs, float* dx,
                              size_t dxStride, size_t count) {
  Lanes sums[rows][lanes];
  for (size_t r = 0; r < rows; r++) {
    for (size_t i = 0; i < lanes; i++) sums[r][i] = zeroLanes();
  }
  for (size_t j = 0; j < outputs; j++) {
    Lanes weights[lanes];
    for (size_t i = 0; i < lanes; i++) weights[i] = load(tile + j * kStretch + i * kLanes);
    for (size_t r = 0; r < rows; r++) {
      const Lanes slope = splat(dy[r * dyStride + j]);
      for (size_t i = 0; i < lanes; i++) sums[r][i] = mulAdd(slope, weights[i], sums[r][i]);
    }
  }
  for (size_t r = 0; r < rows; r++) {
    for (size_t i = 0; i * kLanes < count; i++) {
      float* to = dx + r * dxStride + i * kLanes;
      const size_t some = smaller(count - i * kLanes, kLanes);
      storeSome(to, add(loadSome(to, some), sums[r][i]), some);
    }
  }
}

template <size_t rows>
static inline void addOutputsAlong(const float* dy, size_t dyStride, const float* tile, size_t outputs, float* dx,
                                   size_t dxStride, size_t length) {
  size_t k = 0;
  for (; k + 2 * kLanes <= length; k += 2 * kLanes) {
    addOutputs<rows, 2>(dy, dyStride, tile + k, outputs, dx + k, dxStride, 2 * kLanes);
  }
  for (; k < length; k += kLanes) {
    addOutputs<rows, 1>(dy, dyStride, tile + k, outputs, dx + k, dxStride, smaller(length - k, kLanes));
  }
}

/** dx of `rows` rows over one stretch of inputs. */
template <typename Matrix>
static inline void gradientStretch(const float* dy, size_t rows, const Matrix& w, size_t first, float* dx, float* tile) {
  const size_t length = smaller(w.inFeatures - first, kStretch);
  float* const to = dx + first;
  float* const decoded = tile + kGradientOutputs * kStretch;
  for (size_t r = 0; r < rows; r++) std::memset(to + r * w.inFeatures, 0, length * sizeof(float));
  for (size_t n = 0; n < w.outFeatures; n += kGradientOutputs) {
    const size_t outputs = smaller(kGradientOutputs, w.outFeatures - n);
    for (size_t j = 0; j < outputs; j += kPanel) decodeRows(w, (n + j) / kPanel, first, length, decoded, tile + j * kStretch);
    size_t r = 0;
    for (; r + kGradientRowsAtOnce <= rows; r += kGradientRowsAtOnce) {
      addOutputsAlong<kGradientRowsAtOnce>(dy + r * w.outFeatures + n, w.outFeatures, tile, outputs,
                                           to + r * w.inFeatures, w.inFeatures, length);
    }
    for (; r < rows; r++) {
      addOutputsAlong<1>(dy + r * w.outFeatures + n, w.outFeatures, tile, outputs, to + r * w.inFeatures, w.inFeatures,
                         length);
    }
  }
}

template <typename Matrix>
static inline void gradient(const float* dy, size_t rows, const Matrix& w, float* dx) {
  const size_t stretches = (w.inFeatures + kStretch - 1) / kStretch;
  const size_t rowPieces = (rows + kGradientRows - 1) / kGradientRows;
  const size_t work = rows * w.inFeatures * w.outFeatures;
  parallelFor(stretches * rowPieces, work, kGradientOutputs * kStretch + kPanelTile, [&](size_t piece, float* tile) {
    const size_t row = piece / stretches * kGradientRows;
    gradientStretch(dy + row * w.outFeatures, smaller(kGradientRows, rows - row), w, piece % stretches * kStretch,
                  dx + row * w.inFeatures, tile);
  });
}

static void matmulGradient(const float* dy, size_t rows, const Linear& w, float* dx) {
  if (w.isPacked) gradient(dy, rows, w.packed, dx);
  else gradient(dy, rows, w.dense, dx);
}

}  // namespace nibblelens::NIBBLELENS_ISA
