// The kernels of one instruction set as a table, and the choice between the sets. Kernels trust their arguments: the
// addon has checked them. All floats are row-major float32; outputs never overlap inputs; any alignment will do.
// Every value is computed in an order that depends on sizes alone, never on threads; on the number of rows only as far
// as products with float weights have different kernels for few and for many.
#pragma once

#include <string>
#include <vector>

#include "storage.h"

namespace nibblelens {

/** Keys after which attention's sums over values start anew: a chunk is the work that threads share a context by. */
constexpr size_t kAttentionChunk = 1024;
static inline size_t attentionChunks(size_t keys) { return (keys + kAttentionChunk - 1) / kAttentionChunk; }
/** Floats between the rows of scores: whole cache lines, and not a power of two, of which few have room in a cache. */
static inline size_t attentionStride(size_t keys) { return (keys / 16 + 2) * 16; }
/** Floats that `attention` works in: where one position attends to several chunks, its scores and each chunk's sums. */
static inline size_t attentionWorkspace(const AttentionSizes& sizes, size_t keys) {
  if (sizes.pos > 1 || keys <= kAttentionChunk) return 0;
  return sizes.batch * sizes.heads * (attentionStride(keys) + attentionChunks(keys) * sizes.dHead);
}

/** Elements of a block of `weightSums`. */
constexpr size_t kWeightBlock = 256;
static inline size_t weightBlocks(size_t count) { return (count + kWeightBlock - 1) / kWeightBlock; }

struct Kernels {
  const char* name;

  /** For each matrix, y[i][r, n] = bias[n] + Σ_k x[r, k]·W[n, k]; a null bias is 0. All have as many inputs. */
  void (*matmul)(const float* x, size_t rows, const Linear* const* linears, size_t count, Mode mode, float* const* y);
  /** dx[r, k] = Σ_n dy[r, n]·W[n, k] */
  void (*matmulGradient)(const float* dy, size_t rows, const Linear& w, float* dx);
  /** y[i] = table[ids[i]] */
  void (*embedding)(const int32_t* ids, size_t count, const Linear& table, float* y);

  /** scale[r] = √(mean_k x[r, k]² + eps) */
  void (*rmsNormScale)(const float* x, size_t rows, size_t columns, float eps, float* scale);
  /** y[r, k] = x[r, k] / scale[r] */
  void (*divideRows)(const float* x, size_t rows, size_t columns, const float* scale, float* y);
  /** y[r, k] = x[r, k]·gain[k] */
  void (*multiplyColumns)(const float* x, size_t rows, size_t columns, const float* gain, float* y);
  /** The three above in one pass, with the same bits. */
  void (*rmsNorm)(const float* x, size_t rows, size_t columns, const float* gain, float eps, float* y);
  void (*rmsNormGradient)(const float* x, size_t rows, size_t columns, const float* gain, float eps, const float* dy,
                          float* dx);

  /** Turns pairs (i, i + dHead / 2) of x [rows, heads, dHead] by the angle of positions[row] times sign. */
  void (*rope)(const float* x, size_t rows, size_t heads, size_t dHead, const int32_t* positions, const float* cos,
               const float* sin, float sign, float* y);

  /** [batch, heads, pos, keys]; `past` is null or has an entry per batch element; `keys` = pos + longest past. */
  void (*attentionScores)(const float* q, const float* k, const AttentionSizes& sizes, const CachedPositions* past,
                          size_t keys, float scale, float* scores);
  void (*attentionScoresGradient)(const float* dscores, const float* q, const float* k, const AttentionSizes& sizes,
                                  float scale, float* dq, float* dk);
  void (*softmax)(const float* x, size_t rows, size_t columns, float* y);
  void (*softmaxGradient)(const float* y, size_t rows, size_t columns, const float* dy, float* dx);
  void (*attentionMix)(const float* pattern, const float* v, const AttentionSizes& sizes, const CachedPositions* past,
                       size_t keys, float* z);
  void (*attentionMixGradient)(const float* dz, const float* pattern, const float* v, const AttentionSizes& sizes,
                               float* dpattern, float* dv);
  /** Scores, softmax and mix in one, with the same bits; `workspace` has `attentionWorkspace` floats. */
  void (*attention)(const float* q, const float* k, const float* v, const AttentionSizes& sizes,
                    const CachedPositions* past, size_t keys, float scale, float* workspace, float* z);

  /** y = gate / (1 + e^−gate)·up */
  void (*swiglu)(const float* gate, const float* up, size_t count, float* y);
  void (*swigluGradient)(const float* gate, const float* up, const float* dy, size_t count, float* dgate, float* dup);
  void (*add)(const float* a, const float* b, size_t count, float* y);
  /** y = e^x, within 2 units in the last place. */
  void (*exponential)(const float* x, size_t count, float* y);

  /** Whether no x is NaN or infinite. */
  bool (*allFinite)(const float* x, size_t count);
  /** Indices of the k largest, 1 ≤ k ≤ count, in falling order; of equals the lower index first. */
  void (*largest)(const float* x, size_t count, size_t k, int32_t* indices);
  /** sums[b] = Σ e^((x_i − most)·scale) over block b of kWeightBlock, in float64; most ≥ every x, −∞ weighs nothing. */
  void (*weightSums)(const float* x, size_t count, float most, float scale, double* sums);
};

/** The kernels of an instruction set that takes all others from another one. */
struct Products {
  decltype(Kernels::matmul) matmul;
  decltype(Kernels::embedding) embedding;
};

/**
 * The kernels in use: those of the best instruction set that this machine has, unless `NIBBLELENS_ISA` named or
 * `useKernels` chose others.
 */
const Kernels& kernels();
/** All that this machine can run, best first; AVX-512's only where `NIBBLELENS_ISA` asks for them. */
const std::vector<const Kernels*>& availableKernels();
/** Chooses by name, process-wide; false where this machine has no such kernels. */
bool useKernels(const std::string& name);

}  // namespace nibblelens
