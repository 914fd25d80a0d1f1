// Eight float lanes in plain C++ (GCC's and Clang's vector types), for any processor: the compiler makes of them what
// the baseline instruction set has. `lanes_avx2.h` and `lanes_neon.h` declare the same names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "float_formats.h"

namespace nibblelens::NIBBLELENS_ISA {

typedef float Lanes __attribute__((vector_size(32)));
typedef int32_t IntLanes __attribute__((vector_size(32)));
constexpr size_t kLanes = 8;
/** Rows of a product that registers have room for, beside two lane rows of weights. */
constexpr size_t kMicroRows = 2;

static inline Lanes zeroLanes() { return Lanes{}; }
static inline Lanes splat(float value) { return Lanes{value, value, value, value, value, value, value, value}; }
static inline Lanes load(const float* p) {
  Lanes a;
  std::memcpy(&a, p, sizeof a);
  return a;
}
static inline void store(float* p, Lanes a) { std::memcpy(p, &a, sizeof a); }

/** Asks for the cache line at p, which need not be readable. */
static inline void prefetch(const void* p) { __builtin_prefetch(p); }

/** The first `count` floats, at most kLanes; the other lanes are 0. Memory beyond is not read. */
static inline Lanes loadPartial(const float* p, size_t count) {
  Lanes a = zeroLanes();
  for (size_t i = 0; i < count; i++) a[i] = p[i];
  return a;
}
static inline void storePartial(float* p, Lanes a, size_t count) {
  for (size_t i = 0; i < count; i++) p[i] = a[i];
}

static inline Lanes add(Lanes a, Lanes b) { return a + b; }
static inline Lanes sub(Lanes a, Lanes b) { return a - b; }
static inline Lanes mul(Lanes a, Lanes b) { return a * b; }
static inline Lanes div(Lanes a, Lanes b) { return a / b; }
/** a·b + c. */
static inline Lanes mulAdd(Lanes a, Lanes b, Lanes c) { return a * b + c; }
/** q·s + b with the accuracy of one rounding: b may cancel most of q·s. */
static inline Lanes affine(Lanes q, Lanes s, Lanes b) {
  Lanes w;
  for (size_t i = 0; i < kLanes; i++) w[i] = static_cast<float>(static_cast<double>(q[i]) * s[i] + b[i]);
  return w;
}
/** Where a lane of b is NaN, the lane of b. */
static inline Lanes minimum(Lanes a, Lanes b) {
  Lanes least;
  for (size_t i = 0; i < kLanes; i++) least[i] = a[i] < b[i] ? a[i] : b[i];
  return least;
}
static inline Lanes maximum(Lanes a, Lanes b) {
  Lanes most;
  for (size_t i = 0; i < kLanes; i++) most[i] = a[i] > b[i] ? a[i] : b[i];
  return most;
}
/** 2^n for lanes that are whole numbers from -126 to 127; anything for others. */
static inline Lanes twoTo(Lanes n) {
  IntLanes bits;
  for (size_t i = 0; i < kLanes; i++) {
    const int32_t exponent = n[i] >= -126 && n[i] <= 127 ? static_cast<int32_t>(n[i]) : 0;
    bits[i] = (exponent + 127) << 23;
  }
  Lanes power;
  std::memcpy(&power, &bits, sizeof power);
  return power;
}

/** The sum of all lanes, in a fixed order. */
static inline float sum(Lanes a) { return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7])); }
/** Lane i is the sum of all lanes of a[i], in a fixed order. */
static inline Lanes sumEach(const Lanes* a) {
  Lanes sums;
  for (size_t i = 0; i < kLanes; i++) sums[i] = sum(a[i]);
  return sums;
}
static inline float maximumOf(Lanes a) {
  float most = a[0];
  for (size_t i = 1; i < kLanes; i++) most = a[i] > most ? a[i] : most;
  return most;
}

static inline Lanes loadF16(const uint16_t* p) {
  Lanes a;
  for (size_t i = 0; i < kLanes; i++) a[i] = f16ToFloat(p[i]);
  return a;
}
static inline Lanes loadBf16(const uint16_t* p) {
  Lanes a;
  for (size_t i = 0; i < kLanes; i++) a[i] = bf16ToFloat(p[i]);
  return a;
}
static inline float f16(uint16_t bits) { return f16ToFloat(bits); }

/** Lane j of lane row i becomes lane i of lane row j. */
static inline void transpose(Lanes a[kLanes]) {
  for (size_t i = 0; i < kLanes; i++) {
    for (size_t j = 0; j < i; j++) {
      const float kept = a[i][j];
      a[i][j] = a[j][i];
      a[j][i] = kept;
    }
  }
}

}  // namespace nibblelens::NIBBLELENS_ISA
