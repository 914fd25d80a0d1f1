// Products of a few rows with packed weights: integers in, so that codes need no conversion.
//
// For a group with scale s and zero point z, and activations t·X with integers X,
// Σ (q − z)·s·x = s·t·(Σ q·X − z·ΣX); the bracket is exact. With offsets, W = q·s + b = (q − c)·s + (b + c·s) for the
// whole number c nearest −b / s: where codes and offset cancel, what is left to add in float is small too.
//
// Per run of 64 inputs and output, AVX2 takes 12 instructions in `fast` (load, 3 to take codes apart, 4 for products,
// 1 zero point, 3 for scales) and 27 in `exact` (8 products of words in place of 2 of bytes): at 32 bytes of codes a
// run, four instructions a cycle and 3 GHz, bounds of 32 and 14 GB/s on one core.
#pragma once

#include "activations.inl.h"
#include "weights.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

/** Whether stretches and groups fit each other. */
static inline bool hasEvenGroups(const PackedMatrix& w) {
  const size_t size = w.groupSize;
  return w.groups == 1 || size == 32 || size == 64 || size == 128 || size % kStretch == 0;
}

enum class Rule { middle, zeros, offsets };

static inline Rule ruleOf(const PackedMatrix& w) {
  return w.offsets ? Rule::offsets : w.zeros ? Rule::zeros : Rule::middle;
}

/** Values of `count` groups from `index` on as lanes; the others are 0. */
static inline Lanes groupValues(const void* values, FloatType type, size_t index, size_t count) {
  if (type == FloatType::f32) return loadSome(static_cast<const float*>(values) + index, count);
  return loadF16Some(static_cast<const uint16_t*>(values) + index, count);
}

static inline Lanes groupZeros(const uint8_t* zeros, size_t index, size_t count) {
  return asLanes(loadBytesSome(zeros + index, count));
}

/** The whole numbers c, as codes are, that leave least of b + c·s; where s is 0 or no number, 0. */
static inline IntLanes nearestZeros(Lanes offset, Lanes scale, size_t bits) {
  const Lanes most = splat(static_cast<float>((1u << bits) - 1));
  const Lanes zero = div(sub(zeroLanes(), offset), scale);
  return roundToInts(minimum(most, maximum(zero, zeroLanes())));
}

constexpr size_t kCacheLine = 64;
/** How far ahead in the one stream of codes memory is asked for: some 300 ns of one core's reading. */
constexpr size_t kAhead = 4096;

/** Stretches whose groups are made ready at a time: a buffer of a few KB, whatever the length of a row. */
constexpr size_t kSpan = 8;

/** What the groups of one output say of a stretch, a lane for every 32 inputs. */
struct GroupLanes {
  Lanes scale;
  /** Zero points, stored or chosen for offsets; ints. */
  Lanes zero;
  /** What the chosen ones leave of offsets. */
  Lanes offset;
};

/** `count` groups from `index` on, each in `copies` lanes. */
template <Rule rule>
static inline GroupLanes groupLanes(const PackedMatrix& w, size_t index, size_t count, size_t copies) {
  GroupLanes lanes{};
  const Lanes scale = groupValues(w.scales, w.scaleType, index, count);
  lanes.scale = repeatEach(scale, copies);
  if constexpr (rule == Rule::zeros) lanes.zero = repeatEach(groupZeros(w.zeros, index, count), copies);
  if constexpr (rule == Rule::offsets) {
    const Lanes offset = groupValues(w.offsets, w.scaleType, index, count);
    const IntLanes zero = nearestZeros(offset, scale, w.bits);
    lanes.zero = repeatEach(asLanes(zero), copies);
    lanes.offset = repeatEach(affine(floatsOf(zero), scale, offset), copies);
  }
  return lanes;
}

/** Groups of 32 and more. */
template <Rule rule>
static inline GroupLanes stretchGroups(const PackedMatrix& w, size_t n, size_t stretch) {
  const bool single = w.groups == 1;
  const size_t copies = single || w.groupSize >= kStretch ? kLanes : w.groupSize / kScaled;
  const size_t group = single ? 0 : stretch * kStretch / w.groupSize;
  return groupLanes<rule>(w, n * w.groups + group, smaller(kLanes / copies, w.groups - group), copies);
}

/** One output's groups over a span, in the order that `spread` wants; where `sixteen`, a lane row for each run. */
template <Rule rule, bool sixteen>
struct SpanGroups {
  Lanes scale[kSpan * (sixteen ? kRunsPerStretch : 1)];
  Lanes zero[rule == Rule::middle ? 1 : kSpan];
  Lanes offset[rule == Rule::offsets ? kSpan : 1];

  void fill(const PackedMatrix& w, size_t n, size_t firstStretch, size_t stretches) {
    if constexpr (sixteen) {
      for (size_t run = 0; run < stretches * kRunsPerStretch; run++) {
        const size_t group = firstStretch * 16 + run * 4;
        const size_t count = group < w.groups ? smaller(4, w.groups - group) : 0;
        scale[run] = repeatEach(groupValues(w.scales, w.scaleType, n * w.groups + group, count), 2);
      }
      return;
    }
    size_t i = 0;
    if (rule == Rule::middle && w.groupSize == kScaled && w.scaleType == FloatType::f16) {
      // the commonest kind, and the one with most to read
      const auto* from = static_cast<const uint16_t*>(w.scales) + n * w.groups + firstStretch * kLanes;
      const size_t whole = smaller(stretches, w.groups / kLanes - firstStretch);
      for (; i < whole; i++) scale[i] = forSpread(loadF16(from + i * kLanes));
    }
    for (; i < stretches; i++) {
      const GroupLanes lanes = stretchGroups<rule>(w, n, firstStretch + i);
      scale[i] = forSpread(lanes.scale);
      if constexpr (rule != Rule::middle) zero[i] = forSpread(lanes.zero);
      if constexpr (rule == Rule::offsets) offset[i] = forSpread(lanes.offset);
    }
  }
};

/** One run of an output: factor·Σ (q − z)·X, and with offsets what is left of them. */
template <int bits, Mode mode, Rule rule, typename CodesOfRun>
[[gnu::always_inline]] static inline Lanes addRun(const CodesOfRun& codes, Lanes factor, Lanes zeroPoint, Lanes offset, const PreparedRow& x,
                           size_t at, Lanes total) {
  constexpr int base = mode == Mode::fast ? kByteBase<bits> : 0;
  constexpr int middle = 1 << (bits - 1);
  // Σ (q − z)·X from Σ (q − base)·X; `place` of the sums of X
  const auto withoutZero = [&](IntLanes products, size_t place) {
    if constexpr (rule != Rule::middle) {
      const IntLanes zero = base == 0 ? asInts(zeroPoint) : subInts(asInts(zeroPoint), splatInt(base));
      return subInts(products, mulInts(zero, loadInts(x.sums + place)));
    } else if constexpr (base == middle) return products;
    else if constexpr (middle == 8) return subInts(products, loadInts(x.eights + place));
    else return subInts(products, shiftedUp<bits - 1>(loadInts(x.sums + place)));
  };
  Lanes value, inputs;
  if constexpr (mode == Mode::fast) {
    value = floatsOf(withoutZero(dotBytes<bits>(codes, x.bytes + at * kRun), at * kLanes));
    if constexpr (rule == Rule::offsets) inputs = floatsOf(loadInts(x.sums + at * kLanes));
  } else {
    const size_t high = 2 * at, low = 2 * at + 1;
    const auto joined = [](IntLanes highs, IntLanes lows) {
      return mulAdd(floatsOf(highs), splat(0x1p15f), floatsOf(lows));
    };
    value = joined(withoutZero(dotWords(codes, x.words + high * kRun), high * kLanes),
                   withoutZero(dotWords(codes, x.words + low * kRun), low * kLanes));
    if constexpr (rule == Rule::offsets) inputs = joined(loadInts(x.sums + high * kLanes), loadInts(x.sums + low * kLanes));
  }
  if constexpr (rule == Rule::offsets) total = mulAdd(offset, inputs, total);
  return mulAdd(factor, value, total);
}

/** totals[r] gain the products of the first `inputs` inputs of a stretch, the span's i-th. */
template <int bits, Mode mode, Rule rule, bool sixteen, size_t rows>
static inline void addStretch(const PackedMatrix& w, const PreparedRow* x, size_t n, size_t stretch, size_t i,
                              size_t inputs, const SpanGroups<rule, sixteen>& groups, Lanes totals[rows]) {
  // scale·scale and offset·scale, each lane for 32 inputs
  Lanes factors[rows], offsets[rows], xScales[rows];
  for (size_t r = 0; r < rows; r++) {
    xScales[r] = load(x[r].scales + stretch * kLanes);
    if constexpr (!sixteen) factors[r] = mul(groups.scale[i], xScales[r]);
    if constexpr (rule == Rule::offsets) offsets[r] = mul(groups.offset[i], xScales[r]);
  }
  const StretchCodes<bits> from(w, n, stretch);
  forRuns(inputs, [&](auto index, auto isHalf) {
    constexpr int run = decltype(index)::value;
    const size_t at = stretch * kRunsPerStretch + run;
    if constexpr (run * kRun * bits / 8 % kCacheLine < kRun * bits / 8) prefetch(from.low + run * kRun * bits / 8 + kAhead);
    Lanes zero = zeroLanes();
    if constexpr (rule != Rule::middle) zero = spread<run>(groups.zero[i]);
    const auto add = [&](const auto& codes) {
#pragma GCC unroll 4
      for (size_t r = 0; r < rows; r++) {
        Lanes factor, offset = zeroLanes();
        if constexpr (sixteen) factor = mul(groups.scale[i * kRunsPerStretch + run], spread<run>(xScales[r]));
        else factor = spread<run>(factors[r]);
        if constexpr (rule == Rule::offsets) offset = spread<run>(offsets[r]);
        totals[r] = addRun<bits, mode, rule>(codes, factor, zero, offset, x[r], at, totals[r]);
      }
    };
    constexpr bool half = decltype(isHalf)::value;
    if constexpr (mode == Mode::fast) add(loadCodes<bits, run, half>(from.low, from.high));
    else add(loadCodeWords<bits, run, half>(from.low, from.high));
  });
}

/** y[r, n] of some rows. Outputs come one after the other, so that codes are read in one stream. */
template <int bits, Mode mode, Rule rule, bool sixteen, size_t rows>
static inline void dotOutput(const PackedMatrix& w, const PreparedRow* x, size_t n, const float* bias, float* y) {
  Lanes totals[rows];
  for (size_t r = 0; r < rows; r++) totals[r] = zeroLanes();
  SpanGroups<rule, sixteen> groups;
  const size_t whole = w.inFeatures / kStretch;
  const size_t rest = w.inFeatures % kStretch;
  for (size_t first = 0; first < whole + (rest > 0); first += kSpan) {
    const size_t stretches = smaller(whole + (rest > 0) - first, kSpan);
    groups.fill(w, n, first, stretches);
    for (size_t i = 0; i < smaller(stretches, whole - first); i++) {
      addStretch<bits, mode, rule, sixteen, rows>(w, x, n, first + i, i, kStretch, groups, totals);
    }
    if (first + stretches > whole) {
      addStretch<bits, mode, rule, sixteen, rows>(w, x, n, whole, whole - first, rest, groups, totals);
    }
  }
  for (size_t r = 0; r < rows; r++) {
    float value = sum(totals[r]);
    if constexpr (mode == Mode::exact) {
      for (size_t i = 0; i < x[r].remainderCount; i++) {
        const Remainder& remainder = x[r].remainders[i];
        value += weightAt(w, n, remainder.input) * remainder.value;
      }
    }
    y[r * w.outFeatures + n] = value + (bias ? bias[n] : 0.0f);
  }
}

/** y of all rows at outputs [from, to). */
template <int bits, Mode mode, Rule rule, bool sixteen>
static inline void dotRange(const PackedMatrix& w, const PreparedRow* x, size_t rows, size_t from, size_t to,
                            const float* bias, float* y) {
  // In `exact` nearly all the work is the products themselves: sharing codes saves too little.
  constexpr size_t atOnce = mode == Mode::fast ? kRowsAtOnce : 1;
  for (size_t n = from; n < to; n++) {
    size_t r = 0;
    for (; r + atOnce <= rows; r += atOnce) {
      dotOutput<bits, mode, rule, sixteen, atOnce>(w, x + r, n, bias, y + r * w.outFeatures);
    }
    for (; r < rows; r++) dotOutput<bits, mode, rule, sixteen, 1>(w, x + r, n, bias, y + r * w.outFeatures);
  }
}

/** Whether these kernels read a matrix: even groups, or those of 16 that GGUF's Q6_K has. */
static inline bool hasDots(const PackedMatrix& w) {
  return hasEvenGroups(w) || (w.groupSize == 16 && w.bits == 6 && ruleOf(w) == Rule::middle);
}

template <int bits, Mode mode>
static inline void dotRange(const PackedMatrix& w, const PreparedRow* x, size_t rows, size_t from, size_t to,
                            const float* bias, float* y) {
  const Rule rule = ruleOf(w);
  if (rule == Rule::zeros) dotRange<bits, mode, Rule::zeros, false>(w, x, rows, from, to, bias, y);
  else if (rule == Rule::offsets) dotRange<bits, mode, Rule::offsets, false>(w, x, rows, from, to, bias, y);
  else if (hasEvenGroups(w)) dotRange<bits, mode, Rule::middle, false>(w, x, rows, from, to, bias, y);
  else if constexpr (bits == 6) dotRange<bits, mode, Rule::middle, true>(w, x, rows, from, to, bias, y);
}

template <Mode mode>
static inline void dotRange(const PackedMatrix& w, const PreparedRow* x, size_t rows, size_t from, size_t to,
                            const float* bias, float* y) {
  withBits(w.bits, [&](auto bits) { dotRange<decltype(bits)::value, mode>(w, x, rows, from, to, bias, y); });
}

}  // namespace nibblelens::NIBBLELENS_ISA
