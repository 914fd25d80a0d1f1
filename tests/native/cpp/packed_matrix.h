// Low-bit matrices as plain numbers, and packed by the words of `matrix/panels.ts` alone.
#pragma once

#include <algorithm>

#include "storage.h"
#include "support.h"

namespace nibblelens {

enum class Rule { middle, zeros, offsets };

struct PackedSizes {
  size_t bits, out, in, groupSize;
};

/** Row by row: codes [out, in], and scales, zeros and offsets [out, groups]. */
struct PlainMatrix {
  PackedSizes sizes;
  Rule rule;
  FloatType type;
  std::vector<size_t> codes, zeros;
  std::vector<double> scales, offsets;

  size_t groups() const { return (sizes.in - 1) / sizes.groupSize + 1; }
  size_t group(size_t n, size_t k) const { return n * groups() + k / sizes.groupSize; }
  double zero(size_t n, size_t k) const {
    return static_cast<double>(rule == Rule::zeros ? zeros[group(n, k)] : size_t{1} << (sizes.bits - 1));
  }
  double weight(size_t n, size_t k) const {
    const auto code = static_cast<double>(codes[n * sizes.in + k]);
    const double scale = scales[group(n, k)];
    return rule == Rule::offsets ? code * scale + offsets[group(n, k)] : (code - zero(n, k)) * scale;
  }
};

/** Scales and offsets of all sizes below 2 (float16) or of about 1, of either sign. */
inline PlainMatrix randomMatrix(const PackedSizes& sizes, Rule rule, FloatType type, Random& random) {
  PlainMatrix w{sizes, rule, type, {}, {}, {}, {}};
  const auto number = [&] {
    return type == FloatType::f16 ? halfValue(static_cast<uint16_t>(random.below(0x4000) | random.below(2) << 15))
                                  : static_cast<double>(random.real());
  };
  for (size_t i = 0; i < sizes.out * sizes.in; i++) w.codes.push_back(random.below(size_t{1} << sizes.bits));
  for (size_t i = 0; i < sizes.out * w.groups(); i++) {
    w.zeros.push_back(random.below(size_t{1} << sizes.bits));
    w.scales.push_back(number());
    w.offsets.push_back(number());
  }
  return w;
}

/** The arrays of a matrix in compute layout 3, between guards: codes end where their memory does. */
class PackedArrays {
 public:
  explicit PackedArrays(const PlainMatrix& w, size_t shift = 0)
      : w_(w),
        panels_((w.sizes.out + 15) / 16),
        codes_(panels_ * blocks() * w.sizes.bits * 64, shift),
        zeros_(slots(), shift),
        scales_(slots(), shift),
        offsets_(slots(), shift),
        halfScales_(slots(), shift),
        halfOffsets_(slots(), shift) {
    std::fill(codes_.data(), codes_.data() + codes_.size(), uint8_t{0});
    for (size_t i = 0; i < w.codes.size(); i++) putCode(i / w.sizes.in, i % w.sizes.in, w.codes[i]);
    for (size_t slot = 0; slot < slots(); slot++) {
      const size_t n = slot / (16 * w.groups()) * 16 + slot % 16;
      const size_t i = n * w.groups() + slot / 16 % w.groups();
      const bool padding = n >= w.sizes.out;
      const double scale = padding ? 0 : w.scales[i], offset = padding ? 0 : w.offsets[i];
      zeros_[slot] = static_cast<uint8_t>(padding ? 0 : w.zeros[i]);
      scales_[slot] = static_cast<float>(scale);
      offsets_[slot] = static_cast<float>(offset);
      if (w.type != FloatType::f16) continue;
      halfScales_[slot] = halfBits(scale);
      halfOffsets_[slot] = halfBits(offset);
    }
  }

  Linear linear(const float* bias) {
    const bool half = w_.type == FloatType::f16;
    PackedMatrix w;
    w.bits = w_.sizes.bits;
    w.outFeatures = w_.sizes.out;
    w.inFeatures = w_.sizes.in;
    w.groupSize = w_.sizes.groupSize;
    w.groups = w_.groups();
    w.codes = codes_.data();
    w.scaleType = w_.type;
    w.scales = half ? static_cast<const void*>(halfScales_.data()) : scales_.data();
    if (w_.rule == Rule::zeros) w.zeros = zeros_.data();
    if (w_.rule == Rule::offsets) w.offsets = half ? static_cast<const void*>(halfOffsets_.data()) : offsets_.data();
    return {true, w, {}, bias};
  }

 private:
  size_t blocks() const { return (w_.sizes.in + 31) / 32; }
  size_t slots() const { return panels_ * w_.groups() * 16; }

  /** Plane by plane, the low one first: a line of 64 bytes for each bit, and in it inputs of four. */
  void putCode(size_t n, size_t k, size_t code) {
    const size_t bits = w_.sizes.bits, low = bits < 4 ? 2 : 4, quad = k % 32 / 4;
    uint8_t* line = codes_.data() + (n / 16 * blocks() + k / 32) * bits * 64;
    for (const size_t width : {low, bits - low}) {
      if (width == 0) return;
      const size_t quadsOfLine = 8 / width;
      uint8_t& byte = line[quad / quadsOfLine * 64 + n % 16 * 4 + k % 4];
      byte = static_cast<uint8_t>(byte | (code & ((1u << width) - 1)) << quad % quadsOfLine * width);
      code >>= width;
      line += width * 64;
    }
  }

  const PlainMatrix w_;
  const size_t panels_;
  Guarded<uint8_t> codes_, zeros_;
  Guarded<float> scales_, offsets_;
  Guarded<uint16_t> halfScales_, halfOffsets_;
};

}  // namespace nibblelens
