// Loops over arrays, a lane row at a time.
#pragma once

#include "thread_pool.h"

/**
 * For functions and lambdas whose arrays have to stay in registers. Sanitized tests define it as nothing: compilers then
 * take half the time.
 */
#ifndef NIBBLELENS_INLINE
#define NIBBLELENS_INLINE __attribute__((always_inline))
#endif

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

}  // namespace nibblelens::NIBBLELENS_ISA
