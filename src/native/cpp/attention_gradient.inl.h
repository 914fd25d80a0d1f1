// Gradients of the two halves of attention, without a cache: keys = pos.
#pragma once

#include "attention.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

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
    const KeyRows rows = keyRows(sizes, nullptr, 0, k, query.batch, kvHeadOf(query.head, sizes));
    const float* weights = dscores + index * sizes.pos;
    mixRows([weights](size_t key) { return weights[key]; }, rows, query.position + 1, sizes.dHead,
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
    const KeyRows rows = keyRows(sizes, nullptr, 1, v, query.batch, kvHeadOf(query.head, sizes));
    dotRows(dz + queryOffset(query, sizes), rows, sizes.pos, sizes.dHead, 1.0f, dpattern + index * sizes.pos);
  });
  sumOverQueries(pattern, dz, sizes, [](size_t) { return size_t{0}; }, dv);
}

}  // namespace nibblelens::NIBBLELENS_ISA
