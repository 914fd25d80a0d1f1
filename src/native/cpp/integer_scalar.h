// Codes and activations as integers in plain C++. `integer_avx2.h` and `integer_neon.h` declare the same names; the
// former's head tells of quads.
#pragma once

#include <cmath>

#include "lanes_scalar.h"
#include "storage.h"

namespace nibblelens::NIBBLELENS_ISA {

static inline IntLanes loadInts(const int32_t* p) {
  IntLanes a;
  std::memcpy(&a, p, sizeof a);
  return a;
}
static inline void storeInts(int32_t* p, IntLanes a) { std::memcpy(p, &a, sizeof a); }
static inline IntLanes splatInt(int32_t value) { return IntLanes{} + value; }
static inline IntLanes addInts(IntLanes a, IntLanes b) { return a + b; }
static inline Lanes floatsOf(IntLanes a) { return __builtin_convertvector(a, Lanes); }
static inline IntLanes roundToInts(Lanes a) {
  IntLanes ints;
  for (size_t i = 0; i < kLanes; i++) ints[i] = static_cast<int32_t>(std::nearbyint(a[i]));
  return ints;
}
/** Eight bytes as ints. */
static inline IntLanes intsOfBytes(const uint8_t* p) {
  IntLanes a;
  for (size_t i = 0; i < kLanes; i++) a[i] = p[i];
  return a;
}
/** The four bits from `shift` up of each lane. */
template <int shift>
static inline IntLanes nibble(IntLanes a) {
  return (a >> shift) & 15;
}

/** The lowest digit of each lane to the base 256, from -128 to 127; what is left of the lane is divided by 256. */
static inline IntLanes takeDigit(IntLanes& a) {
  const IntLanes digit = ((a + 128) & 255) - 128;
  a = (a - digit) / 256;
  return digit;
}
/** 32 lanes in order as bytes, in whose range they are. */
static inline void storeAsBytes(const IntLanes a[4], int8_t* to) {
  for (size_t k = 0; k < kBlock; k++) to[k] = static_cast<int8_t>(a[k / kLanes][k % kLanes]);
}

/** Σ of inputs 0 and 1 of quads, and of inputs 2 and 3. */
struct PairSums {
  int16_t sums[2];
};
/** Of the eight quads of 32 bytes, and of the first four of them. */
static inline void pairSums(const int8_t* bytes, PairSums& all, PairSums& firstHalf) {
  int sums[2][2] = {};
  for (size_t k = 0; k < kBlock; k++) sums[k / (kBlock / 2)][k / 2 % 2] += bytes[k];
  for (size_t i = 0; i < 2; i++) {
    firstHalf.sums[i] = static_cast<int16_t>(sums[0][i]);
    all.sums[i] = static_cast<int16_t>(sums[0][i] + sums[1][i]);
  }
}

/** Those of the quads that `part` lacks. */
static inline PairSums restOf(const PairSums& all, const PairSums& part) {
  return {{static_cast<int16_t>(all.sums[0] - part.sums[0]), static_cast<int16_t>(all.sums[1] - part.sums[1])}};
}

/** A quad of codes of each of eight outputs. */
struct QuadCodes {
  uint8_t bytes[4 * kLanes];
};
/** `mask` of the bits from `shift` up of each byte of half a line. */
template <int shift, int mask>
[[gnu::noinline]] static QuadCodes quadField(const uint8_t* p) {
  QuadCodes codes;
  for (size_t i = 0; i < 4 * kLanes; i++) codes.bytes[i] = static_cast<uint8_t>(p[i] >> shift & mask);
  return codes;
}
/** low + 2^at·`mask` of the bits from `shift` up of each byte of half a line, in a byte; those of low are below 2^at. */
template <int at, int shift, int mask>
[[gnu::noinline]] static QuadCodes joinField(const QuadCodes& low, const uint8_t* p) {
  QuadCodes codes;
  for (size_t i = 0; i < 4 * kLanes; i++) codes.bytes[i] = static_cast<uint8_t>(low.bytes[i] | (p[i] >> shift & mask) << at);
  return codes;
}
/** Input `i` of each output's quad. */
template <int i>
[[gnu::noinline]] static Lanes inputOf(const QuadCodes& codes) {
  Lanes a;
  for (size_t j = 0; j < kLanes; j++) a[j] = codes.bytes[4 * j + i];
  return a;
}

/** The bits of `mask` from `shift` up of each 32-bit lane of half a line. */
static inline IntLanes bitsOf(const uint8_t* p, int shift, int mask) {
  IntLanes bits;
  std::memcpy(&bits, p, sizeof bits);
  return bits >> shift & mask;
}

/** A quad of one row's activations. */
struct QuadInputs {
  int8_t bytes[4];
};
static inline QuadInputs quadInputs(const int8_t* x) {
  QuadInputs inputs;
  std::memcpy(&inputs, x, sizeof inputs);
  return inputs;
}

/** Zero points from 0 to 15 of eight outputs, negated. */
using QuadZeros = IntLanes;
static inline QuadZeros quadZeros(IntLanes zeros) { return -zeros; }

/** Sums of products of quads, for eight outputs. */
using QuadSums = IntLanes;
/** −z·Σx */
static inline QuadSums startQuads(QuadZeros zeros, const PairSums& x) { return zeros * (x.sums[0] + x.sums[1]); }
/** sums + Σ code·x over a quad. */
[[gnu::noinline]] static QuadSums addQuad(QuadSums sums, const QuadCodes& codes, const QuadInputs& x) {
  for (size_t i = 0; i < kLanes; i++) {
    for (size_t j = 0; j < 4; j++) sums[i] += codes.bytes[4 * i + j] * x.bytes[j];
  }
  return sums;
}
/** factor·sums */
template <int factor>
static inline IntLanes widen(QuadSums sums) {
  return sums * factor;
}
/** Where registers are few, this keeps a sum in its own. */
static inline void pin(QuadSums&) {}

/** Rows whose sums are made at once. */
constexpr size_t kFastRows = 2;
constexpr size_t kExactRows = 1;

}  // namespace nibblelens::NIBBLELENS_ISA
