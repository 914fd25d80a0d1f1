// Codes and activations as integers in AVX2 registers. `integer_scalar.h` declares the same names, and says by its
// loops what each does. Where the compiler may use VNNI, its instructions multiply and sum: they leave 32 bits.
//
// A quad is four neighbouring inputs. A register holds a quad of each of eight outputs, one output to each 32-bit lane,
// so that products with four activations, the same for all lanes, fall into the lane of their output.
#pragma once

#include "lanes_avx2.h"
#include "storage.h"

namespace nibblelens::NIBBLELENS_ISA {

using IntLanes = __m256i;

static inline IntLanes loadInts(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
static inline void storeInts(int32_t* p, IntLanes a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a); }
static inline IntLanes splatInt(int32_t value) { return _mm256_set1_epi32(value); }
static inline IntLanes addInts(IntLanes a, IntLanes b) { return _mm256_add_epi32(a, b); }
static inline Lanes floatsOf(IntLanes a) { return _mm256_cvtepi32_ps(a); }
static inline IntLanes roundToInts(Lanes a) { return _mm256_cvtps_epi32(a); }
/** Eight bytes as ints. */
static inline IntLanes intsOfBytes(const uint8_t* p) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
/** The four bits from `shift` up of each lane. */
template <int shift>
static inline IntLanes nibble(IntLanes a) {
  return _mm256_and_si256(_mm256_srli_epi32(a, shift), _mm256_set1_epi32(15));
}

/** The lowest digit of each lane to the base 256, from -128 to 127; what is left of the lane is divided by 256. */
static inline IntLanes takeDigit(IntLanes& a) {
  const IntLanes digit = _mm256_srai_epi32(_mm256_slli_epi32(a, 24), 24);
  a = _mm256_srai_epi32(_mm256_sub_epi32(a, digit), 8);
  return digit;
}
/** 32 lanes in order as bytes, in whose range they are. */
static inline void storeAsBytes(const IntLanes a[4], int8_t* to) {
  const __m256i words = _mm256_packs_epi16(_mm256_packs_epi32(a[0], a[1]), _mm256_packs_epi32(a[2], a[3]));
  const __m256i inOrder = _mm256_permutevar8x32_epi32(words, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), inOrder);
}

/** Σ of inputs 0 and 1 of quads, and of inputs 2 and 3. */
struct PairSums {
  int16_t sums[2];
};
/** Of the eight quads of 32 bytes, and of the first four of them. */
static inline void pairSums(const int8_t* bytes, PairSums& all, PairSums& firstHalf) {
  const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), x);
  const auto total = [](__m128i quads, PairSums& to) {
    const __m128i two = _mm_add_epi16(quads, _mm_srli_si128(quads, 8));
    const int32_t one = _mm_cvtsi128_si32(_mm_add_epi16(two, _mm_srli_si128(two, 4)));
    std::memcpy(&to, &one, sizeof one);
  };
  total(_mm256_castsi256_si128(pairs), firstHalf);
  total(_mm_add_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1)), all);
}

/** Those of the quads that `part` lacks. */
static inline PairSums restOf(const PairSums& all, const PairSums& part) {
  return {{static_cast<int16_t>(all.sums[0] - part.sums[0]), static_cast<int16_t>(all.sums[1] - part.sums[1])}};
}

/** A quad of codes of each of eight outputs. */
using QuadCodes = __m256i;
/** `mask` of the bits from `shift` up of each byte of half a line. Whole words are shifted: the mask drops what crosses bytes. */
template <int shift, int mask>
static inline QuadCodes quadField(const uint8_t* p) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm256_and_si256(_mm256_srli_epi16(bytes, shift), _mm256_set1_epi8(mask));
}
/** low + 2^at·`mask` of the bits from `shift` up of each byte of half a line, in a byte; those of low are below 2^at. */
template <int at, int shift, int mask>
static inline QuadCodes joinField(QuadCodes low, const uint8_t* p) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i moved = shift >= at ? _mm256_srli_epi16(bytes, shift - at) : _mm256_slli_epi16(bytes, at - shift);
  return _mm256_or_si256(low, _mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(mask << at))));
}
/** Input `i` of each output's quad. */
template <int i>
static inline Lanes inputOf(QuadCodes codes) {
  return _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(codes, 8 * i), _mm256_set1_epi32(255)));
}

/** The bits of `mask` from `shift` up of each 32-bit lane of half a line. */
static inline IntLanes bitsOf(const uint8_t* p, int shift, int mask) {
  const __m256i ints = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm256_and_si256(_mm256_srl_epi32(ints, _mm_cvtsi32_si128(shift)), _mm256_set1_epi32(mask));
}

/** A quad of one row's activations, for all lanes. */
using QuadInputs = __m256i;
static inline QuadInputs quadInputs(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, sizeof four);
  return _mm256_set1_epi32(four);
}

/** Zero points from 0 to 15 of eight outputs, negated and as pairs of words. */
using QuadZeros = __m256i;
static inline QuadZeros quadZeros(IntLanes zeros) {
  const __m256i negative = _mm256_sub_epi32(_mm256_setzero_si256(), zeros);
  return _mm256_blend_epi16(negative, _mm256_slli_epi32(negative, 16), 0xaa);
}
static inline QuadInputs pairsOf(const PairSums& x) { return quadInputs(reinterpret_cast<const int8_t*>(&x)); }

#ifdef __AVX512VNNI__
/** Sums of products of quads, for eight outputs. */
using QuadSums = __m256i;
static inline QuadSums startQuads(QuadZeros zeros, const PairSums& x) { return _mm256_madd_epi16(zeros, pairsOf(x)); }
static inline QuadSums addQuad(QuadSums sums, QuadCodes codes, QuadInputs x) {
  return _mm256_dpbusd_epi32(sums, codes, x);
}
template <int factor>
static inline IntLanes widen(QuadSums sums) {
  return factor == 1 ? sums : _mm256_mullo_epi32(sums, _mm256_set1_epi32(factor));
}
#else
/**
 * Sums of products of quads, for eight outputs: in 16 bits, inputs 0 and 1 apart from 2 and 3. Codes of four bits less
 * a zero point of as many, times bytes of eight quads, fit: 15·128·16 < 2^15. On the way there sums may wrap.
 */
using QuadSums = __m256i;
/** −z·Σx */
static inline QuadSums startQuads(QuadZeros zeros, const PairSums& x) { return _mm256_mullo_epi16(zeros, pairsOf(x)); }
/** sums + Σ code·x over a quad. */
static inline QuadSums addQuad(QuadSums sums, QuadCodes codes, QuadInputs x) {
  return _mm256_add_epi16(sums, _mm256_maddubs_epi16(codes, x));
}
/** factor·sums in 32 bits. */
template <int factor>
static inline IntLanes widen(QuadSums sums) {
  return _mm256_madd_epi16(sums, _mm256_set1_epi16(factor));
}
#endif

/**
 * Keeps a sum in its register at this place of the program: compilers that see many sums at once put products off, and
 * run out of registers.
 */
static inline void pin(QuadSums& sums) { asm volatile("" : "+x"(sums)); }

/** Rows whose sums registers have room for, beside two registers of codes and one of activations. */
constexpr size_t kFastRows = 4;
constexpr size_t kExactRows = 2;

}  // namespace nibblelens::NIBBLELENS_ISA
