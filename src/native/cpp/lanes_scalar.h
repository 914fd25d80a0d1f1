// Four float lanes in plain C++ (GCC's and Clang's vector types), for any processor: the compiler makes of them what
// the baseline instruction set has. `lanes_avx2.h` declares the same names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "float_formats.h"

namespace nibblelens::scalar {

typedef float Lanes __attribute__((vector_size(16)));
typedef int32_t IntLanes __attribute__((vector_size(16)));
constexpr size_t kLanes = 4;

static inline Lanes zeroLanes() { return Lanes{0, 0, 0, 0}; }
static inline Lanes splat(float value) { return Lanes{value, value, value, value}; }
static inline Lanes load(const float* p) {
  Lanes a;
  std::memcpy(&a, p, sizeof a);
  return a;
}
static inline void store(float* p, Lanes a) { std::memcpy(p, &a, sizeof a); }

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
static inline float sum(Lanes a) { return (a[0] + a[2]) + (a[1] + a[3]); }
/** Lane i is the sum of all lanes of a[i], in a fixed order. */
static inline Lanes sumEach(const Lanes* a) { return Lanes{sum(a[0]), sum(a[1]), sum(a[2]), sum(a[3])}; }
static inline float maximumOf(Lanes a) {
  float most = a[0];
  for (size_t i = 1; i < kLanes; i++) most = a[i] > most ? a[i] : most;
  return most;
}

static inline Lanes loadF16(const uint16_t* p) {
  return Lanes{f16ToFloat(p[0]), f16ToFloat(p[1]), f16ToFloat(p[2]), f16ToFloat(p[3])};
}
static inline Lanes loadBf16(const uint16_t* p) {
  return Lanes{bf16ToFloat(p[0]), bf16ToFloat(p[1]), bf16ToFloat(p[2]), bf16ToFloat(p[3])};
}
static inline float f16(uint16_t bits) { return f16ToFloat(bits); }

/** A zero point, ready for `decode32`. */
using ZeroPoint = int;
static inline ZeroPoint zeroPoint(uint8_t zero) { return zero; }

/** q − zero of the 32 codes in 16 bytes, in order. */
static inline void decode32(const uint8_t* codes, ZeroPoint zero, Lanes out[32 / kLanes]) {
  for (size_t i = 0; i < 32 / kLanes; i++) {
    const int a = codes[2 * i];
    const int b = codes[2 * i + 1];
    out[i] = __builtin_convertvector(IntLanes{a & 15, a >> 4, b & 15, b >> 4} - zero, Lanes);
  }
}

}  // namespace nibblelens::scalar
