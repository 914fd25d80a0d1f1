// Codes and activations as integers in NEON registers. `integer_scalar.h` declares the same names, and says by its loops
// what each does; the head of `integer_avx2.h` tells of runs, stretches and lanes.
//
// Products of bytes are signed, since the baseline has no others of mixed signs. Where the compiler may use SDOT, which
// ARMv8.2 has as an option, it sums four of them into a lane; elsewhere SMULL and SMLAL leave sums of 16 bits to widen.
#pragma once

#include "lanes_neon.h"
#include "storage.h"

namespace nibblelens::NIBBLELENS_ISA {

struct IntLanes {
  int32x4_t low;
  int32x4_t high;
};

/** The codes of a run, in bytes: the first half of its inputs, then the second. */
struct Codes {
  uint8x16_t even[2];
  uint8x16_t odd[2];
};

/** Bits at `from` of each byte, moved to `to`. */
template <int from, int to, int mask>
static inline uint8x16_t field(uint8x16_t bytes) {
  if constexpr (from > to) {
    const uint8x16_t moved = vshrq_n_u8(bytes, from - to);
    if constexpr (255 >> (from - to) == mask << to) return moved;
    else return vandq_u8(moved, vdupq_n_u8(static_cast<uint8_t>(mask << to)));
  } else {
    uint8x16_t moved = bytes;
    if constexpr (from < to) moved = vshlq_n_u8(bytes, to - from);
    return vandq_u8(moved, vdupq_n_u8(static_cast<uint8_t>(mask << to)));
  }
}

/** The bits of a plane for one run of a stretch, moved up to `to`. */
template <int planeBits, int run, bool half, int to>
static inline Codes planeCodes(const uint8_t* plane) {
  constexpr int runs = 4 / planeBits;
  constexpr int shift = 2 * planeBits * (run % runs);
  constexpr int mask = (1 << planeBits) - 1;
  const uint8_t* const from = plane + run / runs * 32;
  const uint8x16_t first = vld1q_u8(from);
  const uint8x16_t second = half ? vdupq_n_u8(0) : vld1q_u8(from + (half ? 0 : 16));
  return {{field<shift, to, mask>(first), field<shift, to, mask>(second)},
          {field<shift + planeBits, to, mask>(first), field<shift + planeBits, to, mask>(second)}};
}

/** The codes of one run of a stretch whose planes start at `low` and `high`; where `half`, of its first 32 inputs. */
template <int bits, int run, bool half>
static inline Codes loadCodes(const uint8_t* low, const uint8_t* high) {
  if constexpr (bits == 8) {
    const uint8_t* const from = low + run * 64;
    const uint8x16_t none = vdupq_n_u8(0);
    if constexpr (half) return {{vld1q_u8(from), none}, {vld1q_u8(from + 16), none}};
    else return {{vld1q_u8(from), vld1q_u8(from + 32)}, {vld1q_u8(from + 16), vld1q_u8(from + 48)}};
  } else {
    constexpr int lowBits = static_cast<int>(PackedMatrix::lowBitsOf(bits));
    const Codes lower = planeCodes<lowBits, run, half, 0>(low);
    if constexpr (bits == lowBits) return lower;
    else {
      const Codes upper = planeCodes<bits - lowBits, run, half, lowBits>(high);
      return {{vorrq_u8(lower.even[0], upper.even[0]), vorrq_u8(lower.even[1], upper.even[1])},
              {vorrq_u8(lower.odd[0], upper.odd[0]), vorrq_u8(lower.odd[1], upper.odd[1])}};
    }
  }
}

/** Eight words as floats. */
static inline Lanes floatsOfWords(uint16x8_t words) {
  return {vcvtq_f32_u32(vmovl_u16(vget_low_u16(words))), vcvtq_f32_u32(vmovl_high_u16(words))};
}

/** 64 codes in the order of inputs, as floats. */
static inline void storeCodes(const Codes& codes, float* to) {
  const auto store16 = [](uint8x16_t bytes, float* at) {
    store(at, floatsOfWords(vmovl_u8(vget_low_u8(bytes))));
    store(at + 8, floatsOfWords(vmovl_high_u8(bytes)));
  };
  for (size_t i = 0; i < 2; i++) {
    store16(vzip1q_u8(codes.even[i], codes.odd[i]), to + 32 * i);
    store16(vzip2q_u8(codes.even[i], codes.odd[i]), to + 32 * i + 16);
  }
}
/** The 32 even and then the 32 odd ones. */
static inline void storeCodeBytes(const Codes& codes, uint8_t* to) {
  for (size_t i = 0; i < 2; i++) {
    vst1q_u8(to + 16 * i, codes.even[i]);
    vst1q_u8(to + 32 + 16 * i, codes.odd[i]);
  }
}

/** What `dotBytes` takes from each code, so that it is a signed byte. */
template <int bits>
constexpr int kByteBase = bits == 8 ? 128 : 0;

/** Σ of products of bytes by fours, the even and the odd ones together; codes are at most as large as `bits` says. */
template <int bits>
static inline int32x4_t dotFours(int8x16_t even, int8x16_t odd, int8x16_t xEven, int8x16_t xOdd) {
#ifdef __ARM_FEATURE_DOTPROD
  return vdotq_s32(vdotq_s32(vdupq_n_s32(0), even, xEven), odd, xOdd);
#else
  // two products fit 16 bits: 2·128·127
  const int16x8_t low = vmlal_s8(vmull_s8(vget_low_s8(even), vget_low_s8(xEven)), vget_low_s8(odd), vget_low_s8(xOdd));
  const int16x8_t high = vmlal_high_s8(vmull_high_s8(even, xEven), odd, xOdd);
  if constexpr (bits == 8) return vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high));
  else return vpaddlq_s16(vpaddq_s16(low, high));  // four fit as well: 4·63·127
#endif
}

/** Σ (q − kByteBase)·x of each lane's inputs; x are 64 bytes, even inputs first, from -127 to 127. */
template <int bits>
static inline IntLanes dotBytes(const Codes& codes, const int8_t* x) {
  const auto signedOf = [](uint8x16_t bytes) {
    if constexpr (bits == 8) bytes = veorq_u8(bytes, vdupq_n_u8(0x80));
    return vreinterpretq_s8_u8(bytes);
  };
  const auto half = [&](size_t i) {
    return dotFours<bits>(signedOf(codes.even[i]), signedOf(codes.odd[i]), vld1q_s8(x + 16 * i),
                          vld1q_s8(x + 32 + 16 * i));
  };
  return {half(0), half(1)};
}

/** Codes as words: the even ones' even and odd bytes, then the odd ones'; two registers each. */
struct CodeWords {
  int16x8_t words[4][2];
};

static inline CodeWords wordsOf(const Codes& codes) {
  CodeWords words;
  for (size_t i = 0; i < 2; i++) {
    const uint16x8_t even = vreinterpretq_u16_u8(codes.even[i]), odd = vreinterpretq_u16_u8(codes.odd[i]);
    words.words[0][i] = vreinterpretq_s16_u16(vandq_u16(even, vdupq_n_u16(255)));
    words.words[1][i] = vreinterpretq_s16_u16(vshrq_n_u16(even, 8));
    words.words[2][i] = vreinterpretq_s16_u16(vandq_u16(odd, vdupq_n_u16(255)));
    words.words[3][i] = vreinterpretq_s16_u16(vshrq_n_u16(odd, 8));
  }
  return words;
}

template <int bits, int run, bool half>
static inline CodeWords loadCodeWords(const uint8_t* low, const uint8_t* high) {
  return wordsOf(loadCodes<bits, run, half>(low, high));
}

/** Σ q·x of each lane's inputs; x are 64 words in the order of `wordsOf`. */
static inline IntLanes dotWords(const CodeWords& codes, const int16_t* x) {
  // The words of a part are two to a lane: their sums stay apart to the end.
  const auto half = [&](size_t i) {
    int32x4_t low = vdupq_n_s32(0), high = vdupq_n_s32(0);
    for (size_t part = 0; part < 4; part++) {
      const int16x8_t input = vld1q_s16(x + 16 * part + 8 * i);
      low = vmlal_s16(low, vget_low_s16(codes.words[part][i]), vget_low_s16(input));
      high = vmlal_high_s16(high, codes.words[part][i], input);
    }
    return vpaddq_s32(low, high);
  };
  return {half(0), half(1)};
}

static inline IntLanes loadInts(const int32_t* p) { return {vld1q_s32(p), vld1q_s32(p + 4)}; }
static inline void storeInts(int32_t* p, IntLanes a) {
  vst1q_s32(p, a.low);
  vst1q_s32(p + 4, a.high);
}
static inline IntLanes splatInt(int32_t value) { return {vdupq_n_s32(value), vdupq_n_s32(value)}; }
static inline IntLanes addInts(IntLanes a, IntLanes b) { return {vaddq_s32(a.low, b.low), vaddq_s32(a.high, b.high)}; }
static inline IntLanes subInts(IntLanes a, IntLanes b) { return {vsubq_s32(a.low, b.low), vsubq_s32(a.high, b.high)}; }
static inline IntLanes mulInts(IntLanes a, IntLanes b) { return {vmulq_s32(a.low, b.low), vmulq_s32(a.high, b.high)}; }
template <int by>
static inline IntLanes shiftedUp(IntLanes a) {
  return {vshlq_n_s32(a.low, by), vshlq_n_s32(a.high, by)};
}
static inline Lanes floatsOf(IntLanes a) { return {vcvtq_f32_s32(a.low), vcvtq_f32_s32(a.high)}; }
static inline IntLanes roundToInts(Lanes a) { return {vcvtnq_s32_f32(a.low), vcvtnq_s32_f32(a.high)}; }

/** The first `count` lanes, at most eight; the others are 0. */
static inline IntLanes loadBytesSome(const uint8_t* p, size_t count) {
  uint8_t padded[kLanes] = {};
  for (size_t i = 0; i < count; i++) padded[i] = p[i];
  const uint16x8_t words = vmovl_u8(vld1_u8(padded));
  return {vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(words))), vreinterpretq_s32_u32(vmovl_high_u16(words))};
}
static inline Lanes loadF16Some(const uint16_t* p, size_t count) {
  if (count == kLanes) return loadF16(p);
  uint16_t padded[kLanes] = {};
  for (size_t i = 0; i < count; i++) padded[i] = p[i];
  return loadF16(padded);
}

/** Eight values, one for every 32 inputs of a stretch, in the order that `spread` wants. */
static inline Lanes forSpread(Lanes a) { return a; }
/** The lane that `forSpread` puts value i in. */
static inline size_t spreadLane(size_t i) { return i; }
/** The value of each lane's inputs in a run. */
template <int run>
static inline Lanes spread(Lanes a) {
  const float32x4_t of = run < 2 ? a.low : a.high;
  return {vdupq_laneq_f32(of, 2 * run % 4), vdupq_laneq_f32(of, 2 * run % 4 + 1)};
}
/** The first 8 / copies values, each `copies` times; copies is 1, 2, 4 or 8. */
static inline Lanes repeatEach(Lanes a, size_t copies) {
  if (copies == 1) return a;
  if (copies == 2) return {vzip1q_f32(a.low, a.low), vzip2q_f32(a.low, a.low)};
  const float32x4_t first = vdupq_laneq_f32(a.low, 0);
  return {first, copies == 4 ? vdupq_laneq_f32(a.low, 1) : first};
}
static inline Lanes asLanes(IntLanes a) { return {vreinterpretq_f32_s32(a.low), vreinterpretq_f32_s32(a.high)}; }
static inline IntLanes asInts(Lanes a) { return {vreinterpretq_s32_f32(a.low), vreinterpretq_s32_f32(a.high)}; }

/** Eight ints that fit 16 bits, as words. */
static inline int16x8_t narrowed(IntLanes a) {
  return vuzp1q_s16(vreinterpretq_s16_s32(a.low), vreinterpretq_s16_s32(a.high));
}

/** x[0 … 63] of bytes as the even and the odd ones. */
static inline void storeRunBytes(const IntLanes ints[8], int8_t* to) {
  const auto bytes = [&](size_t i) {
    return vuzp1q_s8(vreinterpretq_s8_s16(narrowed(ints[i])), vreinterpretq_s8_s16(narrowed(ints[i + 1])));
  };
  for (size_t i = 0; i < 2; i++) {
    const int8x16_t first = bytes(4 * i), second = bytes(4 * i + 2);
    vst1q_s8(to + 16 * i, vuzp1q_s8(first, second));
    vst1q_s8(to + 32 + 16 * i, vuzp2q_s8(first, second));
  }
}
/** x of a run as words in the order of `wordsOf`; each int fits 16 bits. */
static inline void storeRunWords(const IntLanes ints[8], int16_t* to) {
  for (size_t i = 0; i < 2; i++) {
    const int16x8_t a = narrowed(ints[4 * i]), b = narrowed(ints[4 * i + 1]);
    const int16x8_t c = narrowed(ints[4 * i + 2]), d = narrowed(ints[4 * i + 3]);
    const int16x8_t evenLow = vuzp1q_s16(a, b), evenHigh = vuzp1q_s16(c, d);
    const int16x8_t oddLow = vuzp2q_s16(a, b), oddHigh = vuzp2q_s16(c, d);
    vst1q_s16(to + 8 * i, vuzp1q_s16(evenLow, evenHigh));       // inputs 4j
    vst1q_s16(to + 16 + 8 * i, vuzp2q_s16(evenLow, evenHigh));  // 4j + 2
    vst1q_s16(to + 32 + 8 * i, vuzp1q_s16(oddLow, oddHigh));    // 4j + 1
    vst1q_s16(to + 48 + 8 * i, vuzp2q_s16(oddLow, oddHigh));    // 4j + 3
  }
}

/** Four codes of each of eight outputs. */
struct QuadCodes {
  int8x16_t low;
  int8x16_t high;
};
static inline QuadCodes loadQuads(const uint8_t* p) {
  return {vreinterpretq_s8_u8(vld1q_u8(p)), vreinterpretq_s8_u8(vld1q_u8(p + 16))};
}
/** x of four inputs, four times. */
static inline int8x16_t fourInputs(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, sizeof four);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

#ifdef __ARM_FEATURE_DOTPROD
/** Rows whose `QuadSums`, four registers of two lane rows, registers have room for. */
constexpr size_t kQuadRows = 4;
/** Sums of products of four inputs, for eight outputs. */
using QuadSums = IntLanes;
/** Quads that a `QuadSums` can take before it is widened, codes as large as `bits` says. */
template <int>
constexpr size_t kQuads = 8;
static inline QuadSums zeroQuads() { return splatInt(0); }
/** sums + Σ over four inputs of codes[output][input]·x[input]; codes of eight outputs, x of one row. */
static inline QuadSums addQuad(QuadSums sums, QuadCodes codes, const int8_t* x) {
  const int8x16_t inputs = fourInputs(x);
  return {vdotq_s32(sums.low, codes.low, inputs), vdotq_s32(sums.high, codes.high, inputs)};
}
static inline IntLanes widen(QuadSums sums) { return sums; }
#else
/** Rows whose `QuadSums`, eight registers of two lane rows, registers have room for. */
constexpr size_t kQuadRows = 2;
/** Sums of products, four for each of eight outputs. */
struct QuadSums {
  int16x8_t products[4];
};
/** Quads that a `QuadSums` can take before it is widened, codes as large as `bits` says: 16 bits hold 4·63·127. */
template <int bits>
constexpr size_t kQuads = bits <= 5 ? 8 : 4;
static inline QuadSums zeroQuads() {
  const int16x8_t zeros = vdupq_n_s16(0);
  return {{zeros, zeros, zeros, zeros}};
}
/** sums + the products of codes[output][input] and x[input] over four inputs; codes of eight outputs, x of one row. */
static inline QuadSums addQuad(QuadSums sums, QuadCodes codes, const int8_t* x) {
  const int8x16_t inputs = fourInputs(x);
  return {{vmlal_s8(sums.products[0], vget_low_s8(codes.low), vget_low_s8(inputs)),
           vmlal_high_s8(sums.products[1], codes.low, inputs),
           vmlal_s8(sums.products[2], vget_low_s8(codes.high), vget_low_s8(inputs)),
           vmlal_high_s8(sums.products[3], codes.high, inputs)}};
}
static inline IntLanes widen(const QuadSums& sums) {
  const auto outputs = [&](size_t i) {
    return vpaddq_s32(vpaddlq_s16(sums.products[i]), vpaddlq_s16(sums.products[i + 1]));
  };
  return {outputs(0), outputs(2)};
}
#endif

}  // namespace nibblelens::NIBBLELENS_ISA
