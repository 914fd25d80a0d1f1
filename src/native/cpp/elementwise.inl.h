// Kernels whose every output depends on the inputs at the same place.
#pragma once

#include "exp.inl.h"
#include "thread_pool.h"

namespace nibblelens::NIBBLELENS_ISA {

/** Calls body(first, count) for pieces of `total` elements, of at most kLanes each, all full but the last. */
template <typename Body>
static inline void forLanes(size_t total, const Body& body) {
  size_t first = 0;
  for (; first + kLanes <= total; first += kLanes) body(first, kLanes);
  if (first < total) body(first, total - first);
}

/** `count` floats, fewer than kLanes only at the end of an array. */
static inline Lanes loadSome(const float* p, size_t count) { return count == kLanes ? load(p) : loadPartial(p, count); }
static inline void storeSome(float* p, Lanes a, size_t count) {
  if (count == kLanes) store(p, a);
  else storePartial(p, a, count);
}

/** `forLanes` on all threads; `cost` is the work per element in multiply-adds. */
template <typename Body>
static inline void forLanesParallel(size_t total, size_t cost, const Body& body) {
  constexpr size_t kPiece = 4096;
  parallelFor((total + kPiece - 1) / kPiece, total * cost, 0, [&](size_t piece, float*) {
    const size_t first = piece * kPiece;
    const size_t count = total - first < kPiece ? total - first : kPiece;
    forLanes(count, [&](size_t i, size_t some) { body(first + i, some); });
  });
}

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
