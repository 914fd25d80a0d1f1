// float16 and bfloat16 bits to float32, exactly. Static, so that each instruction set compiles its own copy.
#pragma once

#include <cstdint>
#include <cstring>

namespace nibblelens {

static inline float floatOfBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

static inline float bf16ToFloat(uint16_t bits) { return floatOfBits(static_cast<uint32_t>(bits) << 16); }

static inline float f16ToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t magnitude = bits & 0x7fff;
  if (magnitude >= 0x7c00) return floatOfBits(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  // The bits are those of the value times 2^-112 in float32; the product is exact, subnormals included.
  const float value = floatOfBits(magnitude << 13) * 0x1p112f;
  return sign ? -value : value;
}

}  // namespace nibblelens
