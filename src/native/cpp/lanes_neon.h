// Eight float lanes in two NEON registers, and what kernels do with them. `lanes_scalar.h` declares the same names.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace nibblelens::NIBBLELENS_ISA {

struct Lanes {
  float32x4_t low;
  float32x4_t high;
};
constexpr size_t kLanes = 8;
/** Rows of a product that registers have room for, beside two lane rows of weights: 24 and 4 of 32. */
constexpr size_t kMicroRows = 6;

static inline Lanes zeroLanes() { return {vdupq_n_f32(0), vdupq_n_f32(0)}; }
static inline Lanes splat(float value) { return {vdupq_n_f32(value), vdupq_n_f32(value)}; }
static inline Lanes load(const float* p) { return {vld1q_f32(p), vld1q_f32(p + 4)}; }
static inline void store(float* p, Lanes a) {
  vst1q_f32(p, a.low);
  vst1q_f32(p + 4, a.high);
}

/** Asks for the cache line at p, which need not be readable. */
static inline void prefetch(const void* p) { __builtin_prefetch(p); }

/** The first `count` floats, at most kLanes; the other lanes are 0. Memory beyond is not read. */
static inline Lanes loadPartial(const float* p, size_t count) {
  float padded[kLanes] = {};
  for (size_t i = 0; i < count; i++) padded[i] = p[i];
  return load(padded);
}
static inline void storePartial(float* p, Lanes a, size_t count) {
  float all[kLanes];
  store(all, a);
  for (size_t i = 0; i < count; i++) p[i] = all[i];
}

static inline Lanes add(Lanes a, Lanes b) { return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
static inline Lanes sub(Lanes a, Lanes b) { return {vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)}; }
static inline Lanes mul(Lanes a, Lanes b) { return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)}; }
static inline Lanes div(Lanes a, Lanes b) { return {vdivq_f32(a.low, b.low), vdivq_f32(a.high, b.high)}; }
/** a·b + c, rounded once. */
static inline Lanes mulAdd(Lanes a, Lanes b, Lanes c) {
  return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)};
}
/** q·s + b with the accuracy of one rounding. */
static inline Lanes affine(Lanes q, Lanes s, Lanes b) { return mulAdd(q, s, b); }
/** Where a lane of b is NaN, the lane of b; FMIN would take a NaN of either. */
static inline Lanes minimum(Lanes a, Lanes b) {
  return {vbslq_f32(vcltq_f32(a.low, b.low), a.low, b.low), vbslq_f32(vcltq_f32(a.high, b.high), a.high, b.high)};
}
static inline Lanes maximum(Lanes a, Lanes b) {
  return {vbslq_f32(vcgtq_f32(a.low, b.low), a.low, b.low), vbslq_f32(vcgtq_f32(a.high, b.high), a.high, b.high)};
}
/** 2^n for lanes that are whole numbers from -126 to 127. */
static inline Lanes twoTo(Lanes n) {
  const auto power = [](float32x4_t exponent) {
    const int32x4_t biased = vaddq_s32(vcvtnq_s32_f32(exponent), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(biased, 23));
  };
  return {power(n.low), power(n.high)};
}

/** The sum of all lanes, in a fixed order. */
static inline float sum(Lanes a) { return vaddvq_f32(vaddq_f32(a.low, a.high)); }
/** Lane i is the sum of all lanes of a[i], in a fixed order. */
static inline Lanes sumEach(const Lanes* a) {
  const auto four = [](const Lanes* of) {
    const auto half = [](Lanes one) { return vaddq_f32(one.low, one.high); };
    return vpaddq_f32(vpaddq_f32(half(of[0]), half(of[1])), vpaddq_f32(half(of[2]), half(of[3])));
  };
  return {four(a), four(a + 4)};
}
static inline float maximumOf(Lanes a) { return vmaxnmvq_f32(vmaxnmq_f32(a.low, a.high)); }

static inline Lanes floatsOfF16(uint16x8_t bits) {
  const float16x8_t half = vreinterpretq_f16_u16(bits);
  return {vcvt_f32_f16(vget_low_f16(half)), vcvt_high_f32_f16(half)};
}
static inline Lanes loadF16(const uint16_t* p) { return floatsOfF16(vld1q_u16(p)); }
static inline Lanes loadBf16(const uint16_t* p) {
  const uint16x8_t bits = vld1q_u16(p);
  return {vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vget_low_u16(bits)), 16)),
          vreinterpretq_f32_u32(vshlq_n_u32(vmovl_high_u16(bits), 16))};
}
static inline float f16(uint16_t bits) {
  return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(bits))), 0);
}

/** Lane j of row i becomes lane i of row j. */
static inline void transposeFour(float32x4_t& a, float32x4_t& b, float32x4_t& c, float32x4_t& d) {
  const auto pairs = [](float32x4_t one) { return vreinterpretq_f64_f32(one); };
  const auto floats = [](float64x2_t both) { return vreinterpretq_f32_f64(both); };
  const float64x2_t evenLow = pairs(vtrn1q_f32(a, b)), oddLow = pairs(vtrn2q_f32(a, b));
  const float64x2_t evenHigh = pairs(vtrn1q_f32(c, d)), oddHigh = pairs(vtrn2q_f32(c, d));
  a = floats(vtrn1q_f64(evenLow, evenHigh));
  b = floats(vtrn1q_f64(oddLow, oddHigh));
  c = floats(vtrn2q_f64(evenLow, evenHigh));
  d = floats(vtrn2q_f64(oddLow, oddHigh));
}

/** Lane j of lane row i becomes lane i of lane row j. */
static inline void transpose(Lanes a[kLanes]) {
  for (size_t i = 0; i < kLanes; i += 4) {
    transposeFour(a[i].low, a[i + 1].low, a[i + 2].low, a[i + 3].low);
    transposeFour(a[i].high, a[i + 1].high, a[i + 2].high, a[i + 3].high);
  }
  for (size_t i = 0; i < 4; i++) {
    const float32x4_t kept = a[i].high;
    a[i].high = a[i + 4].low;
    a[i + 4].low = kept;
  }
}

}  // namespace nibblelens::NIBBLELENS_ISA
