// Weights as floats, a stretch of inputs at a time, whatever holds them.
#pragma once

#include <type_traits>

#include "activations.inl.h"
#include "storage.h"

namespace nibblelens::NIBBLELENS_ISA {

/** Inputs that are decoded at a time. */
constexpr size_t kStretch = 256;

static inline float floatAt(const void* values, FloatType type, size_t index) {
  return type == FloatType::f16 ? f16(static_cast<const uint16_t*>(values)[index])
                                : static_cast<const float*>(values)[index];
}
/** A register of them. */
static inline Lanes floatsAt(const void* values, FloatType type, size_t index) {
  return type == FloatType::f16 ? loadF16(static_cast<const uint16_t*>(values) + index)
                                : load(static_cast<const float*>(values) + index);
}

/** The code at (n, k). */
static inline int codeAt(const PackedMatrix& w, size_t n, size_t k) {
  const size_t quad = k % kBlock / 4;
  const uint8_t* const block = w.codes + n / kPanel * w.panelBytes() + k / kBlock * w.bits * kLine;
  const uint8_t* const at = block + n % kPanel * 4 + k % 4;
  const auto ofPlane = [quad, at](size_t firstLine, size_t bits) {
    return at[(firstLine + quad * bits / 8) * kLine] >> quad * bits % 8 & ((1 << bits) - 1);
  };
  const auto low = static_cast<size_t>(PackedMatrix::lowBitsOf(static_cast<int>(w.bits)));
  return w.bits == low ? ofPlane(0, low) : ofPlane(0, low) | ofPlane(low, w.bits - low) << low;
}

/** W[n, k] */
static inline float weightAt(const PackedMatrix& w, size_t n, size_t k) {
  const size_t index = w.groupSlot(n, k / w.groupSize);
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

/** Calls body with each number of [first, last) as a constant. */
template <size_t first, size_t last, typename Body>
NIBBLELENS_INLINE static inline void forConstants(const Body& body) {
  if constexpr (first < last) {
    body(std::integral_constant<size_t, first>());
    forConstants<first + 1, last>(body);
  }
}

/** Where the low or the high bits of a quad's codes are in a block. */
template <int bits, bool high, size_t quad>
struct QuadField {
  static constexpr int low = PackedMatrix::lowBitsOf(bits);
  static constexpr int width = high ? bits - low : low;
  static constexpr int shift = quad * width % 8;
  static constexpr int mask = (1 << width) - 1;
  static constexpr size_t line = (high ? low : 0) + quad * width / 8;

  /** Of the outputs of register `part`. */
  static const uint8_t* of(const uint8_t* block, size_t part) { return block + line * kLine + part * 4 * kLanes; }
};

/** The low or the high bits of codes. */
template <int bits, bool high, size_t quad>
NIBBLELENS_INLINE static inline QuadCodes planeQuad(const uint8_t* block, size_t part) {
  using Field = QuadField<bits, high, quad>;
  return quadField<Field::shift, Field::mask>(Field::of(block, part));
}

/** Whole codes. */
template <int bits, size_t quad>
NIBBLELENS_INLINE static inline QuadCodes wholeQuad(const uint8_t* block, size_t part) {
  using High = QuadField<bits, true, quad>;
  const QuadCodes codes = planeQuad<bits, false, quad>(block, part);
  if constexpr (High::width == 0) return codes;
  else return joinField<High::low, High::shift, High::mask>(codes, High::of(block, part));
}

constexpr size_t kPanelLanes = kPanel / kLanes;

/** totals += W[n, k]·x for the outputs n of a panel; those that do not exist have scale 0. */
template <int bits>
static inline void addInput(const PackedMatrix& w, size_t panel, size_t k, float x, Lanes (&totals)[kPanelLanes]) {
  constexpr int low = PackedMatrix::lowBitsOf(bits);
  const size_t quad = k % kBlock / 4;
  const uint8_t* const block = w.codes + panel * w.panelBytes() + k / kBlock * bits * kLine;
  const auto ofPlane = [&](size_t firstLine, size_t width, size_t part) {
    const uint8_t* const line = block + (firstLine + quad * width / 8) * kLine + part * 4 * kLanes;
    return floatsOf(bitsOf(line, static_cast<int>(k % 4 * 8 + quad * width % 8), (1 << width) - 1));
  };
  const size_t slot = w.groupSlot(panel * kPanel, k / w.groupSize);
#pragma GCC unroll 2
  for (size_t part = 0; part < kPanelLanes; part++) {
    Lanes code = ofPlane(0, low, part);
    if constexpr (bits > low) code = mulAdd(ofPlane(low, bits - low, part), splat(1 << low), code);
    const size_t at = slot + part * kLanes;
    const Lanes scale = floatsAt(w.scales, w.scaleType, at);
    const Lanes zero = w.zeros ? floatsOf(intsOfBytes(w.zeros + at)) : splat(1 << (bits - 1));
    const Lanes weight = w.offsets ? affine(code, scale, floatsAt(w.offsets, w.scaleType, at)) : mul(sub(code, zero), scale);
    totals[part] = mulAdd(weight, splat(x), totals[part]);
  }
}

/** y[n] = values + bias of the outputs that a panel has. */
static inline void writePanel(const float* values, size_t panel, size_t outFeatures, const float* bias, float* y) {
  const size_t n = panel * kPanel;
  for (size_t j = 0; n + j < outFeatures && j < kPanel; j += kLanes) {
    const size_t some = smaller(kLanes, outFeatures - n - j);
    const Lanes a = load(values + j);
    storeSome(y + n + j, bias ? add(a, loadSome(bias + n + j, some)) : a, some);
  }
}

/** tile[k, j] = the code of the panel's output j at input k of a block. */
template <int bits>
static inline void decodeCodes(const uint8_t* block, float* tile) {
  for (size_t part = 0; part < kPanelLanes; part++) {
    forConstants<0, kBlock / 4>([&](auto quad) {
      constexpr size_t index = decltype(quad)::value;
      const QuadCodes codes = wholeQuad<bits, index>(block, part);
      forConstants<0, 4>([&](auto i) {
        store(tile + (4 * index + i) * kPanel + part * kLanes, inputOf<static_cast<int>(decltype(i)::value)>(codes));
      });
    });
  }
}

/** tile[k, j] = W[kPanel·panel + j, first + k] of `length` inputs; outputs that do not exist are 0. `first` is that of a block. */
static inline void decodePanel(const PackedMatrix& w, size_t panel, size_t first, size_t length, float* tile) {
  const uint8_t* codes = w.codes + panel * w.panelBytes() + first / kBlock * w.bits * kLine;
  for (size_t k = 0; k < length; k += kBlock, codes += w.bits * kLine) {
    withBits(w.bits, [&](auto bits) { decodeCodes<decltype(bits)::value>(codes, tile + k * kPanel); });
  }
  for (size_t part = 0; part < kPanelLanes; part++) {
    for (size_t k = first; k < first + length;) {
      const size_t group = k / w.groupSize;
      const size_t end = smaller((group + 1) * w.groupSize, first + length);
      const size_t slot = (panel * w.groups + group) * kPanel + part * kLanes;
      const Lanes scale = floatsAt(w.scales, w.scaleType, slot);
      const Lanes zero = w.zeros ? floatsOf(intsOfBytes(w.zeros + slot)) : splat(static_cast<float>(1 << (w.bits - 1)));
      const Lanes offset = w.offsets ? floatsAt(w.offsets, w.scaleType, slot) : zeroLanes();
      for (; k < end; k++) {
        float* const at = tile + (k - first) * kPanel + part * kLanes;
        store(at, w.offsets ? affine(load(at), scale, offset) : mul(sub(load(at), zero), scale));
      }
    }
  }
}

/** to[c, r] = from[r, c]; both have room for whole registers. */
static inline void transposeInto(const float* from, size_t fromStride, size_t rows, size_t columns, float* to,
                                 size_t toStride) {
  for (size_t r = 0; r < rows; r += kLanes) {
    for (size_t c = 0; c < columns; c += kLanes) {
      Lanes square[kLanes];
      for (size_t i = 0; i < kLanes; i++) square[i] = load(from + (r + i) * fromStride + c);
      transpose(square);
      for (size_t i = 0; i < kLanes; i++) store(to + (c + i) * toStride + r, square[i]);
    }
  }
}

/** Floats that a decoded panel takes: whole blocks, hence more than its inputs. */
constexpr size_t kPanelTile = kStretch * kPanel;

/** rows[j, k] = W[kPanel·panel + j, first + k], rows being kStretch apart; `tile` is kPanelTile floats to work in. */
static inline void decodeRows(const PackedMatrix& w, size_t panel, size_t first, size_t length, float* tile, float* rows) {
  decodePanel(w, panel, first, length, tile);
  transposeInto(tile, kPanel, length, kPanel, rows, kStretch);
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

/** to = W[n, first …] of `length` inputs. */
static inline void decodeRow(const DenseMatrix& w, size_t n, size_t first, size_t length, float* to) {
  withType(w.type, [&](auto type) { decodeFloats<decltype(type)::value>(w, n, first, length, to); });
}

/** rows[j, k] = W[kPanel·panel + j, first + k], rows being kStretch apart; those of outputs that do not exist are 0. */
static inline void decodeRows(const DenseMatrix& w, size_t panel, size_t first, size_t length, float*, float* rows) {
  for (size_t j = 0; j < kPanel; j++) {
    const size_t n = panel * kPanel + j;
    if (n < w.outFeatures) decodeRow(w, n, first, length, rows + j * kStretch);
    else std::memset(rows + j * kStretch, 0, length * sizeof(float));
  }
}

/** tile[k, j] = W[kPanel·panel + j, first + k]; outputs that do not exist are 0. */
static inline void decodePanel(const DenseMatrix& w, size_t panel, size_t first, size_t length, float* tile) {
  float rows[kPanelTile];
  decodeRows(w, panel, first, length, nullptr, rows);
  transposeInto(rows, kStretch, kPanel, length, tile, kPanel);
}

}  // namespace nibblelens::NIBBLELENS_ISA
