// Eight float lanes in an AVX2 register, and what kernels do with them. `lanes_scalar.h` declares the same names.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace nibblelens::NIBBLELENS_ISA {

using Lanes = __m256;
constexpr size_t kLanes = 8;
/** Rows of a product that registers have room for, beside two lane rows of weights. */
constexpr size_t kMicroRows = 6;

static inline Lanes zeroLanes() { return _mm256_setzero_ps(); }
static inline Lanes splat(float value) { return _mm256_set1_ps(value); }
static inline Lanes load(const float* p) { return _mm256_loadu_ps(p); }
static inline void store(float* p, Lanes a) { _mm256_storeu_ps(p, a); }

/** Asks for the cache line at p, which need not be readable. */
static inline void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

/** All bits set in the first `count` lanes. */
static inline __m256i firstLanes(size_t count) {
  alignas(32) static const int32_t bits[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bits + kLanes - count));
}
/** The first `count` floats, at most kLanes; the other lanes are 0. Memory beyond is not read. */
static inline Lanes loadPartial(const float* p, size_t count) { return _mm256_maskload_ps(p, firstLanes(count)); }
static inline void storePartial(float* p, Lanes a, size_t count) { _mm256_maskstore_ps(p, firstLanes(count), a); }

static inline Lanes add(Lanes a, Lanes b) { return _mm256_add_ps(a, b); }
static inline Lanes sub(Lanes a, Lanes b) { return _mm256_sub_ps(a, b); }
static inline Lanes mul(Lanes a, Lanes b) { return _mm256_mul_ps(a, b); }
static inline Lanes div(Lanes a, Lanes b) { return _mm256_div_ps(a, b); }
/** a·b + c, rounded once. */
static inline Lanes mulAdd(Lanes a, Lanes b, Lanes c) { return _mm256_fmadd_ps(a, b, c); }
/** q·s + b with the accuracy of one rounding. */
static inline Lanes affine(Lanes q, Lanes s, Lanes b) { return _mm256_fmadd_ps(q, s, b); }
/** Where a lane of b is NaN, the lane of b. */
static inline Lanes minimum(Lanes a, Lanes b) { return _mm256_min_ps(a, b); }
static inline Lanes maximum(Lanes a, Lanes b) { return _mm256_max_ps(a, b); }
/** 2^n for lanes that are whole numbers from -126 to 127. */
static inline Lanes twoTo(Lanes n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}

/** The sum of all lanes, in a fixed order. */
static inline float sum(Lanes a) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
/** Lane i is the sum of all lanes of a[i], in a fixed order. */
static inline Lanes sumEach(const Lanes* a) {
  const Lanes low = _mm256_hadd_ps(_mm256_hadd_ps(a[0], a[1]), _mm256_hadd_ps(a[2], a[3]));
  const Lanes high = _mm256_hadd_ps(_mm256_hadd_ps(a[4], a[5]), _mm256_hadd_ps(a[6], a[7]));
  return _mm256_add_ps(_mm256_permute2f128_ps(low, high, 0x20), _mm256_permute2f128_ps(low, high, 0x31));
}
static inline float maximumOf(Lanes a) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

static inline Lanes loadF16(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
static inline Lanes loadBf16(const uint16_t* p) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
static inline float f16(uint16_t bits) { return _cvtsh_ss(bits); }

/** Lane j of lane row i becomes lane i of lane row j. */
static inline void transpose(Lanes a[kLanes]) {
  Lanes pairs[8], quads[8];
  for (size_t i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  }
  for (size_t i = 0; i < 8; i += 4) {
    quads[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
    quads[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xee);
    quads[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
    quads[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xee);
  }
  for (size_t i = 0; i < 4; i++) {
    a[i] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20);
    a[i + 4] = _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31);
  }
}

}  // namespace nibblelens::NIBBLELENS_ISA
