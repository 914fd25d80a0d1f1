// Gradients of the two halves of attention, without a cache: keys = pos.
#pragma once

#include "attention.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

/** z = Σ_{j < count} weightAt(j)·rowAt(j), in blocks of kPagePositions. */
template <typename Weights, typename Rows>
static inline void mixRows(const Weights& weightAt, const Rows& rowAt, size_t count, size_t dHead, float* z) {
  const float* rows[kPagePositions];
  std::memset(z, 0, dHead * sizeof(float));
  for (size_t first = 0; first < count; first += kPagePositions) {
    const size_t some = smaller(count - first, kPagePositions);
    for (size_t j = 0; j < some; j++) rows[j] = rowAt(first + j);
    mixBlock<1>([&](size_t, size_t j) { return weightAt(first + j); }, &some, rows, dHead, &z);
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

/** Where the d_head floats of a query's row are in q or z. */
static inline size_t queryOffset(const Query& query, const AttentionSizes& sizes) {
  return ((query.batch * sizes.pos + query.position) * sizes.heads + query.head) * sizes.dHead;
}

/** Where the key or value that a query reads first is in k or v; the next ones follow at kvHeads·dHead. */
static inline size_t keyOffset(const Query& query, const AttentionSizes& sizes) {
  const size_t kvHead = query.head / (sizes.heads / sizes.kvHeads);
  return (query.batch * sizes.pos * sizes.kvHeads + kvHead) * sizes.dHead;
}

/**
 * y[batch, key, kvHead] = Σ over the heads of kvHead and the queries from `firstQuery(key)` on of
 * weights[batch, head, query, key]·rows[batch, query, head].
 */
template <typename FirstQuery>
static inline void sumOverQueries(const float* weights, const float* rows, const AttentionSizes& sizes,
                                  const FirstQuery& firstQuery, float* y) {
  const size_t group = sizes.heads / sizes.kvHeads;
  const size_t pos = sizes.pos;
  const size_t count = sizes.batch * pos * sizes.kvHeads;
  parallelFor(count, count * group * pos * sizes.dHead, 0, [&](size_t index, float*) {
    const size_t kvHead = index % sizes.kvHeads;
    const size_t key = index / sizes.kvHeads % pos;
    const size_t batch = index / sizes.kvHeads / pos;
    const size_t first = firstQuery(key);
    const size_t span = pos - first;
    const auto headOf = [=](size_t i) { return kvHead * group + i / span; };
    const auto weightAt = [&](size_t i) {
      return weights[((batch * sizes.heads + headOf(i)) * pos + first + i % span) * pos + key];
    };
    const auto rowAt = [&](size_t i) { return rows + queryOffset({batch, headOf(i), first + i % span}, sizes); };
    mixRows(weightAt, rowAt, group * span, sizes.dHead, y + index * sizes.dHead);
  });
}

static inline void scaleBy(float scale, size_t count, float* y) {
  forLanesParallel(count, 1, [=](size_t i, size_t some) {
    storeSome(y + i, mul(loadSome(y + i, some), splat(scale)), some);
  });
}

/** dq = scale·Σ_{key ≤ query} dscores·k, dk = scale·Σ_{query ≥ key} dscores·q: masked scores are constants. */
static void attentionScoresGradient(const float* dscores, const float* q, const float* k, const AttentionSizes& sizes,
                                    float scale, float* dq, float* dk) {
  const size_t queries = sizes.batch * sizes.heads * sizes.pos;
  parallelFor(queries, queries * sizes.pos * sizes.dHead, 0, [&](size_t index, float*) {
    const Query query = queryAt(index, sizes);
    const float* weights = dscores + index * sizes.pos;
    const float* keys = k + keyOffset(query, sizes);
    const auto rowAt = [&](size_t key) { return keys + key * sizes.kvHeads * sizes.dHead; };
    mixRows([weights](size_t key) { return weights[key]; }, rowAt, query.position + 1, sizes.dHead,
            dq + queryOffset(query, sizes));
  });
  sumOverQueries(dscores, q, sizes, [](size_t key) { return key; }, dk);
  scaleBy(scale, queries * sizes.dHead, dq);
  scaleBy(scale, sizes.batch * sizes.pos * sizes.kvHeads * sizes.dHead, dk);
}

/** dpattern = dz·v, dv = Σ_query pattern·dz, over all keys: the mask is the softmax's. */
static void attentionMixGradient(const float* dz, const float* pattern, const float* v, const AttentionSizes& sizes,
                                 float* dpattern, float* dv) {
  const size_t queries = sizes.batch * sizes.heads * sizes.pos;
  parallelFor(queries, queries * sizes.pos * sizes.dHead, 0, [&](size_t index, float*) {
    const Query query = queryAt(index, sizes);
    const float* values = v + keyOffset(query, sizes);
    const float* rows[kLanes];
    for (size_t first = 0; first < sizes.pos; first += kLanes) {
      for (size_t j = 0; j < kLanes; j++) {
        rows[j] = values + smaller(first + j, sizes.pos - 1) * sizes.kvHeads * sizes.dHead;
      }
      const Lanes slopes = dotEach(dz + queryOffset(query, sizes), rows, sizes.dHead);
      storeSome(dpattern + index * sizes.pos + first, slopes, smaller(sizes.pos - first, kLanes));
    }
  });
  sumOverQueries(pattern, dz, sizes, [](size_t) { return size_t{0}; }, dv);
}

}  // namespace nibblelens::NIBBLELENS_ISA
