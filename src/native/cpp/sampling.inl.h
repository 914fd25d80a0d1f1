// What choosing a token asks of the logits of a whole vocabulary. `generation/sampler/scan.ts` has the same in
// TypeScript, with the same results to the bit: the same seed gives the same text with either.
#pragma once

#include <cmath>
#include <cstring>

#include "thread_pool.h"

namespace nibblelens::NIBBLELENS_ISA {

/** Whether no x is NaN or infinite: x − x is then 0, and NaN otherwise. */
static bool allFinite(const float* x, size_t count) {
  Lanes sums[4] = {zeroLanes(), zeroLanes(), zeroLanes(), zeroLanes()};
  size_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
    for (size_t j = 0; j < 4; j++) {
      const Lanes a = load(x + i + j * kLanes);
      sums[j] = add(sums[j], sub(a, a));
    }
  }
  float rest = sum(add(add(sums[0], sums[1]), add(sums[2], sums[3])));
  for (; i < count; i++) rest += x[i] - x[i];
  return rest == 0;
}

/** Whether a comes after b: by x falling, then by index. */
static inline bool comesAfter(const float* x, int32_t a, int32_t b) {
  return x[a] < x[b] || (x[a] == x[b] && a > b);
}

/** Lets the index at `place` of a heap sink to where none that comes after it is below. */
static inline void sink(const float* x, int32_t* heap, size_t size, size_t place) {
  const int32_t index = heap[place];
  for (size_t child = 2 * place + 1; child < size; child = 2 * place + 1) {
    if (child + 1 < size && comesAfter(x, heap[child + 1], heap[child])) child++;
    if (!comesAfter(x, heap[child], index)) break;
    heap[place] = heap[child];
    place = child;
  }
  heap[place] = index;
}

/**
 * Indices of the `k` largest, 1 ≤ k ≤ count, in falling order; of equals the lower index first. A heap holds the best so
 * far, its root the last of them; most lanes of x are only compared with it (in random order all but k·ln(count / k)).
 */
static void largest(const float* x, size_t count, size_t k, int32_t* indices) {
  for (size_t i = 0; i < k; i++) indices[i] = static_cast<int32_t>(i);
  for (size_t i = k / 2; i-- > 0;) sink(x, indices, k, i);
  const auto offer = [&](size_t i) {
    if (!(x[i] > x[indices[0]])) return;
    indices[0] = static_cast<int32_t>(i);
    sink(x, indices, k, 0);
  };
  constexpr size_t kCompared = 4 * kLanes;
  size_t i = k;
  for (; i + kCompared <= count; i += kCompared) {
    const Lanes low = maximum(load(x + i), load(x + i + kLanes));
    const Lanes high = maximum(load(x + i + 2 * kLanes), load(x + i + 3 * kLanes));
    if (!(maximumOf(maximum(low, high)) > x[indices[0]])) continue;
    for (size_t j = i; j < i + kCompared; j++) offer(j);
  }
  for (; i < count; i++) offer(i);
  for (size_t size = k; size-- > 1;) {
    const int32_t last = indices[0];
    indices[0] = indices[size];
    indices[size] = last;
    sink(x, indices, size, 0);
  }
}

typedef double Doubles __attribute__((vector_size(32)));
typedef uint64_t LongLanes __attribute__((vector_size(32)));
typedef float FourFloats __attribute__((vector_size(16)));
constexpr size_t kDoubles = 4;

static inline Doubles splatDoubles(double value) { return Doubles{value, value, value, value}; }

/**
 * e^x for x ≤ 0, 0 below −708 and for NaN: as `expLanes`, by its Taylor series to r^11, whose rest is below 2^-46, in
 * powers of r² so that two chains of sums run side by side. No multiply-adds: JavaScript has none.
 */
static inline Doubles expDoubles(Doubles x) {
  const LongLanes inRange = (LongLanes)(x >= splatDoubles(-708));
  const Doubles shifted = x * 1.4426950408889634 + 6755399441055744.0;  // 1.5·2^52: the sum has no fraction bits
  const Doubles n = shifted - 6755399441055744.0;
  const Doubles r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
  const Doubles r2 = r * r;
  Doubles even = splatDoubles(1.0 / 3628800);
  for (const double term : {1.0 / 40320, 1.0 / 720, 1.0 / 24, 1.0 / 2, 1.0}) even = even * r2 + term;
  Doubles odd = splatDoubles(1.0 / 39916800);
  for (const double term : {1.0 / 362880, 1.0 / 5040, 1.0 / 120, 1.0 / 6, 1.0}) odd = odd * r2 + term;
  // the low bits of `shifted` are n
  const LongLanes exponent = ((LongLanes)shifted + 1023) << 52;
  return (Doubles)((LongLanes)((even + odd * r) * (Doubles)exponent) & inRange);
}

static inline double weightSum(const float* x, size_t count, double most, double scale) {
  Doubles sums = splatDoubles(0);
  for (size_t i = 0; i < count; i += kDoubles) {
    FourFloats a = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    std::memcpy(&a, x + i, (count - i < kDoubles ? count - i : kDoubles) * sizeof(float));
    sums += expDoubles((__builtin_convertvector(a, Doubles) - most) * scale);
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/** sums[b] = Σ e^((x_i − most)·scale) over block b of kWeightBlock; most ≥ every x. In float64. */
static void weightSums(const float* x, size_t count, float most, float scale, double* sums) {
  const size_t blocks = weightBlocks(count);
  parallelFor(blocks, 20 * count, 0, [=](size_t b, float*) {
    const size_t start = b * kWeightBlock;
    sums[b] = weightSum(x + start, count - start < kWeightBlock ? count - start : kWeightBlock, most, scale);
  });
}

}  // namespace nibblelens::NIBBLELENS_ISA
