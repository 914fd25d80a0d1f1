// Plain views of the arrays that kernels read: no ownership, no checks. `src/matrix/storage.ts` says what each means.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nibblelens {

/** Positions per page of a KV cache; PAGE_POSITIONS of native.ts. */
constexpr size_t kPagePositions = 64;

enum class FloatType { f32, f16, bf16 };

/** [outFeatures, inFeatures] 4-bit codes in compute layout 2. */
struct PackedMatrix {
  size_t outFeatures = 0;
  size_t inFeatures = 0;
  size_t groupSize = 1;
  size_t groups = 0;
  size_t rowBytes = 0;
  const uint8_t* codes = nullptr;
  /** [outFeatures, groups], of `scaleType`: f16 or f32. */
  const void* scales = nullptr;
  FloatType scaleType = FloatType::f32;
  /** Null: 8 everywhere. */
  const uint8_t* zeros = nullptr;
  /** Given: W = q·s + offset, and `zeros` is null. Of `scaleType`. */
  const void* offsets = nullptr;
};

/** [outFeatures, inFeatures] floats. */
struct DenseMatrix {
  size_t outFeatures = 0;
  size_t inFeatures = 0;
  FloatType type = FloatType::f32;
  const void* values = nullptr;
};

/** Keys and values of earlier positions of one sequence, in pages. */
struct CachedPositions {
  const float* const* pages = nullptr;
  size_t length = 0;
  size_t layer = 0;
};

struct AttentionSizes {
  size_t batch = 0;
  size_t pos = 0;
  size_t heads = 0;
  size_t kvHeads = 0;
  size_t dHead = 0;
  /** Of the cache pages. */
  size_t layers = 1;

  /** Floats of one cache page. */
  size_t pageFloats() const { return layers * 2 * kvHeads * kPagePositions * dHead; }
};

}  // namespace nibblelens
