// Plain views of the arrays that kernels read: no ownership, no checks. `src/matrix/storage.ts` says what each means.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nibblelens {

/** Positions per page of a KV cache; PAGE_POSITIONS of native.ts. */
constexpr size_t kPagePositions = 64;

enum class FloatType { f32, f16, bf16 };

/** `exact`: activations as good as float32. `fast`: as int8 with a scale for every 32 inputs. */
enum class Mode { exact, fast };

/** [outFeatures, inFeatures] codes of `bits` bits in compute layout 2; `matrix/planes.ts` says where bits are. */
struct PackedMatrix {
  size_t bits = 4;
  size_t outFeatures = 0;
  size_t inFeatures = 0;
  size_t groupSize = 1;
  size_t groups = 0;
  size_t rowBytes = 0;
  const uint8_t* codes = nullptr;
  /** [outFeatures, groups], of `scaleType`: f16 or f32. */
  const void* scales = nullptr;
  FloatType scaleType = FloatType::f32;
  /** Null: 2^(bits − 1) everywhere. */
  const uint8_t* zeros = nullptr;
  /** Given: W = q·s + offset, and `zeros` is null. Of `scaleType`. */
  const void* offsets = nullptr;

  /** Bits of the plane that holds the lowest ones of codes of `bits`; a second plane has the others. */
  static constexpr size_t lowBitsOf(size_t bits) { return bits == 8 ? 8 : bits >= 4 ? 4 : 2; }
  size_t lowBits() const { return lowBitsOf(bits); }
  size_t highBits() const { return bits - lowBits(); }
  /** Where the plane of high bits starts in a row. */
  size_t highStart() const { return planeBytes(inFeatures, lowBits()); }

  static size_t planeBytes(size_t inFeatures, size_t planeBits) {
    if (planeBits == 0) return 0;
    if (planeBits == 8) return (inFeatures + 31) / 32 * 32;
    const size_t codes = 256 / planeBits;
    const size_t rest = inFeatures % codes;
    return inFeatures / codes * 32 + (rest == 0 ? 0 : rest <= 32 ? 16 : 32);
  }
  static size_t bytesOfRow(size_t inFeatures, size_t bits) {
    return planeBytes(inFeatures, lowBitsOf(bits)) + planeBytes(inFeatures, bits - lowBitsOf(bits));
  }
};

/** [outFeatures, inFeatures] floats. */
struct DenseMatrix {
  size_t outFeatures = 0;
  size_t inFeatures = 0;
  FloatType type = FloatType::f32;
  const void* values = nullptr;
};

/** How a KV cache holds its numbers; CacheType of native.ts. */
enum class CacheType { f32, f16, int8 };

/** Pages of one sequence's cache. */
struct CachePages {
  CacheType type = CacheType::f32;
  std::vector<void*> data;
};

/** Keys and values of earlier positions of one sequence, in pages. */
struct CachedPositions {
  CacheType type = CacheType::f32;
  const void* const* pages = nullptr;
  size_t length = 0;
  size_t layer = 0;
};

/** Either kind of matrix, with the bias of its products. */
struct Linear {
  bool isPacked = false;
  PackedMatrix packed;
  DenseMatrix dense;
  const float* bias = nullptr;

  size_t outFeatures() const { return isPacked ? packed.outFeatures : dense.outFeatures; }
  size_t inFeatures() const { return isPacked ? packed.inFeatures : dense.inFeatures; }
};

struct AttentionSizes {
  size_t batch = 0;
  size_t pos = 0;
  size_t heads = 0;
  size_t kvHeads = 0;
  size_t dHead = 0;
  /** Of the cache pages. */
  size_t layers = 1;
};

}  // namespace nibblelens
