// Products of many rows: weights are decoded once into a tile of floats that stays in the first-level cache, and serve
// all rows from there.
//
// The inner loop holds kMicroRows rows by two lane rows of outputs in registers. With six rows and AVX2, each input
// takes 12 multiply-adds, 2 loads of weights and 6 of activations: two multiply-adds a cycle, the machine's most. Sums
// run over kChain inputs and are then added to totals: a longer chain would round too much, a shorter one add too often.
#pragma once

#include "weights.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

constexpr size_t kChain = 32;
constexpr size_t kTileLanes = 2;
constexpr size_t kTileOutputs = kTileLanes * kLanes;
/** Most rows that share a tile before it is decoded again; their totals take 32 KB. */
constexpr size_t kTileRows = 512;

/** totals[r, j] += Σ_k x[r, k]·tile[k, j] over `length` inputs. */
template <size_t rows>
static inline void addChain(const float* x, size_t xStride, const float* tile, size_t length, float* totals) {
  Lanes sums[rows][kTileLanes];
  for (size_t r = 0; r < rows; r++) {
    for (size_t i = 0; i < kTileLanes; i++) sums[r][i] = zeroLanes();
  }
  for (size_t k = 0; k < length; k++) {
    const Lanes first = load(tile + k * kTileOutputs);
    const Lanes second = load(tile + k * kTileOutputs + kLanes);
    for (size_t r = 0; r < rows; r++) {
      const Lanes input = splat(x[r * xStride + k]);
      sums[r][0] = mulAdd(first, input, sums[r][0]);
      sums[r][1] = mulAdd(second, input, sums[r][1]);
    }
  }
  for (size_t r = 0; r < rows; r++) {
    for (size_t i = 0; i < kTileLanes; i++) {
      float* const to = totals + r * kTileOutputs + i * kLanes;
      store(to, add(load(to), sums[r][i]));
    }
  }
}

/** The same over a block, in chains. */
template <size_t rows>
static inline void addBlock(const float* x, size_t xStride, const float* tile, size_t length, float* totals) {
  for (size_t k = 0; k < length; k += kChain) {
    addChain<rows>(x + k, xStride, tile + k * kTileOutputs, smaller(length - k, kChain), totals);
  }
}

/** tile[k, j] = W[n + j, k] of a block of inputs; outputs that do not exist become 0. `rows` holds kLanes blocks. */
template <typename Matrix>
static inline void decodeTile(const Matrix& w, size_t n, size_t block, float* rows, float* tile) {
  const size_t length = smaller(w.inFeatures - block * kBlock, kBlock);
  for (size_t part = 0; part < kTileOutputs; part += kLanes) {
    for (size_t j = 0; j < kLanes; j++) {
      float* const row = rows + j * kBlock;
      if (n + part + j < w.outFeatures) decodeBlock(w, n + part + j, block, row);
      else std::memset(row, 0, length * sizeof(float));
    }
    for (size_t k = 0; k < length; k += kLanes) {
      Lanes square[kLanes];
      for (size_t j = 0; j < kLanes; j++) square[j] = load(rows + j * kBlock + k);
      transpose(square);
      for (size_t i = 0; i < kLanes; i++) store(tile + (k + i) * kTileOutputs + part, square[i]);
    }
  }
}

/** y[r, n + j] = totals[r, j] + bias */
static inline void writeTotals(const float* totals, size_t rows, size_t outputs, size_t n, const float* bias, float* y,
                               size_t yStride) {
  for (size_t r = 0; r < rows; r++) {
    for (size_t j = 0; j < outputs; j++) {
      y[r * yStride + n + j] = totals[r * kTileOutputs + j] + (bias ? bias[n + j] : 0.0f);
    }
  }
}

/** Of at most kTileRows rows. */
template <typename Matrix>
static inline void tileOutputs(const float* x, size_t rows, const Matrix& w, size_t n, const float* bias, float* y,
                               float* scratch) {
  float* const tile = scratch;                          // [kBlock, kTileOutputs]
  float* const decoded = tile + kBlock * kTileOutputs;  // [kLanes, kBlock]
  float* const totals = decoded + kLanes * kBlock;      // [rows, kTileOutputs]
  std::memset(totals, 0, rows * kTileOutputs * sizeof(float));
  for (size_t block = 0; block * kBlock < w.inFeatures; block++) {
    const size_t length = smaller(w.inFeatures - block * kBlock, kBlock);
    decodeTile(w, n, block, decoded, tile);
    const float* const from = x + block * kBlock;
    size_t r = 0;
    for (; r + kMicroRows <= rows; r += kMicroRows) {
      addBlock<kMicroRows>(from + r * w.inFeatures, w.inFeatures, tile, length, totals + r * kTileOutputs);
    }
    for (; r < rows; r++) addBlock<1>(from + r * w.inFeatures, w.inFeatures, tile, length, totals + r * kTileOutputs);
  }
  writeTotals(totals, rows, smaller(kTileOutputs, w.outFeatures - n), n, bias, y, w.outFeatures);
}

static inline size_t tileScratch(size_t rows) { return kBlock * kTileOutputs + kLanes * kBlock + rows * kTileOutputs; }

}  // namespace nibblelens::NIBBLELENS_ISA
