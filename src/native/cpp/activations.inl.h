// Rows of activations as integers, ready for products with codes: a scale for every 32 inputs, and
// - `fast`: bytes, x ≈ scale·byte with scale = max|x| / 127;
// - `exact`: two words, x ≈ scale·(2^15·high + low) with a power of two for a scale, so that the 31 bits hold all of a
//   float32 down to 2^-7 of the largest one of its 32, and all but its last bits down to 2^-14. What is lost of smaller
//   ones is kept apart, as a few (input, remainder) pairs that products add in float: so an input's error is never more
//   than 2^-17 of itself.
#pragma once

#include <cmath>

#include "loops.inl.h"
#include "storage.h"

namespace nibblelens::NIBBLELENS_ISA {

constexpr size_t kRun = 64;
constexpr size_t kStretch = 256;
constexpr size_t kRunsPerStretch = kStretch / kRun;
/** Inputs that share a scale. */
constexpr size_t kScaled = 32;

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/** What an exact row leaves out. */
struct Remainder {
  uint32_t input;
  float value;
};

/** Views of one row; padded with zeros to whole stretches. */
struct PreparedRow {
  /** [stretches, 4, 64] */
  int8_t* bytes;
  /** [stretches, 4, high and low, 64] */
  int16_t* words;
  /** [stretches, 4, 8] sums of the integers in each lane of a run; exact: [stretches, 4, high and low, 8]. */
  int32_t* sums;
  /** 8·sums: what the middle zero point takes from products with 4-bit codes. */
  int32_t* eights;
  /** [stretches, 8], in the order that `spread` wants. */
  float* scales;
  Remainder* remainders;
  size_t remainderCount;
};

/** Where prepared rows are in a buffer of floats. */
class PreparedRows {
 public:
  PreparedRows(Mode mode, size_t inFeatures) : mode_(mode), inFeatures_(inFeatures) {
    stretches_ = (inFeatures + kStretch - 1) / kStretch;
    const size_t integers = stretches_ * kStretch;  // in floats' worth of bytes below
    valueFloats_ = mode == Mode::fast ? integers / 4 : integers;
    sumFloats_ = integers / 8 * (mode == Mode::fast ? 1 : 2);
    scaleFloats_ = stretches_ * (kStretch / kScaled);
    remainderFloats_ = mode == Mode::fast ? 0 : 2 * inFeatures + 1;
  }

  size_t stretches() const { return stretches_; }
  size_t floatsPerRow() const { return valueFloats_ + 2 * sumFloats_ + scaleFloats_ + remainderFloats_; }

  /** `row` must have been prepared before its remainders are counted. */
  PreparedRow at(float* buffer, size_t row) const {
    float* const values = buffer + row * floatsPerRow();
    float* const sums = values + valueFloats_;
    float* const eights = sums + sumFloats_;
    float* const scales = eights + sumFloats_;
    float* const rest = scales + scaleFloats_;
    PreparedRow found{reinterpret_cast<int8_t*>(values), reinterpret_cast<int16_t*>(values),
                      reinterpret_cast<int32_t*>(sums), reinterpret_cast<int32_t*>(eights), scales, nullptr, 0};
    if (mode_ == Mode::exact) {
      uint32_t count;
      std::memcpy(&count, rest, sizeof count);
      found.remainderCount = count;
      found.remainders = reinterpret_cast<Remainder*>(rest + 1);
    }
    return found;
  }

  /** Prepares one row of x. */
  void prepare(const float* x, float* buffer, size_t row) const {
    float* const count = buffer + (row + 1) * floatsPerRow() - remainderFloats_;
    const uint32_t none = 0;
    if (mode_ == Mode::exact) std::memcpy(count, &none, sizeof none);
    PreparedRow to = at(buffer, row);
    for (size_t first = 0; first < stretches_ * kStretch; first += kRun) {
      const size_t some = first < inFeatures_ ? smaller(inFeatures_ - first, kRun) : 0;
      float padded[kRun];
      const float* from = x + first;
      if (some < kRun) {
        std::memset(padded, 0, sizeof padded);
        if (some > 0) std::memcpy(padded, from, some * sizeof(float));
        from = padded;
      }
      if (mode_ == Mode::fast) prepareBytes(from, first / kRun, to);
      else prepareWords(from, first, to);
    }
    if (mode_ == Mode::exact) {
      const uint32_t found = static_cast<uint32_t>(to.remainderCount);
      std::memcpy(count, &found, sizeof found);
    }
  }

 private:
  static size_t scaleIndex(size_t run, size_t half) {
    return run / kRunsPerStretch * kLanes + spreadLane(run % kRunsPerStretch * 2 + half);
  }

  static float largest(const float* x) {
    Lanes most = zeroLanes();
    for (size_t i = 0; i < kScaled; i += kLanes) {
      const Lanes a = load(x + i);
      most = maximum(maximum(a, sub(zeroLanes(), a)), most);
    }
    return maximumOf(most);
  }

  static bool finite(const float* x) {
    Lanes zeros = zeroLanes();  // 0·x, NaN where x is not finite
    for (size_t i = 0; i < kScaled; i += kLanes) zeros = mulAdd(load(x + i), zeroLanes(), zeros);
    return sum(zeros) == 0;
  }

  /** round(x·factor) of half a run. */
  static void round(const float* x, float factor, IntLanes* ints) {
    for (size_t i = 0; i < kScaled; i += kLanes) ints[i / kLanes] = roundToInts(mul(load(x + i), splat(factor)));
  }

  static void prepareBytes(const float* x, size_t run, PreparedRow& to) {
    IntLanes ints[kRun / kLanes];
    for (size_t half = 0; half < 2; half++) {
      const float* from = x + half * kScaled;
      const bool usable = finite(from);
      const float most = usable ? largest(from) : 0;
      // below this, 127 / most would overflow
      const float factor = most > 1e-36f ? 127 / most : 0;
      to.scales[scaleIndex(run, half)] = !usable ? NAN : factor > 0 ? most / 127 : 0;
      if (factor > 0) round(from, factor, ints + half * kScaled / kLanes);
      else for (size_t i = 0; i < kScaled / kLanes; i++) ints[half * kScaled / kLanes + i] = splatInt(0);
    }
    storeRunBytes(ints, to.bytes + run * kRun);
    for (size_t i = 0; i < kRun / kLanes; i++) {
      int32_t lane[kLanes];
      storeInts(lane, ints[i]);
      int32_t sum = 0;
      for (const int32_t value : lane) sum += value;
      to.sums[run * kLanes + i] = sum;
      to.eights[run * kLanes + i] = 8 * sum;
    }
  }

  static void prepareWords(const float* x, size_t first, PreparedRow& to) {
    const size_t run = first / kRun;
    IntLanes high[kRun / kLanes], low[kRun / kLanes];
    for (size_t half = 0; half < 2; half++) {
      const float* from = x + half * kScaled;
      IntLanes* const ints = high + half * kScaled / kLanes;
      const bool usable = finite(from);
      const float scale = usable ? scaleOf(largest(from)) : NAN;
      to.scales[scaleIndex(run, half)] = scale;
      if (usable) {
        // Exact but for what is below half a scale: the factor is a power of two.
        round(from, 1 / scale, ints);
        keepRemainders(from, scale, ints, first + half * kScaled, to);
      } else {
        for (size_t i = 0; i < kScaled / kLanes; i++) ints[i] = splatInt(0);
      }
    }
    for (size_t i = 0; i < kRun / kLanes; i++) {
      int32_t all[kLanes], highs[kLanes], lows[kLanes];
      storeInts(all, high[i]);
      int32_t highSum = 0, lowSum = 0;
      for (size_t j = 0; j < kLanes; j++) {
        highs[j] = all[j] >> 15;
        lows[j] = all[j] & 0x7fff;
        highSum += highs[j];
        lowSum += lows[j];
      }
      high[i] = loadInts(highs);
      low[i] = loadInts(lows);
      to.sums[2 * run * kLanes + i] = highSum;
      to.eights[2 * run * kLanes + i] = 8 * highSum;
      to.sums[(2 * run + 1) * kLanes + i] = lowSum;
      to.eights[(2 * run + 1) * kLanes + i] = 8 * lowSum;
    }
    storeRunWords(high, to.words + 2 * run * kRun);
    storeRunWords(low, to.words + (2 * run + 1) * kRun);
  }

  /** 2^-30 of the least power of two above x, but an ordinary number, and one of an ordinary reciprocal. */
  static float scaleOf(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    constexpr uint32_t kLeast = 31;
    const uint32_t above = (bits >> 23) + 1;
    bits = ((above > kLeast ? above : kLeast) - 30) << 23;
    float scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return scale;
  }

  /** An int below 2^16 may have lost more than 2^-17 of its value. */
  static void keepRemainders(const float* x, float scale, const IntLanes* ints, size_t first, PreparedRow& to) {
    for (size_t i = 0; i < kScaled; i += kLanes) {
      const Lanes lost = sub(load(x + i), mul(floatsOf(ints[i / kLanes]), splat(scale)));
      if (maximumOf(maximum(lost, sub(zeroLanes(), lost))) == 0) continue;
      for (size_t j = i; j < i + kLanes; j++) {
        float value = x[j];
        const float size = value < 0 ? -value : value;
        if (size >= scale * 0x1p16f) continue;
        int32_t lane[kLanes];
        storeInts(lane, ints[i / kLanes]);
        value -= static_cast<float>(lane[j - i]) * scale;
        if (value != 0) to.remainders[to.remainderCount++] = {static_cast<uint32_t>(first + j), value};
      }
    }
  }

  Mode mode_;
  size_t inFeatures_;
  size_t stretches_;
  size_t valueFloats_;
  size_t sumFloats_;
  size_t scaleFloats_;
  size_t remainderFloats_;
};

}  // namespace nibblelens::NIBBLELENS_ISA
