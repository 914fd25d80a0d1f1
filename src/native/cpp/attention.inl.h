// Causal grouped-query attention: scores, their use on the values, and both joined. A key or value is read where it
// lies, in a cache page or in this call's tensor, with the same arithmetic; what is summed over keys is summed in
// blocks that start at fixed key indices.
#pragma once

#include "softmax.inl.h"
#include "weights.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

/** The keys (kind 0) or values (kind 1) of one sequence and kv head, by key index. */
struct KeyRows {
  CachedPositions past;
  /** Of this call: of the first position. */
  const float* current;
  size_t currentStride;
  size_t pageOffset;
  size_t dHead;

  const float* operator()(size_t key) const {
    if (key >= past.length) return current + (key - past.length) * currentStride;
    return past.pages[key / kPagePositions] + pageOffset + key % kPagePositions * dHead;
  }
};

static inline KeyRows keyRows(const AttentionSizes& sizes, const CachedPositions* past, size_t kind,
                              const float* current, size_t batch, size_t kvHead) {
  const CachedPositions none;
  const CachedPositions& own = past ? past[batch] : none;
  const size_t stride = sizes.kvHeads * sizes.dHead;
  return {own, current + batch * sizes.pos * stride + kvHead * sizes.dHead, stride,
          ((own.layer * 2 + kind) * sizes.kvHeads + kvHead) * kPagePositions * sizes.dHead, sizes.dHead};
}

/** scores[j] = scale·Σ_i q[i]·rowAt(j)[i] for j < count. */
template <typename Rows>
static inline void dotRows(const float* q, const Rows& rowAt, size_t count, size_t dHead, float scale,
                           float* scores) {
  for (size_t first = 0; first < count; first += kLanes) {
    const size_t some = smaller(count - first, kLanes);
    Lanes dots[kLanes];
    for (size_t j = 0; j < kLanes; j++) {
      dots[j] = zeroLanes();
      if (j >= some) continue;
      const float* row = rowAt(first + j);
      forLanes(dHead, [&](size_t i, size_t part) {
        dots[j] = mulAdd(loadSome(q + i, part), loadSome(row + i, part), dots[j]);
      });
    }
    storeSome(scores + first, mul(sumEach(dots), splat(scale)), some);
  }
}

/** z = Σ_{j < count} weightAt(j)·rowAt(j), in blocks of kPagePositions. Rows of zero weights at the end are not read. */
template <typename Weights, typename Rows>
static inline void mixRows(const Weights& weightAt, const Rows& rowAt, size_t count, size_t dHead, float* z) {
  constexpr size_t kStrip = 8;
  std::memset(z, 0, dHead * sizeof(float));
  while (count > 0 && weightAt(count - 1) == 0) count--;
  for (size_t first = 0; first < count; first += kPagePositions) {
    const size_t some = smaller(count - first, kPagePositions);
    const float* rows[kPagePositions];
    for (size_t j = 0; j < some; j++) rows[j] = rowAt(first + j);
    for (size_t i = 0; i < dHead; i += kStrip * kLanes) {
      const size_t length = smaller(dHead - i, kStrip * kLanes);
      const size_t whole = length / kLanes;
      const size_t rest = length % kLanes;
      Lanes sums[kStrip];
      for (size_t l = 0; l < kStrip; l++) sums[l] = zeroLanes();
      for (size_t j = 0; j < some; j++) {
        const Lanes weight = splat(weightAt(first + j));
        const float* row = rows[j] + i;
        for (size_t l = 0; l < whole; l++) sums[l] = mulAdd(weight, load(row + l * kLanes), sums[l]);
        if (rest) sums[whole] = mulAdd(weight, loadPartial(row + whole * kLanes, rest), sums[whole]);
      }
      forLanes(length, [&](size_t l, size_t part) {
        storeSome(z + i + l, add(loadSome(z + i + l, part), sums[l / kLanes]), part);
      });
    }
  }
}

/** One query of an attention call. */
struct Query {
  size_t batch;
  size_t head;
  size_t position;
};

static inline Query queryAt(size_t index, const AttentionSizes& sizes) {
  const size_t row = index / sizes.pos;
  return {row / sizes.heads, row % sizes.heads, index % sizes.pos};
}

static inline size_t pastLength(const CachedPositions* past, size_t batch) { return past ? past[batch].length : 0; }
static inline size_t kvHeadOf(size_t head, const AttentionSizes& sizes) { return head / (sizes.heads / sizes.kvHeads); }
/** Where the d_head floats of a query's row are in q or z. */
static inline size_t queryOffset(const Query& query, const AttentionSizes& sizes) {
  return ((query.batch * sizes.pos + query.position) * sizes.heads + query.head) * sizes.dHead;
}

static void attentionScores(const float* q, const float* k, const AttentionSizes& sizes, const CachedPositions* past,
                            size_t keys, float scale, float* scores) {
  const size_t queries = sizes.batch * sizes.heads * sizes.pos;
  parallelFor(queries, queries * keys * sizes.dHead, 0, [&](size_t index, float*) {
    const Query query = queryAt(index, sizes);
    const KeyRows rows = keyRows(sizes, past, 0, k, query.batch, kvHeadOf(query.head, sizes));
    const size_t seen = pastLength(past, query.batch) + query.position + 1;
    float* to = scores + index * keys;
    dotRows(q + queryOffset(query, sizes), rows, seen, sizes.dHead, scale, to);
    for (size_t key = seen; key < keys; key++) to[key] = -INFINITY;
  });
}

static void attentionMix(const float* pattern, const float* v, const AttentionSizes& sizes,
                         const CachedPositions* past, size_t keys, float* z) {
  const size_t queries = sizes.batch * sizes.heads * sizes.pos;
  parallelFor(queries, queries * keys * sizes.dHead, 0, [&](size_t index, float*) {
    const Query query = queryAt(index, sizes);
    const KeyRows rows = keyRows(sizes, past, 1, v, query.batch, kvHeadOf(query.head, sizes));
    const float* weights = pattern + index * keys;
    mixRows([weights](size_t key) { return weights[key]; }, rows, pastLength(past, query.batch) + sizes.pos,
            sizes.dHead, z + queryOffset(query, sizes));
  });
}

static void attention(const float* q, const float* k, const float* v, const AttentionSizes& sizes,
                      const CachedPositions* past, size_t keys, float scale, float* z) {
  const size_t queries = sizes.batch * sizes.heads * sizes.pos;
  parallelFor(queries, 2 * queries * keys * sizes.dHead, keys, [&](size_t index, float* weights) {
    const Query query = queryAt(index, sizes);
    const size_t kvHead = kvHeadOf(query.head, sizes);
    const size_t seen = pastLength(past, query.batch) + query.position + 1;
    const size_t offset = queryOffset(query, sizes);
    dotRows(q + offset, keyRows(sizes, past, 0, k, query.batch, kvHead), seen, sizes.dHead, scale, weights);
    softmaxRow(weights, seen, weights);
    mixRows([weights](size_t key) { return weights[key]; }, keyRows(sizes, past, 1, v, query.batch, kvHead), seen,
            sizes.dHead, z + offset);
  });
}

}  // namespace nibblelens::NIBBLELENS_ISA
