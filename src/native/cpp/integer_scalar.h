// Codes and activations as integers in plain C++. `integer_avx2.h` and `integer_neon.h` declare the same names; the
// former's head tells of runs, stretches and lanes.
#pragma once

#include <cmath>

#include "lanes_scalar.h"
#include "storage.h"

namespace nibblelens::NIBBLELENS_ISA {

/** The codes of a run, in bytes. */
struct Codes {
  uint8_t even[32];
  uint8_t odd[32];
};

/** Adds the bits of a plane for one run of a stretch, moved up to `to`. */
template <int planeBits, int run, bool half, int to>
static inline void addPlane(const uint8_t* plane, Codes& codes) {
  constexpr int runs = 4 / planeBits;
  constexpr int shift = 2 * planeBits * (run % runs);
  constexpr int mask = (1 << planeBits) - 1;
  for (size_t j = 0; j < (half ? 16 : 32); j++) {
    const int byte = plane[run / runs * 32 + j];
    codes.even[j] = static_cast<uint8_t>(codes.even[j] | (byte >> shift & mask) << to);
    codes.odd[j] = static_cast<uint8_t>(codes.odd[j] | (byte >> (shift + planeBits) & mask) << to);
  }
}

/** The codes of one run of a stretch whose planes start at `low` and `high`; where `half`, of its first 32 inputs. */
template <int bits, int run, bool half>
static inline Codes loadCodes(const uint8_t* low, const uint8_t* high) {
  Codes codes{};
  if constexpr (bits == 8) {
    for (size_t part = 0; part < (half ? 1 : 2); part++) {
      std::memcpy(codes.even + 16 * part, low + run * 64 + 32 * part, 16);
      std::memcpy(codes.odd + 16 * part, low + run * 64 + 32 * part + 16, 16);
    }
  } else {
    constexpr int lowBits = static_cast<int>(PackedMatrix::lowBitsOf(bits));
    addPlane<lowBits, run, half, 0>(low, codes);
    if constexpr (bits > lowBits) addPlane<bits - lowBits, run, half, lowBits>(high, codes);
  }
  return codes;
}

/** 64 codes in the order of inputs, as floats. */
static inline void storeCodes(const Codes& codes, float* to) {
  for (size_t j = 0; j < 32; j++) {
    to[2 * j] = codes.even[j];
    to[2 * j + 1] = codes.odd[j];
  }
}
/** The 32 even and then the 32 odd ones. */
static inline void storeCodeBytes(const Codes& codes, uint8_t* to) {
  std::memcpy(to, codes.even, 32);
  std::memcpy(to + 32, codes.odd, 32);
}

/** What `dotBytes` takes from each code. */
template <int>
constexpr int kByteBase = 0;

/** Σ (q − kByteBase)·x of each lane's inputs; x are 64 bytes, even inputs first, from -127 to 127. */
template <int>
static inline IntLanes dotBytes(const Codes& codes, const int8_t* x) {
  IntLanes sums;
  for (size_t i = 0; i < kLanes; i++) {
    int32_t sum = 0;
    for (size_t j = 4 * i; j < 4 * i + 4; j++) sum += codes.even[j] * x[j] + codes.odd[j] * x[32 + j];
    sums[i] = sum;
  }
  return sums;
}

/** Codes as words: the even ones' even and odd bytes, then the odd ones'. */
struct CodeWords {
  int16_t words[64];
};

static inline CodeWords wordsOf(const Codes& codes) {
  CodeWords words;
  for (size_t j = 0; j < 16; j++) {
    words.words[j] = codes.even[2 * j];
    words.words[16 + j] = codes.even[2 * j + 1];
    words.words[32 + j] = codes.odd[2 * j];
    words.words[48 + j] = codes.odd[2 * j + 1];
  }
  return words;
}

template <int bits, int run, bool half>
static inline CodeWords loadCodeWords(const uint8_t* low, const uint8_t* high) {
  return wordsOf(loadCodes<bits, run, half>(low, high));
}

/** Σ q·x of each lane's inputs; x are 64 words in the order of `wordsOf`. */
static inline IntLanes dotWords(const CodeWords& codes, const int16_t* x) {
  IntLanes sums;
  for (size_t i = 0; i < kLanes; i++) {
    int32_t sum = 0;
    for (size_t part = 0; part < 64; part += 16) {
      for (size_t j = part + 2 * i; j < part + 2 * i + 2; j++) sum += codes.words[j] * x[j];
    }
    sums[i] = sum;
  }
  return sums;
}

static inline IntLanes loadInts(const int32_t* p) {
  IntLanes a;
  std::memcpy(&a, p, sizeof a);
  return a;
}
static inline void storeInts(int32_t* p, IntLanes a) { std::memcpy(p, &a, sizeof a); }
static inline IntLanes splatInt(int32_t value) { return IntLanes{} + value; }
static inline IntLanes addInts(IntLanes a, IntLanes b) { return a + b; }
static inline IntLanes subInts(IntLanes a, IntLanes b) { return a - b; }
static inline IntLanes mulInts(IntLanes a, IntLanes b) { return a * b; }
template <int by>
static inline IntLanes shiftedUp(IntLanes a) {
  return a * (1 << by);
}
static inline Lanes floatsOf(IntLanes a) { return __builtin_convertvector(a, Lanes); }
static inline IntLanes roundToInts(Lanes a) {
  IntLanes ints;
  for (size_t i = 0; i < kLanes; i++) ints[i] = static_cast<int32_t>(std::nearbyint(a[i]));
  return ints;
}
/** The first `count` lanes, at most eight; the others are 0. */
static inline IntLanes loadBytesSome(const uint8_t* p, size_t count) {
  IntLanes a{};
  for (size_t i = 0; i < count; i++) a[i] = p[i];
  return a;
}
static inline Lanes loadF16Some(const uint16_t* p, size_t count) {
  Lanes a = zeroLanes();
  for (size_t i = 0; i < count; i++) a[i] = f16ToFloat(p[i]);
  return a;
}

/** Eight values, one for every 32 inputs of a stretch, in the order that `spread` wants. */
static inline Lanes forSpread(Lanes a) { return a; }
/** The lane that `forSpread` puts value i in. */
static inline size_t spreadLane(size_t i) { return i; }
/** The value of each lane's inputs in a run. */
template <int run>
static inline Lanes spread(Lanes a) {
  const float first = a[2 * run];
  const float second = a[2 * run + 1];
  return Lanes{first, first, first, first, second, second, second, second};
}
/** The first 8 / copies values, each `copies` times; copies is 1, 2, 4 or 8. */
static inline Lanes repeatEach(Lanes a, size_t copies) {
  Lanes repeated;
  for (size_t i = 0; i < kLanes; i++) repeated[i] = a[i / copies];
  return repeated;
}
static inline Lanes asLanes(IntLanes a) {
  Lanes same;
  std::memcpy(&same, &a, sizeof same);
  return same;
}
static inline IntLanes asInts(Lanes a) {
  IntLanes same;
  std::memcpy(&same, &a, sizeof same);
  return same;
}

/** x[0 … 63] of bytes as the even and the odd ones. */
static inline void storeRunBytes(const IntLanes ints[8], int8_t* to) {
  for (size_t k = 0; k < 64; k++) to[k % 2 * 32 + k / 2] = static_cast<int8_t>(ints[k / 8][k % 8]);
}
/** x of a run as words in the order of `wordsOf`; each int fits 16 bits. */
static inline void storeRunWords(const IntLanes ints[8], int16_t* to) {
  constexpr size_t kPart[4] = {0, 2, 1, 3};
  for (size_t k = 0; k < 64; k++) to[kPart[k % 4] * 16 + k / 4] = static_cast<int16_t>(ints[k / 8][k % 8]);
}

/** Rows whose sums are made at once. */
constexpr size_t kQuadRows = 4;
/** Sums of products of four inputs, for eight outputs. */
using QuadSums = IntLanes;
/** Quads that a `QuadSums` can take before it is widened, codes as large as `bits` says. */
template <int>
constexpr size_t kQuads = 8;
static inline QuadSums zeroQuads() { return QuadSums{}; }
/** Four codes of each of eight outputs. */
struct QuadCodes {
  uint8_t bytes[32];
};
static inline QuadCodes loadQuads(const uint8_t* p) {
  QuadCodes codes;
  std::memcpy(&codes, p, sizeof codes);
  return codes;
}
/** sums + Σ over four inputs of codes[output][input]·x[input]; codes of eight outputs, x of one row. */
static inline QuadSums addQuad(QuadSums sums, const QuadCodes& codes, const int8_t* x) {
  for (size_t i = 0; i < kLanes; i++) {
    int32_t sum = 0;
    for (size_t j = 0; j < 4; j++) sum += codes.bytes[4 * i + j] * x[j];
    sums[i] += sum;
  }
  return sums;
}
static inline IntLanes widen(QuadSums sums) { return sums; }

}  // namespace nibblelens::NIBBLELENS_ISA
