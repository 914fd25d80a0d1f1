// y = x·Wᵀ + bias for packed and dense weights.
#pragma once

#include "weights.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

/** Outputs of a tile of decoded weights: with a segment of inputs it takes 12 KB, and stays in a first-level cache. */
constexpr size_t kTileOutputs = 12;
/** Rows of x that share a tile before it is decoded again; their totals take 48 KB with eight lanes. */
constexpr size_t kTileRows = 128;
/** Rows and outputs of the inner loop: 4·3 sums, 3 weights and an x fill sixteen registers. */
constexpr size_t kInnerRows = 4;
constexpr size_t kInnerOutputs = 3;
/** Outputs that share the loads of x where there is one row. */
constexpr size_t kOutputsAtOnce = 4;
/** Outputs of one piece of the loop over threads. */
constexpr size_t kOutputsPerPiece = 16;

static inline float biasOf(const float* bias, size_t n) { return bias ? bias[n] : 0.0f; }

/** y of `outputs` outputs from n on, for one row, decoded straight into the sums. */
template <size_t outputs, typename Source>
static inline void oneRow(const Source& source, const float* x, size_t inFeatures, size_t n, const float* bias,
                          float* y) {
  Lanes totals[outputs];
  for (size_t j = 0; j < outputs; j++) totals[j] = zeroLanes();
  for (size_t first = 0; first < inFeatures;) {
    const Segment segment = segmentAt(first, inFeatures, source.segmentGroup());
    const auto rows = [&](size_t j) { return source.row(n + j, segment); };
    Lanes sums[outputs];
    for (size_t j = 0; j < outputs; j++) sums[j] = zeroLanes();
    for (size_t k = 0; k < segment.length; k += kStep) {
      const size_t count = smaller(segment.length - k, kStep);
      Lanes inputs[kStepLanes];
      if (count == kStep) {
        for (size_t i = 0; i < kStepLanes; i++) inputs[i] = load(x + first + k + i * kLanes);
        for (size_t j = 0; j < outputs; j++) {
          Lanes weights[kStepLanes];
          rows(j).step(k, kStep, weights);
          for (size_t i = 0; i < kStepLanes; i++) sums[j] = mulAdd(weights[i], inputs[i], sums[j]);
        }
        continue;
      }
      const size_t used = (count + kLanes - 1) / kLanes;
      for (size_t i = 0; i < used; i++) {
        inputs[i] = loadPartial(x + first + k + i * kLanes, smaller(count - i * kLanes, kLanes));
      }
      for (size_t j = 0; j < outputs; j++) {
        Lanes weights[kStepLanes];
        rows(j).step(k, count, weights);
        for (size_t i = 0; i < used; i++) sums[j] = mulAdd(weights[i], inputs[i], sums[j]);
      }
    }
    for (size_t j = 0; j < outputs; j++) {
      totals[j] = mulAdd(splat(source.factor(n + j, segment)), sums[j], totals[j]);
    }
    first += segment.length;
  }
  for (size_t j = 0; j < outputs; j++) y[n + j] = sum(totals[j]) + biasOf(bias, n + j);
}

template <typename Source>
static inline void matmulOneRow(const Source& source, const float* x, size_t inFeatures, size_t outFeatures,
                                const float* bias, float* y) {
  const size_t pieces = (outFeatures + kOutputsPerPiece - 1) / kOutputsPerPiece;
  parallelFor(pieces, inFeatures * outFeatures, 0, [&](size_t piece, float*) {
    size_t n = piece * kOutputsPerPiece;
    const size_t end = smaller(n + kOutputsPerPiece, outFeatures);
    for (; n + kOutputsAtOnce <= end; n += kOutputsAtOnce) {
      oneRow<kOutputsAtOnce>(source, x, inFeatures, n, bias, y);
    }
    for (; n < end; n++) oneRow<1>(source, x, inFeatures, n, bias, y);
  });
}

/** Decodes one output's values of a segment; writes up to the next multiple of kStep, at most kSegment. */
template <typename Source>
static inline void decodeSegment(const Source& source, size_t n, const Segment& segment, float* to) {
  const auto row = source.row(n, segment);
  for (size_t k = 0; k < segment.length; k += kStep) {
    Lanes weights[kStepLanes];
    row.step(k, smaller(segment.length - k, kStep), weights);
    for (size_t i = 0; i < kStepLanes; i++) store(to + k + i * kLanes, weights[i]);
  }
}

/** totals[r][j] += factor[j]·Σ_k x[r, k]·tile[j, k] over one segment. */
template <size_t rows, size_t outputs>
static inline void addSegment(const float* x, size_t xStride, const float* tile, size_t length, const float* factors,
                              float* totals) {
  Lanes sums[rows][outputs];
  for (size_t r = 0; r < rows; r++) {
    for (size_t j = 0; j < outputs; j++) sums[r][j] = zeroLanes();
  }
  size_t k = 0;
  for (; k + kLanes <= length; k += kLanes) {
    Lanes weights[outputs];
    for (size_t j = 0; j < outputs; j++) weights[j] = load(tile + j * kSegment + k);
    for (size_t r = 0; r < rows; r++) {
      const Lanes input = load(x + r * xStride + k);
      for (size_t j = 0; j < outputs; j++) sums[r][j] = mulAdd(weights[j], input, sums[r][j]);
    }
  }
  if (k < length) {
    for (size_t r = 0; r < rows; r++) {
      const Lanes input = loadPartial(x + r * xStride + k, length - k);
      for (size_t j = 0; j < outputs; j++) {
        sums[r][j] = mulAdd(load(tile + j * kSegment + k), input, sums[r][j]);
      }
    }
  }
  for (size_t r = 0; r < rows; r++) {
    for (size_t j = 0; j < outputs; j++) {
      float* total = totals + (r * kTileOutputs + j) * kLanes;
      store(total, mulAdd(splat(factors[j]), sums[r][j], load(total)));
    }
  }
}

template <size_t rows>
static inline void addSegmentOutputs(const float* x, size_t xStride, const float* tile, size_t length, size_t outputs,
                                     const float* factors, float* totals) {
  size_t j = 0;
  for (; j + kInnerOutputs <= outputs; j += kInnerOutputs) {
    addSegment<rows, kInnerOutputs>(x, xStride, tile + j * kSegment, length, factors + j, totals + j * kLanes);
  }
  for (; j < outputs; j++) {
    addSegment<rows, 1>(x, xStride, tile + j * kSegment, length, factors + j, totals + j * kLanes);
  }
}

/** The outputs of one tile for all rows. */
template <typename Source>
static inline void tiledOutputs(const Source& source, const float* x, size_t rows, size_t inFeatures,
                                size_t outFeatures, size_t n, const float* bias, float* y, float* scratch) {
  const size_t outputs = smaller(kTileOutputs, outFeatures - n);
  float* const tile = scratch;                              // [kTileOutputs, kSegment]
  float* const totals = scratch + kTileOutputs * kSegment;  // [kTileRows, kTileOutputs, kLanes]
  for (size_t row = 0; row < rows; row += kTileRows) {
    const size_t rowCount = smaller(kTileRows, rows - row);
    std::memset(totals, 0, rowCount * kTileOutputs * kLanes * sizeof(float));
    for (size_t first = 0; first < inFeatures;) {
      const Segment segment = segmentAt(first, inFeatures, source.segmentGroup());
      float factors[kTileOutputs];
      for (size_t j = 0; j < outputs; j++) {
        decodeSegment(source, n + j, segment, tile + j * kSegment);
        factors[j] = source.factor(n + j, segment);
      }
      const float* from = x + row * inFeatures + first;
      size_t r = 0;
      for (; r + kInnerRows <= rowCount; r += kInnerRows) {
        addSegmentOutputs<kInnerRows>(from + r * inFeatures, inFeatures, tile, segment.length, outputs, factors,
                                      totals + r * kTileOutputs * kLanes);
      }
      for (; r < rowCount; r++) {
        addSegmentOutputs<1>(from + r * inFeatures, inFeatures, tile, segment.length, outputs, factors,
                             totals + r * kTileOutputs * kLanes);
      }
      first += segment.length;
    }
    for (size_t r = 0; r < rowCount; r++) {
      for (size_t j = 0; j < outputs; j++) {
        const float dot = sum(load(totals + (r * kTileOutputs + j) * kLanes));
        y[(row + r) * outFeatures + n + j] = dot + biasOf(bias, n + j);
      }
    }
  }
}

template <typename Source>
static inline void matmulManyRows(const Source& source, const float* x, size_t rows, size_t inFeatures,
                                  size_t outFeatures, const float* bias, float* y) {
  const size_t tiles = (outFeatures + kTileOutputs - 1) / kTileOutputs;
  const size_t scratch = kTileOutputs * (kSegment + smaller(rows, kTileRows) * kLanes);
  parallelFor(tiles, rows * inFeatures * outFeatures, scratch, [&](size_t tile, float* floats) {
    tiledOutputs(source, x, rows, inFeatures, outFeatures, tile * kTileOutputs, bias, y, floats);
  });
}

template <typename Matrix>
static inline void matmul(const float* x, size_t rows, const Matrix& w, const float* bias, float* y) {
  withSource(w, [=, &w](const auto& source) {
    if (rows == 1) matmulOneRow(source, x, w.inFeatures, w.outFeatures, bias, y);
    else matmulManyRows(source, x, rows, w.inFeatures, w.outFeatures, bias, y);
  });
}

static void matmulPacked(const float* x, size_t rows, const PackedMatrix& w, const float* bias, float* y) {
  matmul(x, rows, w, bias, y);
}

static void matmulDense(const float* x, size_t rows, const DenseMatrix& w, const float* bias, float* y) {
  matmul(x, rows, w, bias, y);
}

static void embedding(const int32_t* ids, size_t count, const DenseMatrix& table, float* y) {
  withSource(table, [=, &table](const auto& source) {
    const size_t columns = table.inFeatures;
    parallelFor(count, count * columns, 0, [&](size_t i, float*) {
      const auto row = source.row(static_cast<size_t>(ids[i]), {0, columns, 0});
      for (size_t k = 0; k < columns; k += kStep) {
        const size_t some = smaller(columns - k, kStep);
        Lanes values[kStepLanes];
        row.step(k, some, values);
        for (size_t j = 0; j * kLanes < some; j++) {
          storeSome(y + i * columns + k + j * kLanes, values[j], smaller(some - j * kLanes, kLanes));
        }
      }
    });
  });
}

}  // namespace nibblelens::NIBBLELENS_ISA
