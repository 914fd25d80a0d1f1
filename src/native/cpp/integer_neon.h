// Codes and activations as integers in NEON registers. `integer_scalar.h` declares the same names, and says by its loops
// what each does; the head of `integer_avx2.h` tells of quads. Here eight outputs take two registers.
//
// Products of bytes are signed, since the baseline has no others of mixed signs: codes of four bits are the same either
// way. Where the compiler may use SDOT, which ARMv8.2 has as an option, it sums a quad's four products into the 32-bit
// lane of their output. Elsewhere SMLAL adds eight products to as many lanes of 16 bits: a register of codes then holds
// half a quad of each of eight outputs, so that both halves' products fall into the same lanes, two to an output. That
// takes two instructions more for every two quads of codes, and leaves half as many sums to hold and to widen.
#pragma once

#include "lanes_neon.h"
#include "storage.h"

namespace nibblelens::NIBBLELENS_ISA {

struct IntLanes {
  int32x4_t low;
  int32x4_t high;
};

static inline IntLanes loadInts(const int32_t* p) { return {vld1q_s32(p), vld1q_s32(p + 4)}; }
static inline void storeInts(int32_t* p, IntLanes a) {
  vst1q_s32(p, a.low);
  vst1q_s32(p + 4, a.high);
}
static inline IntLanes splatInt(int32_t value) { return {vdupq_n_s32(value), vdupq_n_s32(value)}; }
static inline IntLanes addInts(IntLanes a, IntLanes b) { return {vaddq_s32(a.low, b.low), vaddq_s32(a.high, b.high)}; }
static inline Lanes floatsOf(IntLanes a) { return {vcvtq_f32_s32(a.low), vcvtq_f32_s32(a.high)}; }
static inline IntLanes roundToInts(Lanes a) { return {vcvtnq_s32_f32(a.low), vcvtnq_s32_f32(a.high)}; }
/** Eight bytes as ints. */
static inline IntLanes intsOfBytes(const uint8_t* p) {
  const uint16x8_t words = vmovl_u8(vld1_u8(p));
  return {vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(words))), vreinterpretq_s32_u32(vmovl_high_u16(words))};
}
/** The four bits from `shift` up of each lane. */
template <int shift>
static inline IntLanes nibble(IntLanes a) {
  const auto four = [](int32x4_t ints) {
    return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(vshlq_n_s32(ints, 28 - shift)), 28));
  };
  return {four(a.low), four(a.high)};
}

/** The lowest digit of each lane to the base 256, from -128 to 127; what is left of the lane is divided by 256. */
static inline IntLanes takeDigit(IntLanes& a) {
  const auto digit = [](int32x4_t& ints) {
    const int32x4_t lowest = vshrq_n_s32(vshlq_n_s32(ints, 24), 24);
    ints = vrshrq_n_s32(ints, 8);  // rounds halves up, as digits from -128 leave them
    return lowest;
  };
  return {digit(a.low), digit(a.high)};
}
/** Eight ints that fit 16 bits, as words. */
static inline int16x8_t wordsOf(IntLanes a) {
  return vuzp1q_s16(vreinterpretq_s16_s32(a.low), vreinterpretq_s16_s32(a.high));
}
/** 32 lanes in order as bytes, in whose range they are. */
static inline void storeAsBytes(const IntLanes a[4], int8_t* to) {
  for (size_t i = 0; i < 2; i++) {
    const int16x8_t first = wordsOf(a[2 * i]), second = wordsOf(a[2 * i + 1]);
    vst1q_s8(to + 16 * i, vuzp1q_s8(vreinterpretq_s8_s16(first), vreinterpretq_s8_s16(second)));
  }
}

/** Σ of inputs 0 and 2 of quads, and of inputs 1 and 3: products of these share a lane of 16 bits. */
struct PairSums {
  int16_t sums[2];
};
/** Of the eight quads of 32 bytes, and of the first four of them. */
static inline void pairSums(const int8_t* bytes, PairSums& all, PairSums& firstHalf) {
  const int8x16_t first = vld1q_s8(bytes), second = vld1q_s8(bytes + 16);
  const int8x16_t even = vuzp1q_s8(first, second), odd = vuzp2q_s8(first, second);
  firstHalf = {{vaddlv_s8(vget_low_s8(even)), vaddlv_s8(vget_low_s8(odd))}};
  all = {{vaddlvq_s8(even), vaddlvq_s8(odd)}};
}

/** Those of the quads that `part` lacks. */
static inline PairSums restOf(const PairSums& all, const PairSums& part) {
  return {{static_cast<int16_t>(all.sums[0] - part.sums[0]), static_cast<int16_t>(all.sums[1] - part.sums[1])}};
}

/** A quad of codes of each of eight outputs: with SDOT whole ones of outputs 0 … 3, then of 4 … 7; else half ones of all. */
struct QuadCodes {
  uint8x16_t first;
  uint8x16_t second;
};
/** `mask` of the bits from `shift` up of each byte. */
template <int shift, int mask>
static inline uint8x16_t fieldOf(uint8x16_t bytes) {
  if constexpr (shift > 0) bytes = vshrq_n_u8(bytes, shift);
  if constexpr (255 >> shift == mask) return bytes;
  else return vandq_u8(bytes, vdupq_n_u8(mask));
}
/** The same of half a line. */
template <int shift, int mask>
static inline QuadCodes quadField(const uint8_t* p) {
  const uint8x16_t low = vld1q_u8(p), high = vld1q_u8(p + 16);
#ifdef __ARM_FEATURE_DOTPROD
  return {fieldOf<shift, mask>(low), fieldOf<shift, mask>(high)};
#else
  const uint16x8_t lowHalves = vreinterpretq_u16_u8(low), highHalves = vreinterpretq_u16_u8(high);
  return {fieldOf<shift, mask>(vreinterpretq_u8_u16(vuzp1q_u16(lowHalves, highHalves))),
          fieldOf<shift, mask>(vreinterpretq_u8_u16(vuzp2q_u16(lowHalves, highHalves)))};
#endif
}
/** low + 2^at·`mask` of the bits from `shift` up of each byte of half a line, in a byte; those of low are below 2^at. */
template <int at, int shift, int mask>
static inline QuadCodes joinField(QuadCodes low, const uint8_t* p) {
  const QuadCodes high = quadField<shift, mask>(p);
  return {vsliq_n_u8(low.first, high.first, at), vsliq_n_u8(low.second, high.second, at)};
}

/** The bits of `mask` from `shift` up of each 32-bit lane of half a line. */
static inline IntLanes bitsOf(const uint8_t* p, int shift, int mask) {
  const auto four = [shift, mask](const uint8_t* from) {
    const uint32x4_t ints = vreinterpretq_u32_u8(vld1q_u8(from));
    return vreinterpretq_s32_u32(vandq_u32(vshlq_u32(ints, vdupq_n_s32(-shift)), vdupq_n_u32(static_cast<uint32_t>(mask))));
  };
  return {four(p), four(p + 16)};
}

/** Zero points from 0 to 15 of eight outputs, negated. */
using QuadZeros = int16x8_t;
static inline QuadZeros quadZeros(IntLanes zeros) { return vnegq_s16(wordsOf(zeros)); }

/**
 * Four bytes in the low half of a register. The compiler is not to know where they come from, nor that registers spread
 * from them have equal halves: Clang would take LD1R, which spreads in the vector units and has no offset in its
 * address, and SMLAL with another move in place of SMLAL2.
 */
static inline int8x8_t fourBytes(const int8_t* p) {
  uint32_t four;
  std::memcpy(&four, p, sizeof four);
  int8x8_t bytes = vcreate_s8(four);
  asm("" : "+w"(bytes));
  return bytes;
}

#ifdef __ARM_FEATURE_DOTPROD
/** Input `i` of each output's quad. */
template <int i>
static inline Lanes inputOf(QuadCodes codes) {
  const auto four = [](uint8x16_t quads) {
    return vcvtq_f32_u32(vshrq_n_u32(vshlq_n_u32(vreinterpretq_u32_u8(quads), 24 - 8 * i), 24));
  };
  return {four(codes.first), four(codes.second)};
}

/** A quad of one row's activations, in the low half: SDOT takes it for all lanes. */
using QuadInputs = int8x8_t;
static inline QuadInputs quadInputs(const int8_t* x) { return fourBytes(x); }

/** Sums of products of quads, for eight outputs. */
using QuadSums = IntLanes;
/** −z·Σx */
static inline QuadSums startQuads(QuadZeros zeros, const PairSums& x) {
  const auto total = static_cast<int16_t>(x.sums[0] + x.sums[1]);
  return {vmull_n_s16(vget_low_s16(zeros), total), vmull_high_n_s16(zeros, total)};
}
/** sums + Σ code·x over a quad. */
static inline QuadSums addQuad(QuadSums sums, QuadCodes codes, QuadInputs x) {
  return {vdotq_lane_s32(sums.low, vreinterpretq_s8_u8(codes.first), x, 0),
          vdotq_lane_s32(sums.high, vreinterpretq_s8_u8(codes.second), x, 0)};
}
/** factor·sums */
template <int factor>
static inline IntLanes widen(QuadSums sums) {
  return {vmulq_n_s32(sums.low, factor), vmulq_n_s32(sums.high, factor)};
}
#else
/** Input `i` of each output's quad. */
template <int i>
static inline Lanes inputOf(QuadCodes codes) {
  const uint16x8_t halves = vreinterpretq_u16_u8(i < 2 ? codes.first : codes.second);
  const uint16x8_t words = vshrq_n_u16(vshlq_n_u16(halves, 8 - i % 2 * 8), 8);
  return {vcvtq_f32_u32(vmovl_u16(vget_low_u16(words))), vcvtq_f32_u32(vmovl_high_u16(words))};
}

/** A quad of one row's activations: inputs 0 and 1 for all outputs, then 2 and 3. */
struct QuadInputs {
  int8x16_t first;
  int8x16_t second;
};
static inline QuadInputs quadInputs(const int8_t* x) {
  const int16x4_t halves = vreinterpret_s16_s8(fourBytes(x));
  QuadInputs inputs{vreinterpretq_s8_s16(vdupq_lane_s16(halves, 0)), vreinterpretq_s8_s16(vdupq_lane_s16(halves, 1))};
  asm("" : "+w"(inputs.first), "+w"(inputs.second));
  return inputs;
}

/**
 * Sums of products of quads: in 16 bits, outputs 0 … 3 and then 4 … 7, inputs 0 and 2 of each apart from 1 and 3. Codes
 * of four bits less a zero point of as many, times bytes of eight quads, fit: 15·128·16 < 2^15. On the way there sums
 * may wrap.
 */
struct QuadSums {
  int16x8_t low;
  int16x8_t high;
};
/** −z·Σx */
static inline QuadSums startQuads(QuadZeros zeros, const PairSums& x) {
  int32_t both;
  std::memcpy(&both, &x, sizeof both);
  const int16x8_t pairs = vreinterpretq_s16_s32(vdupq_n_s32(both));
  return {vmulq_s16(vzip1q_s16(zeros, zeros), pairs), vmulq_s16(vzip2q_s16(zeros, zeros), pairs)};
}
/** sums + Σ code·x over a quad. */
static inline QuadSums addQuad(QuadSums sums, QuadCodes codes, QuadInputs x) {
  const int8x16_t first = vreinterpretq_s8_u8(codes.first), second = vreinterpretq_s8_u8(codes.second);
  const int16x8_t low = vmlal_s8(sums.low, vget_low_s8(first), vget_low_s8(x.first));
  const int16x8_t high = vmlal_high_s8(sums.high, first, x.first);
  return {vmlal_s8(low, vget_low_s8(second), vget_low_s8(x.second)), vmlal_high_s8(high, second, x.second)};
}
/** factor·sums in 32 bits. */
template <int factor>
static inline IntLanes widen(QuadSums sums) {
  return {vmulq_n_s32(vpaddlq_s16(sums.low), factor), vmulq_n_s32(vpaddlq_s16(sums.high), factor)};
}
#endif

/** Keeps a sum in its registers at this place of the program, for the reason that `integer_avx2.h` has. */
static inline void pin(QuadSums& sums) { asm volatile("" : "+w"(sums.low), "+w"(sums.high)); }

/** Rows whose sums, 16 and 24 registers, have room beside four of codes, two of activations and a mask; passes are of fours. */
constexpr size_t kFastRows = 4;
constexpr size_t kExactRows = 2;

}  // namespace nibblelens::NIBBLELENS_ISA
