// Kernels whose every output depends on the inputs at the same place.
#pragma once

#include "exp.inl.h"
#include "loops.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

static inline Lanes sigmoid(Lanes x) { return div(splat(1.0f), add(splat(1.0f), expLanes(sub(zeroLanes(), x)))); }

static void swiglu(const float* gate, const float* up, size_t count, float* y) {
  forLanesParallel(count, 20, [=](size_t i, size_t some) {
    const Lanes g = loadSome(gate + i, some);
    const Lanes silu = div(g, add(splat(1.0f), expLanes(sub(zeroLanes(), g))));
    storeSome(y + i, mul(silu, loadSome(up + i, some)), some);
  });
}

/** With σ = sigmoid(gate): dgate = dy·up·σ·(1 + gate·(1 − σ)), dup = dy·gate·σ. */
static void swigluGradient(const float* gate, const float* up, const float* dy, size_t count, float* dgate,
                           float* dup) {
  forLanesParallel(count, 20, [=](size_t i, size_t some) {
    const Lanes g = loadSome(gate + i, some);
    const Lanes d = loadSome(dy + i, some);
    const Lanes s = sigmoid(g);
    const Lanes slope = mul(s, mulAdd(g, sub(splat(1.0f), s), splat(1.0f)));
    storeSome(dgate + i, mul(mul(d, loadSome(up + i, some)), slope), some);
    storeSome(dup + i, mul(d, mul(g, s)), some);
  });
}

static void add(const float* a, const float* b, size_t count, float* y) {
  forLanesParallel(count, 1, [=](size_t i, size_t some) {
    storeSome(y + i, add(loadSome(a + i, some), loadSome(b + i, some)), some);
  });
}

static void exponential(const float* x, size_t count, float* y) {
  forLanesParallel(count, 20,
                   [=](size_t i, size_t some) { storeSome(y + i, expLanes(loadSome(x + i, some)), some); });
}

}  // namespace nibblelens::NIBBLELENS_ISA
