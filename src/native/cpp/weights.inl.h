// The two kinds of weight matrix as sources of float lanes: what the matmul loops are written over.
//
// A row is read in segments: runs of inputs, at most kSegment long, that share one factor, so that
// Σ_k W[n, k]·x[k] = Σ_segments factor·Σ_k value[k]·x[k]. Every matmul kernel sums a segment in one chain of lanes,
// adds factor times that to the row's total lanes, and adds up those at the end: the same bits for one row or many.
#pragma once

#include <type_traits>

#include "elementwise.inl.h"
#include "storage.h"

namespace nibblelens::NIBBLELENS_ISA {

constexpr size_t kSegment = 256;
/** Inputs that a source decodes at a time. */
constexpr size_t kStep = 32;
constexpr size_t kStepLanes = kStep / kLanes;

struct Segment {
  size_t first;
  size_t length;
  /** The group of all its inputs, where the source has groups. */
  size_t group;
};

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/** The segment that starts at `first`, which is 0 or the end of another one. */
static inline Segment segmentAt(size_t first, size_t inFeatures, size_t groupSize) {
  const size_t group = first / groupSize;
  const size_t within = first - group * groupSize;
  const size_t toPiece = kSegment - within % kSegment;
  return {first, smaller(smaller(toPiece, groupSize - within), inFeatures - first), group};
}

static inline float floatAt(const void* values, FloatType type, size_t index) {
  return type == FloatType::f16 ? f16(static_cast<const uint16_t*>(values)[index])
                                : static_cast<const float*>(values)[index];
}

/** W = (q − z)·s with groups that are whole steps: values are q − z, the factor is s. */
struct IntegerZeros {
  const PackedMatrix& w;
  /** A segment never spans groups. */
  size_t segmentGroup() const { return w.groupSize; }

  struct Row {
    const uint8_t* codes;
    ZeroPoint zero;
    void step(size_t k, size_t, Lanes out[kStepLanes]) const { decode32(codes + k / 2, zero, out); }
  };
  Row row(size_t n, const Segment& segment) const {
    const uint8_t zero = w.zeros ? w.zeros[n * w.groups + segment.group] : 8;
    return {w.codes + n * w.rowBytes + segment.first / 2, zeroPoint(zero)};
  }
  float factor(size_t n, const Segment& segment) const {
    return floatAt(w.scales, w.scaleType, n * w.groups + segment.group);
  }
};

/** W = q·s + b with groups that are whole steps: values are the weights themselves. */
struct FloatOffsets {
  const PackedMatrix& w;
  size_t segmentGroup() const { return w.groupSize; }

  struct Row {
    const uint8_t* codes;
    Lanes scale;
    Lanes offset;
    void step(size_t k, size_t, Lanes out[kStepLanes]) const {
      decode32(codes + k / 2, zeroPoint(0), out);
      for (size_t i = 0; i < kStepLanes; i++) out[i] = affine(out[i], scale, offset);
    }
  };
  Row row(size_t n, const Segment& segment) const {
    const size_t index = n * w.groups + segment.group;
    return {w.codes + n * w.rowBytes + segment.first / 2, splat(floatAt(w.scales, w.scaleType, index)),
            splat(floatAt(w.offsets, w.scaleType, index))};
  }
  float factor(size_t, const Segment&) const { return 1.0f; }
};

/** Either rule with groups of any length: each code has its own scale. */
struct AnyGroups {
  const PackedMatrix& w;
  /** Segments run across groups. */
  size_t segmentGroup() const { return w.inFeatures; }

  struct Row {
    const PackedMatrix& w;
    size_t n;
    size_t first;
    void step(size_t k, size_t count, Lanes out[kStepLanes]) const {
      float scales[kStep] = {};
      float shifts[kStep] = {};
      size_t group = (first + k) / w.groupSize;
      size_t next = (group + 1) * w.groupSize - (first + k);
      for (size_t i = 0; i < count; i++) {
        if (i == next) {
          group++;
          next += w.groupSize;
        }
        const size_t index = n * w.groups + group;
        scales[i] = floatAt(w.scales, w.scaleType, index);
        if (w.offsets) shifts[i] = floatAt(w.offsets, w.scaleType, index);
        else shifts[i] = static_cast<float>(w.zeros ? w.zeros[index] : 8);
      }
      decode32(w.codes + n * w.rowBytes + (first + k) / 2, zeroPoint(0), out);
      for (size_t i = 0; i < kStepLanes; i++) {
        const Lanes scale = load(scales + i * kLanes);
        const Lanes shift = load(shifts + i * kLanes);
        out[i] = w.offsets ? affine(out[i], scale, shift) : mul(sub(out[i], shift), scale);
      }
    }
  };
  Row row(size_t n, const Segment& segment) const { return {w, n, segment.first}; }
  float factor(size_t, const Segment&) const { return 1.0f; }
};

/** Floats as stored. */
template <FloatType type>
struct DenseRows {
  using Value = std::conditional_t<type == FloatType::f32, float, uint16_t>;
  const DenseMatrix& w;
  size_t segmentGroup() const { return w.inFeatures; }

  struct Row {
    const Value* values;
    void step(size_t k, size_t count, Lanes out[kStepLanes]) const {
      if (count == kStep) {
        for (size_t i = 0; i < kStepLanes; i++) out[i] = widen(values + k + i * kLanes);
        return;
      }
      Value padded[kStep] = {};
      std::memcpy(padded, values + k, count * sizeof(Value));
      for (size_t i = 0; i < kStepLanes; i++) out[i] = widen(padded + i * kLanes);
    }
    static Lanes widen(const Value* p) {
      if constexpr (type == FloatType::f32) return load(p);
      else if constexpr (type == FloatType::f16) return loadF16(p);
      else return loadBf16(p);
    }
  };
  Row row(size_t n, const Segment& segment) const {
    return {static_cast<const Value*>(w.values) + n * w.inFeatures + segment.first};
  }
  float factor(size_t, const Segment&) const { return 1.0f; }
};

/** Calls `run` with the source that fits the matrix. */
template <typename Run>
static inline void withSource(const PackedMatrix& w, const Run& run) {
  if (w.groups > 1 && w.groupSize % kStep != 0) run(AnyGroups{w});
  else if (w.offsets) run(FloatOffsets{w});
  else run(IntegerZeros{w});
}

template <typename Run>
static inline void withSource(const DenseMatrix& w, const Run& run) {
  if (w.type == FloatType::f16) run(DenseRows<FloatType::f16>{w});
  else if (w.type == FloatType::bf16) run(DenseRows<FloatType::bf16>{w});
  else run(DenseRows<FloatType::f32>{w});
}

}  // namespace nibblelens::NIBBLELENS_ISA
