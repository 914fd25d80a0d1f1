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

/** Outputs of a panel of packed weights. */
constexpr size_t kPanel = 16;
/** Inputs of a block of codes, which are also the inputs whose activations share a scale. */
constexpr size_t kBlock = 32;
/** Bytes of a line of codes: four inputs of each output of a panel, a byte for each. */
constexpr size_t kLine = 4 * kPanel;

/** [outFeatures, inFeatures] codes of `bits` bits in compute layout 3; `matrix/panels.ts` says where everything is. */
struct PackedMatrix {
  size_t bits = 4;
  size_t outFeatures = 0;
  size_t inFeatures = 0;
  size_t groupSize = 1;
  size_t groups = 0;
  /** [panels, blocks, bits lines] */
  const uint8_t* codes = nullptr;
  /** [panels, groups, kPanel], of `scaleType`: f16 or f32. */
  const void* scales = nullptr;
  FloatType scaleType = FloatType::f32;
  /** As scales. Null: 2^(bits − 1) everywhere. */
  const uint8_t* zeros = nullptr;
  /** As scales. Given: W = q·s + offset, and `zeros` is null. */
  const void* offsets = nullptr;

  size_t blocks() const { return blocksOf(inFeatures); }
  size_t panelBytes() const { return blocks() * bits * kLine; }
  size_t groupSlot(size_t n, size_t group) const { return (n / kPanel * groups + group) * kPanel + n % kPanel; }

  /** Bits of the plane that holds the lowest ones of codes; a second plane has the others. A plane has a line per bit. */
  static constexpr int lowBitsOf(int bits) { return bits >= 4 ? 4 : 2; }
  static size_t blocksOf(size_t inFeatures) { return (inFeatures + kBlock - 1) / kBlock; }
  static size_t panelsOf(size_t outFeatures) { return (outFeatures + kPanel - 1) / kPanel; }
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
