// Products of a few rows with float weights as they are stored: read from memory once, from the cache for further rows.
// The processor looks ahead within a page, which may be no longer than a row of weights: the outputs after these are
// asked for here.
#pragma once

#include "weights.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

/** Outputs that share the loads of x. */
constexpr size_t kDenseOutputs = 4;

template <FloatType type, size_t outputs>
static inline void denseSums(const DenseMatrix& w, const float* x, size_t n, const float* bias, float* y) {
  using Stored = DenseLanes<type>;
  const auto* const weights = static_cast<const typename Stored::Value*>(w.values) + n * w.inFeatures;
  Lanes totals[outputs];
  for (size_t j = 0; j < outputs; j++) totals[j] = zeroLanes();
  for (size_t first = 0; first < w.inFeatures; first += kStretch) {
    Lanes sums[outputs];
    for (size_t j = 0; j < outputs; j++) sums[j] = zeroLanes();
    forLanes(smaller(w.inFeatures - first, kStretch), [&](size_t i, size_t some) {
      const Lanes input = loadSome(x + first + i, some);
      for (size_t j = 0; j < outputs; j++) {
        const auto* const at = weights + j * w.inFeatures + first + i;
        prefetch(at + outputs * w.inFeatures);
        sums[j] = mulAdd(Stored::some(at, some), input, sums[j]);
      }
    });
    for (size_t j = 0; j < outputs; j++) totals[j] = add(totals[j], sums[j]);
  }
  for (size_t j = 0; j < outputs; j++) y[n + j] = sum(totals[j]) + (bias ? bias[n + j] : 0.0f);
}

/** y of a panel of outputs and all rows. */
template <FloatType type>
static inline void denseOutputs(const DenseMatrix& w, const float* x, size_t rows, size_t panel, const float* bias,
                                float* y) {
  const auto forRows = [&](const auto& outputs) {
    for (size_t r = 0; r < rows; r++) outputs(x + r * w.inFeatures, y + r * w.outFeatures);
  };
  size_t n = panel * kPanel;
  const size_t end = smaller(n + kPanel, w.outFeatures);
  for (; n + kDenseOutputs <= end; n += kDenseOutputs) {
    forRows([&](const float* in, float* out) { denseSums<type, kDenseOutputs>(w, in, n, bias, out); });
  }
  for (; n < end; n++) forRows([&](const float* in, float* out) { denseSums<type, 1>(w, in, n, bias, out); });
}

static inline void denseOutputs(const DenseMatrix& w, const float* x, size_t rows, size_t panel, const float* bias,
                                float* y) {
  withType(w.type, [&](auto type) { denseOutputs<decltype(type)::value>(w, x, rows, panel, bias, y); });
}

}  // namespace nibblelens::NIBBLELENS_ISA
