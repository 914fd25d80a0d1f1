// Products of a few rows with float weights as they are stored: read from memory once, from the cache for further rows.
#pragma once

#include "weights.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

/** Outputs that share the loads of x. */
constexpr size_t kDenseOutputs = 4;

template <FloatType type, size_t outputs>
static inline void denseOutputs(const DenseMatrix& w, const float* x, size_t n, const float* bias, float* y) {
  using Stored = DenseLanes<type>;
  const auto* const weights = static_cast<const typename Stored::Value*>(w.values) + n * w.inFeatures;
  Lanes totals[outputs];
  for (size_t j = 0; j < outputs; j++) totals[j] = zeroLanes();
  for (size_t first = 0; first < w.inFeatures; first += kBlock) {
    Lanes sums[outputs];
    for (size_t j = 0; j < outputs; j++) sums[j] = zeroLanes();
    forLanes(smaller(w.inFeatures - first, kBlock), [&](size_t i, size_t some) {
      const Lanes input = loadSome(x + first + i, some);
      for (size_t j = 0; j < outputs; j++) {
        sums[j] = mulAdd(Stored::some(weights + j * w.inFeatures + first + i, some), input, sums[j]);
      }
    });
    for (size_t j = 0; j < outputs; j++) totals[j] = add(totals[j], sums[j]);
  }
  for (size_t j = 0; j < outputs; j++) y[n + j] = sum(totals[j]) + (bias ? bias[n + j] : 0.0f);
}

template <FloatType type>
static inline void denseRange(const DenseMatrix& w, const float* x, size_t rows, size_t from, size_t to,
                              const float* bias, float* y) {
  const auto forRows = [&](const auto& outputs) {
    for (size_t r = 0; r < rows; r++) outputs(x + r * w.inFeatures, y + r * w.outFeatures);
  };
  size_t n = from;
  for (; n + kDenseOutputs <= to; n += kDenseOutputs) {
    forRows([&](const float* in, float* out) { denseOutputs<type, kDenseOutputs>(w, in, n, bias, out); });
  }
  for (; n < to; n++) forRows([&](const float* in, float* out) { denseOutputs<type, 1>(w, in, n, bias, out); });
}

/** y of all rows at outputs [from, to). */
static inline void denseRange(const DenseMatrix& w, const float* x, size_t rows, size_t from, size_t to,
                              const float* bias, float* y) {
  withType(w.type, [&](auto type) { denseRange<decltype(type)::value>(w, x, rows, from, to, bias, y); });
}

}  // namespace nibblelens::NIBBLELENS_ISA
