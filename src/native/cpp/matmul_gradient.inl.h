// dx = dy·W for packed and dense weights.
#pragma once

#include "matmul.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

/** Outputs whose products are summed before they are added to dx: two levels keep the rounding error small. */
constexpr size_t kGradientOutputs = 32;
/** Rows of dy that share a tile before it is decoded again. */
constexpr size_t kGradientRows = 64;

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
    for (size_t i = 0; i < lanes; i++) weights[i] = load(tile + j * kSegment + i * kLanes);
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

/** dx of `rows` rows over one segment of inputs. */
template <typename Source>
static inline void gradientSegment(const Source& source, const float* dy, size_t rows, size_t outFeatures,
                                   const Segment& segment, float* dx, size_t dxStride, float* tile) {
  for (size_t r = 0; r < rows; r++) std::memset(dx + r * dxStride, 0, segment.length * sizeof(float));
  for (size_t n = 0; n < outFeatures; n += kGradientOutputs) {
    const size_t outputs = smaller(kGradientOutputs, outFeatures - n);
    for (size_t j = 0; j < outputs; j++) {
      float* weights = tile + j * kSegment;
      decodeSegment(source, n + j, segment, weights);
      const Lanes factor = splat(source.factor(n + j, segment));
      for (size_t k = 0; k < segment.length; k += kLanes) store(weights + k, mul(load(weights + k), factor));
    }
    size_t r = 0;
    for (; r + kInnerRows <= rows; r += kInnerRows) {
      addOutputsAlong<kInnerRows>(dy + r * outFeatures + n, outFeatures, tile, outputs, dx + r * dxStride, dxStride,
                                  segment.length);
    }
    for (; r < rows; r++) {
      addOutputsAlong<1>(dy + r * outFeatures + n, outFeatures, tile, outputs, dx + r * dxStride, dxStride,
                         segment.length);
    }
  }
}

template <typename Matrix>
static inline void matmulGradient(const float* dy, size_t rows, const Matrix& w, float* dx) {
  withSource(w, [=, &w](const auto& source) {
    // Every group but the last has the same number of segments, so a segment is found by its index.
    const size_t groupSize = source.segmentGroup();
    const size_t perGroup = (smaller(groupSize, w.inFeatures) + kSegment - 1) / kSegment;
    const size_t wholeGroups = (w.inFeatures - 1) / groupSize;
    const size_t lastGroup = w.inFeatures - wholeGroups * groupSize;
    const size_t segments = wholeGroups * perGroup + (lastGroup + kSegment - 1) / kSegment;
    const size_t rowPieces = (rows + kGradientRows - 1) / kGradientRows;
    const size_t work = rows * w.inFeatures * w.outFeatures;
    parallelFor(segments * rowPieces, work, kGradientOutputs * kSegment, [&](size_t piece, float* tile) {
      const size_t index = piece % segments;
      const size_t first = index / perGroup * groupSize + index % perGroup * kSegment;
      const size_t row = piece / segments * kGradientRows;
      gradientSegment(source, dy + row * w.outFeatures, smaller(kGradientRows, rows - row), w.outFeatures,
                      segmentAt(first, w.inFeatures, groupSize), dx + row * w.inFeatures + first, w.inFeatures, tile);
    });
  });
}

static void matmulPackedGradient(const float* dy, size_t rows, const PackedMatrix& w, float* dx) {
  matmulGradient(dy, rows, w, dx);
}

static void matmulDenseGradient(const float* dy, size_t rows, const DenseMatrix& w, float* dx) {
  matmulGradient(dy, rows, w, dx);
}

}  // namespace nibblelens::NIBBLELENS_ISA
