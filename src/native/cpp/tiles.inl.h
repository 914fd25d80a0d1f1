// Products of many rows, as floats: weights are decoded once into a tile that stays in the first-level cache, and serve
// all rows from there.
//
// The inner loop holds kMicroRows rows by two lane rows of outputs in registers. With six rows and AVX2, each input
// takes 12 multiply-adds, 2 loads of weights and 6 of activations: two multiply-adds a cycle, the machine's most. Sums
// run over kChain inputs and are then added to totals: a longer chain would round too much, a shorter one add too often.
#pragma once

#include "weights.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

constexpr size_t kChain = 32;
/** Most rows that share a tile before it is decoded again; their totals take 32 KB. */
constexpr size_t kTileRows = 512;

/** totals[r, j] += Σ_k x[r, k]·tile[k, j] over `length` inputs. */
template <size_t rows>
static inline void addChain(const float* x, size_t xStride, const float* tile, size_t length, float* totals) {
  Lanes sums[rows][kPanelLanes];
  for (size_t r = 0; r < rows; r++) {
    for (size_t i = 0; i < kPanelLanes; i++) sums[r][i] = zeroLanes();
  }
  for (size_t k = 0; k < length; k++) {
    const Lanes first = load(tile + k * kPanel);
    const Lanes second = load(tile + k * kPanel + kLanes);
    for (size_t r = 0; r < rows; r++) {
      const Lanes input = splat(x[r * xStride + k]);
      sums[r][0] = mulAdd(first, input, sums[r][0]);
      sums[r][1] = mulAdd(second, input, sums[r][1]);
    }
  }
  for (size_t r = 0; r < rows; r++) {
    for (size_t i = 0; i < kPanelLanes; i++) {
      float* const to = totals + r * kPanel + i * kLanes;
      store(to, add(load(to), sums[r][i]));
    }
  }
}

/** The same over a stretch, in chains. */
template <size_t rows>
static inline void addStretch(const float* x, size_t xStride, const float* tile, size_t length, float* totals) {
  for (size_t k = 0; k < length; k += kChain) {
    addChain<rows>(x + k, xStride, tile + k * kPanel, smaller(length - k, kChain), totals);
  }
}

/** The same of `count` rows, at most `most`. */
template <size_t most>
static inline void addRest(size_t count, const float* x, size_t xStride, const float* tile, size_t length, float* totals) {
  if constexpr (most > 0) {
    if (count < most) addRest<most - 1>(count, x, xStride, tile, length, totals);
    else addStretch<most>(x, xStride, tile, length, totals);
  }
}

/** y of a panel of outputs and at most kTileRows rows. `scratch` has `tileScratch` floats. */
template <typename Matrix>
static inline void tileOutputs(const float* x, size_t rows, const Matrix& w, size_t panel, const float* bias, float* y,
                               float* scratch) {
  float* const tile = scratch;                // [kStretch, kPanel]
  float* const totals = tile + kPanelTile;    // [rows, kPanel]
  std::memset(totals, 0, rows * kPanel * sizeof(float));
  for (size_t first = 0; first < w.inFeatures; first += kStretch) {
    const size_t length = smaller(w.inFeatures - first, kStretch);
    decodePanel(w, panel, first, length, tile);
    const float* const from = x + first;
    size_t r = 0;
    for (; r + kMicroRows <= rows; r += kMicroRows) {
      addStretch<kMicroRows>(from + r * w.inFeatures, w.inFeatures, tile, length, totals + r * kPanel);
    }
    if (r < rows) addRest<kMicroRows - 1>(rows - r, from + r * w.inFeatures, w.inFeatures, tile, length, totals + r * kPanel);
  }
  for (size_t r = 0; r < rows; r++) writePanel(totals + r * kPanel, panel, w.outFeatures, bias, y + r * w.outFeatures);
}

static inline size_t tileScratch(size_t rows) { return kPanelTile + rows * kPanel; }

}  // namespace nibblelens::NIBBLELENS_ISA
