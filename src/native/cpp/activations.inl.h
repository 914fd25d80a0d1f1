// Rows of activations as integers, ready for products with codes. Each block of 32 inputs has a scale:
// - `fast`: bytes, x ≈ scale·byte with scale = max|x| / 127;
// - `exact`: numbers of three digits to the base 256, each a byte from -128 to 127, with scale ≈ max|x| / 2^23. Inputs
//   that would lose more than 2^-17 of themselves, being small beside the largest, are few: what they lose is kept apart,
//   as (input, remainder) pairs that products add in float. Where they are not few, the block has four digits, with
//   scale ≈ max|x| / 2^31.
#pragma once

#include <cfloat>
#include <cmath>

#include "loops.inl.h"
#include "storage.h"

namespace nibblelens::NIBBLELENS_ISA {

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/** What an exact row leaves out. */
struct Remainder {
  uint32_t input;
  float value;
};

/** The integers of 32 inputs; a row's last one is filled up with zeros. */
template <size_t digits>
struct PreparedBlock {
  /** The highest digit first. */
  int8_t bytes[digits][kBlock];
  PairSums sums[digits];
  /** Those of inputs 0 … 15. */
  PairSums firstHalf[digits];
  float scale;
  /** Σx as the integers have it. */
  float total;
  /** Digits in use: 3 of 4, or all. */
  uint32_t used;
};
template <Mode mode>
using BlockOf = PreparedBlock<mode == Mode::fast ? 1 : 4>;

/** Views of one row. */
struct PreparedRow {
  /** [blocks] of BlockOf<mode>. */
  const void* blocks;
  const Remainder* remainders;
  size_t remainderCount;
};

/** Where prepared rows are in a buffer of floats. */
class PreparedRows {
 public:
  PreparedRows(Mode mode, size_t inFeatures) : mode_(mode), inFeatures_(inFeatures) {
    const size_t blockBytes = mode == Mode::fast ? sizeof(BlockOf<Mode::fast>) : sizeof(BlockOf<Mode::exact>);
    blockFloats_ = PackedMatrix::blocksOf(inFeatures) * blockBytes / sizeof(float);
    remainderFloats_ = mode == Mode::fast ? 0 : (inFeatures + 1) * sizeof(Remainder) / sizeof(float);
  }

  size_t floatsPerRow() const { return blockFloats_ + remainderFloats_; }

  /** Prepares row `row` of the buffer from x. */
  PreparedRow prepare(const float* x, float* buffer, size_t row) const {
    float* const at = buffer + row * floatsPerRow();
    auto* const remainders = reinterpret_cast<Remainder*>(at + blockFloats_);
    PreparedRow found{at, remainders, 0};
    for (size_t first = 0, block = 0; first < inFeatures_; first += kBlock, block++) {
      const float* from = x + first;
      float padded[kBlock];
      if (inFeatures_ - first < kBlock) {
        std::memset(padded, 0, sizeof padded);
        std::memcpy(padded, from, (inFeatures_ - first) * sizeof(float));
        from = padded;
      }
      if (mode_ == Mode::fast) {
        prepareByte(from, reinterpret_cast<BlockOf<Mode::fast>*>(at)[block]);
      } else {
        auto& to = reinterpret_cast<BlockOf<Mode::exact>*>(at)[block];
        found.remainderCount += prepareDigits(from, first, to, remainders + found.remainderCount);
      }
    }
    return found;
  }

 private:
  static constexpr size_t kRegisters = kBlock / kLanes;
  /** The largest numbers of three and of four digits are 0x7f7f7f and 0x7f7f7f7f; less what rounding may add. */
  static constexpr float kMostOfThree = 8355000.0f;
  static constexpr float kMostOfFour = 2.139e9f;
  /** Part of itself that an input may lose. */
  static constexpr float kTolerance = 0x1p-17f;
  /** Remainders of a block that cost less than a fourth digit. */
  static constexpr size_t kFewRemainders = 4;
  /** Scales below would have no ordinary reciprocal. */
  static constexpr float kLeastScale = 0x1p-120f;

  static Lanes magnitude(Lanes a) { return maximum(a, sub(zeroLanes(), a)); }

  /** max|x|, or NaN where some x is no finite number. */
  static float largest(const float* x) {
    Lanes most = zeroLanes();
    Lanes zeros = zeroLanes();  // 0·x, NaN where x is not finite
    for (size_t i = 0; i < kBlock; i += kLanes) {
      const Lanes a = load(x + i);
      most = maximum(magnitude(a), most);
      zeros = mulAdd(a, zeroLanes(), zeros);
    }
    return sum(zeros) == 0 ? maximumOf(most) : NAN;
  }

  /** ints = round(x / scale); gives how many remainders it wrote. */
  static size_t round(const float* x, size_t first, float scale, IntLanes* ints, Remainder* remainders) {
    const Lanes factor = splat(1 / scale);
    Lanes most = splat(-1);  // max(|lost| − tolerance·|x|)
    Lanes lost[kRegisters];
    for (size_t i = 0; i < kRegisters; i++) {
      const Lanes a = load(x + i * kLanes);
      ints[i] = roundToInts(mul(a, factor));
      lost[i] = mulAdd(sub(zeroLanes(), floatsOf(ints[i])), splat(scale), a);
      most = maximum(mulAdd(splat(-kTolerance), magnitude(a), magnitude(lost[i])), most);
    }
    if (!(maximumOf(most) > 0)) return 0;
    float values[kBlock];
    for (size_t i = 0; i < kRegisters; i++) store(values + i * kLanes, lost[i]);
    size_t count = 0;
    for (size_t k = 0; k < kBlock; k++) {
      remainders[count] = {static_cast<uint32_t>(first + k), values[k]};
      if (std::fabs(values[k]) > kTolerance * std::fabs(x[k])) count++;
    }
    return count;
  }

  template <size_t digits>
  static void storeDigit(const IntLanes* ints, size_t digit, PreparedBlock<digits>& to) {
    storeAsBytes(ints, to.bytes[digit]);
    pairSums(to.bytes[digit], to.sums[digit], to.firstHalf[digit]);
  }

  static float sumOf(const PairSums& pairs) { return static_cast<float>(pairs.sums[0] + pairs.sums[1]); }

  template <size_t digits>
  static void clear(float scale, PreparedBlock<digits>& to) {
    std::memset(&to, 0, sizeof to);
    to.scale = scale;
    to.total = scale;
    to.used = 3;
  }

  static void prepareByte(const float* x, BlockOf<Mode::fast>& to) {
    const float most = largest(x);
    const float scale = most / 127;
    // Where there is no scale, or no ordinary reciprocal of it, x is 0 or no number.
    if (!(scale >= kLeastScale)) return clear(most >= 0 ? 0 : most, to);
    IntLanes ints[kRegisters];
    const Lanes factor = splat(127 / most);
    for (size_t i = 0; i < kRegisters; i++) ints[i] = roundToInts(mul(load(x + i * kLanes), factor));
    storeDigit(ints, 0, to);
    to.scale = scale;
    to.total = scale * sumOf(to.sums[0]);
  }

  /** Gives how many remainders it wrote. */
  static size_t prepareDigits(const float* x, size_t first, BlockOf<Mode::exact>& to, Remainder* remainders) {
    const float most = largest(x);
    if (!(most > 0)) {
      clear(most, to);
      return 0;
    }
    const auto scaleFor = [most](float whole) { return most / whole > kLeastScale ? most / whole : kLeastScale; };
    IntLanes ints[kRegisters];
    to.scale = scaleFor(kMostOfThree);
    to.used = 3;
    size_t count = round(x, first, to.scale, ints, remainders);
    if (count > kFewRemainders) {
      to.scale = scaleFor(kMostOfFour);
      to.used = 4;
      count = round(x, first, to.scale, ints, remainders);
    }
    float place = to.scale;
    to.total = 0;
    for (size_t digit = to.used; digit-- > 0; place *= 256) {
      IntLanes lowest[kRegisters];
      for (size_t i = 0; i < kRegisters; i++) lowest[i] = takeDigit(ints[i]);
      storeDigit(lowest, digit, to);
      to.total += place * sumOf(to.sums[digit]);
    }
    return count;
  }

  Mode mode_;
  size_t inFeatures_;
  size_t blockFloats_;
  size_t remainderFloats_;
};

}  // namespace nibblelens::NIBBLELENS_ISA
