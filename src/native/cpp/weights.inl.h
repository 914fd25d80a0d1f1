// Weights as floats, a block of a row at a time, whatever holds them.
#pragma once

#include <type_traits>

#include "activations.inl.h"
#include "storage.h"

namespace nibblelens::NIBBLELENS_ISA {

/** Inputs that are decoded at a time. */
constexpr size_t kBlock = kStretch;

static inline float floatAt(const void* values, FloatType type, size_t index) {
  return type == FloatType::f16 ? f16(static_cast<const uint16_t*>(values)[index])
                                : static_cast<const float*>(values)[index];
}

/** The code at (n, k). */
static inline int codeAt(const PackedMatrix& w, size_t n, size_t k) {
  const uint8_t* const row = w.codes + n * w.rowBytes;
  if (w.bits == 8) return row[k / 32 * 32 + k % 2 * 16 + k % 32 / 2];
  const auto ofPlane = [k](const uint8_t* plane, size_t bits) {
    const size_t shift = bits * (2 * (k / kRun % (4 / bits)) + k % 2);
    return plane[k * bits / 256 * 32 + k % kRun / 2] >> shift & ((1 << bits) - 1);
  };
  const int low = ofPlane(row, w.lowBits());
  return w.highBits() == 0 ? low : low | ofPlane(row + w.highStart(), w.highBits()) << w.lowBits();
}

/** W[n, k] */
static inline float weightAt(const PackedMatrix& w, size_t n, size_t k) {
  const size_t index = n * w.groups + k / w.groupSize;
  const float scale = floatAt(w.scales, w.scaleType, index);
  const int code = codeAt(w, n, k);
  if (w.offsets) {
    return static_cast<float>(static_cast<double>(code) * scale + floatAt(w.offsets, w.scaleType, index));
  }
  return static_cast<float>(code - (w.zeros ? w.zeros[index] : 1 << (w.bits - 1))) * scale;
}

/** Calls body with the width of codes as a constant. */
template <typename Body>
static inline void withBits(size_t bits, const Body& body) {
  using std::integral_constant;
  if (bits == 2) body(integral_constant<int, 2>());
  else if (bits == 3) body(integral_constant<int, 3>());
  else if (bits == 4) body(integral_constant<int, 4>());
  else if (bits == 5) body(integral_constant<int, 5>());
  else if (bits == 6) body(integral_constant<int, 6>());
  else body(integral_constant<int, 8>());
}

/** The same with a type of floats. */
template <typename Body>
static inline void withType(FloatType type, const Body& body) {
  using std::integral_constant;
  if (type == FloatType::f16) body(integral_constant<FloatType, FloatType::f16>());
  else if (type == FloatType::bf16) body(integral_constant<FloatType, FloatType::bf16>());
  else body(integral_constant<FloatType, FloatType::f32>());
}

/** Where the planes of an output's stretch start. */
template <int bits>
struct StretchCodes {
  const uint8_t* low;
  const uint8_t* high;

  StretchCodes(const PackedMatrix& w, size_t n, size_t stretch) {
    constexpr size_t lowBits = PackedMatrix::lowBitsOf(bits);
    low = w.codes + n * w.rowBytes + stretch * (kStretch * lowBits / 8);
    high = w.codes + n * w.rowBytes + w.highStart() + stretch * (kStretch * (bits - lowBits) / 8);
  }
};

/** Calls body with the index of each run that a stretch has and whether it is half a run, both known to the compiler. */
template <typename Body>
static inline void forRuns(size_t inputs, const Body& body) {
  using std::integral_constant;
  const auto runAt = [&](auto run) {
    constexpr size_t first = decltype(run)::value * kRun;
    if (inputs <= first) return;
    if (inputs <= first + kRun / 2) body(run, std::true_type());
    else body(run, std::false_type());
  };
  if (inputs == kStretch) {
    body(integral_constant<int, 0>(), std::false_type());
    body(integral_constant<int, 1>(), std::false_type());
    body(integral_constant<int, 2>(), std::false_type());
    body(integral_constant<int, 3>(), std::false_type());
    return;
  }
  runAt(integral_constant<int, 0>());
  runAt(integral_constant<int, 1>());
  runAt(integral_constant<int, 2>());
  runAt(integral_constant<int, 3>());
}

/** The codes of an output's first `length` inputs of a block as floats; what is left of `to` [kBlock] may be written. */
template <int bits>
static inline void decodeCodes(const PackedMatrix& w, size_t n, size_t block, size_t length, float* to) {
  const StretchCodes<bits> from(w, n, block);
  forRuns(length, [&](auto index, auto isHalf) {
    constexpr int run = decltype(index)::value;
    storeCodes(loadCodes<bits, run, decltype(isHalf)::value>(from.low, from.high), to + run * kRun);
  });
}

/** to = (to − z)·s, or to·s + b, of codes that share a group. */
static inline void applyGroup(const PackedMatrix& w, size_t index, size_t length, float* to) {
  const Lanes scale = splat(floatAt(w.scales, w.scaleType, index));
  if (w.offsets) {
    const Lanes offset = splat(floatAt(w.offsets, w.scaleType, index));
    forLanes(length, [&](size_t i, size_t some) { storeSome(to + i, affine(loadSome(to + i, some), scale, offset), some); });
    return;
  }
  const Lanes zero = splat(static_cast<float>(w.zeros ? w.zeros[index] : 1 << (w.bits - 1)));
  forLanes(length, [&](size_t i, size_t some) { storeSome(to + i, mul(sub(loadSome(to + i, some), zero), scale), some); });
}

/** Weights [n, kBlock·block …) up to the end of the row, at most kBlock; the rest of `to` [kBlock] may be written. */
static inline void decodeBlock(const PackedMatrix& w, size_t n, size_t block, float* to) {
  const size_t first = block * kBlock;
  const size_t length = smaller(w.inFeatures - first, kBlock);
  withBits(w.bits, [&](auto bits) { decodeCodes<decltype(bits)::value>(w, n, block, length, to); });
  for (size_t k = first; k < first + length;) {
    const size_t group = k / w.groupSize;
    const size_t end = smaller((group + 1) * w.groupSize, first + length);
    applyGroup(w, n * w.groups + group, end - k, to + (k - first));
    k = end;
  }
}

/** One lane row of floats as stored. */
template <FloatType type>
struct DenseLanes {
  using Value = std::conditional_t<type == FloatType::f32, float, uint16_t>;
  static Lanes at(const Value* p) {
    if constexpr (type == FloatType::f32) return load(p);
    else if constexpr (type == FloatType::f16) return loadF16(p);
    else return loadBf16(p);
  }
  static Lanes some(const Value* p, size_t count) {
    if (count == kLanes) return at(p);
    Value padded[kLanes] = {};
    std::memcpy(padded, p, count * sizeof(Value));
    return at(padded);
  }
};

template <FloatType type>
static inline void decodeFloats(const DenseMatrix& w, size_t n, size_t first, size_t length, float* to) {
  using Stored = DenseLanes<type>;
  const auto* from = static_cast<const typename Stored::Value*>(w.values) + n * w.inFeatures + first;
  forLanes(length, [&](size_t i, size_t some) { storeSome(to + i, Stored::some(from + i, some), some); });
}

static inline void decodeBlock(const DenseMatrix& w, size_t n, size_t block, float* to) {
  const size_t first = block * kBlock;
  const size_t length = smaller(w.inFeatures - first, kBlock);
  withType(w.type, [&](auto type) { decodeFloats<decltype(type)::value>(w, n, first, length, to); });
}

}  // namespace nibblelens::NIBBLELENS_ISA
