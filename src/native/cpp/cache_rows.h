// Rows of a KV cache's pages: where they lie, and what floats become there; `src/native/cache-pages.ts` says the same.
// Static, so that each instruction set compiles its own copy.
#pragma once

#include "float_formats.h"
#include "storage.h"

namespace nibblelens {

/** Bytes before an int8 block's codes: a float32 scale for each position. */
constexpr size_t kScaleBytes = kPagePositions * sizeof(float);

/** Bytes of a page's rows of one layer, kind and kv head: [kPagePositions, dHead], for int8 after their scales. */
static inline size_t cacheBlockBytes(CacheType type, size_t dHead) {
  const size_t values = kPagePositions * dHead;
  return type == CacheType::int8 ? kScaleBytes + values : values * (type == CacheType::f16 ? 2 : 4);
}

/** Bytes of a page of `sizes`. */
static inline size_t cachePageBytes(CacheType type, const AttentionSizes& sizes) {
  return sizes.layers * 2 * sizes.kvHeads * cacheBlockBytes(type, sizes.dHead);
}

/** Where the block of keys (kind 0) or values (kind 1) starts, in bytes. */
static inline size_t cacheBlockAt(CacheType type, const AttentionSizes& sizes, size_t layer, size_t kind,
                                  size_t kvHead) {
  return ((layer * 2 + kind) * sizes.kvHeads + kvHead) * cacheBlockBytes(type, sizes.dHead);
}

/** To nearest, ties to even. */
static inline uint16_t floatToF16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7e00);
  if (magnitude >= 0x47800000) return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000) {
    // a multiple of 2^-24: adding 0.5 leaves as many fraction bits, rounded as all sums are
    const float sum = floatOfBits(magnitude) + 0.5f;
    std::memcpy(&bits, &sum, sizeof bits);
    return static_cast<uint16_t>(sign | (bits - 0x3f000000));
  }
  return static_cast<uint16_t>(sign | (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13);
}

/** max|x| / 127, NaN where one of x is not finite. */
static inline float int8Scale(const float* x, size_t count) {
  int32_t most = 0;
  for (size_t i = 0; i < count; i++) {
    int32_t bits;
    std::memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7fffffff;
    most = bits > most ? bits : most;
  }
  return floatOfBits(most >= 0x7f800000 ? 0x7fc00000 : static_cast<uint32_t>(most)) / 127.0f;
}

/** x / scale to nearest, ties to even; 0 where there is no scale. */
static inline int8_t int8Code(float x, float scale) {
  constexpr float kToWhole = 12582912.0f;  // 1.5·2^23: adding it leaves no fraction bits
  if (!(scale > 0)) return 0;
  const float code = (x / scale + kToWhole) - kToWhole;
  return static_cast<int8_t>(code > 127 ? 127 : code < -127 ? -127 : code);
}

/** Writes the row of one position, `slot` of the page, into its block. */
static inline void writeCacheRow(CacheType type, const float* x, size_t dHead, size_t slot, uint8_t* block) {
  if (type == CacheType::f32) {
    std::memcpy(block + slot * dHead * sizeof(float), x, dHead * sizeof(float));
  } else if (type == CacheType::f16) {
    for (size_t i = 0; i < dHead; i++) {
      const uint16_t bits = floatToF16(x[i]);
      std::memcpy(block + (slot * dHead + i) * sizeof bits, &bits, sizeof bits);
    }
  } else {
    const float scale = int8Scale(x, dHead);
    std::memcpy(block + slot * sizeof scale, &scale, sizeof scale);
    for (size_t i = 0; i < dHead; i++) {
      block[kScaleBytes + slot * dHead + i] = static_cast<uint8_t>(int8Code(x[i], scale));
    }
  }
}

/** y = what a cache gives back where x was written. */
static inline void roundToCache(CacheType type, const float* x, size_t dHead, float* y) {
  if (type == CacheType::f32) {
    std::memcpy(y, x, dHead * sizeof(float));
  } else if (type == CacheType::f16) {
    for (size_t i = 0; i < dHead; i++) y[i] = f16ToFloat(floatToF16(x[i]));
  } else {
    const float scale = int8Scale(x, dHead);
    for (size_t i = 0; i < dHead; i++) y[i] = scale * static_cast<float>(int8Code(x[i], scale));
  }
}

}  // namespace nibblelens
