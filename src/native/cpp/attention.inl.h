// Causal grouped-query attention: scores, their use on the values, and both joined. A key or value is read where it
// lies, in a cache page or in this call's tensor, with the same arithmetic; what is summed over keys is summed in
// blocks and chunks that start at fixed key indices.
//
// The query heads that share a kv head go through its keys together, 64 at a time: what is read of memory is read once,
// and is in the cache for all of them. Prefill takes several positions together as well.
#pragma once

#include "cache_rows.h"
#include "softmax.inl.h"
#include "weights.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

/** Rows of queries that a unit of work takes where it can choose: each read of a key then serves as many. */
constexpr size_t kUnitRows = 16;
/** Rows that a unit has at most: the heads of larger groups are spread over several. */
constexpr size_t kMostRows = 32;

static inline size_t pastLength(const CachedPositions* past, size_t batch) { return past ? past[batch].length : 0; }

/** The keys (kind 0) or values (kind 1) of one sequence and kv head. */
struct KeyRows {
  CachedPositions past;
  /** Of this call: of the first position. */
  const float* current;
  size_t currentStride;
  /** Of the block in each page, in bytes. */
  size_t blockAt;
  size_t dHead;

  /**
   * Points at `count` rows from `first` on, a multiple of kPagePositions, and at the last one again up to whole lanes
   * of rows. `tile` [kPagePositions, dHead] takes those that are not cached as float32.
   */
  void read(size_t first, size_t count, float* tile, const float** rows) const {
    const size_t there = first < past.length ? smaller(count, past.length - first) : 0;
    if (there > 0) {
      const uint8_t* block = static_cast<const uint8_t*>(past.pages[first / kPagePositions]) + blockAt;
      if (past.type == CacheType::f16) widenF16(reinterpret_cast<const uint16_t*>(block), there * dHead, tile);
      if (past.type == CacheType::int8) widenInt8(block, there, dHead, tile);
      const float* values = past.type == CacheType::f32 ? reinterpret_cast<const float*>(block) : tile;
      for (size_t j = 0; j < there; j++) rows[j] = values + j * dHead;
    }
    for (size_t j = there; j < count; j++) rows[j] = current + (first + j - past.length) * currentStride;
    for (size_t j = count; j % kLanes != 0; j++) rows[j] = rows[count - 1];
  }

 private:
  static void widenF16(const uint16_t* bits, size_t count, float* to) {
    size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) store(to + i, loadF16(bits + i));
    for (; i < count; i++) to[i] = f16(bits[i]);
  }
  static void widenInt8(const uint8_t* block, size_t count, size_t dHead, float* to) {
    for (size_t j = 0; j < count; j++) {
      float scale;
      std::memcpy(&scale, block + j * sizeof scale, sizeof scale);
      const int8_t* codes = reinterpret_cast<const int8_t*>(block + kScaleBytes) + j * dHead;
      float* row = to + j * dHead;
      for (size_t i = 0; i < dHead; i++) row[i] = scale * static_cast<float>(codes[i]);
    }
  }
};

static inline KeyRows keyRows(const AttentionSizes& sizes, const CachedPositions* past, size_t kind,
                              const float* current, size_t batch, size_t kvHead) {
  const CachedPositions none;
  const CachedPositions& own = past ? past[batch] : none;
  const size_t stride = sizes.kvHeads * sizes.dHead;
  return {own, current + batch * sizes.pos * stride + kvHead * sizes.dHead, stride,
          cacheBlockAt(own.type, sizes, own.layer, kind, kvHead), sizes.dHead};
}

/** Lane j is Σ_i q[i]·rows[j][i]. Each key serves once for each load of q: 8 multiply-adds to 9 loads with AVX2. */
static inline Lanes dotEach(const float* q, const float* const* rows, size_t dHead) {
  Lanes dots[kLanes];
  for (size_t j = 0; j < kLanes; j++) dots[j] = zeroLanes();
  forLanes(dHead, [&](size_t i, size_t some) {
    const Lanes a = loadSome(q + i, some);
    for (size_t j = 0; j < kLanes; j++) dots[j] = mulAdd(a, loadSome(rows[j] + i, some), dots[j]);
  });
  return sumEach(dots);
}

/**
 * z[r] += Σ_{j < counts[r]} weightAt(r, j)·rows[j] for each r < kRows. The sums of a strip of d_head stay in registers:
 * 8 of them, as many as hide the latency of a multiply-add.
 */
template <size_t kRows, typename Weights>
static inline void mixBlock(const Weights& weightAt, const size_t* counts, const float* const* rows, size_t dHead,
                            float* const* z) {
  constexpr size_t kStrip = kRows == 1 ? 8 : kRows == 2 ? 4 : 2;
  size_t common = counts[0];
  for (size_t r = 1; r < kRows; r++) common = smaller(common, counts[r]);
  for (size_t i = 0; i < dHead; i += kStrip * kLanes) {
    const size_t length = smaller(dHead - i, kStrip * kLanes);
    Lanes sums[kRows][kStrip];
    for (size_t r = 0; r < kRows; r++) {
      for (size_t l = 0; l < kStrip; l++) sums[r][l] = zeroLanes();
    }
    const auto addOne = [&](size_t r, size_t j) {
      const Lanes weight = splat(weightAt(r, j));
      forLanes(length, [&](size_t l, size_t some) {
        sums[r][l / kLanes] = mulAdd(weight, loadSome(rows[j] + i + l, some), sums[r][l / kLanes]);
      });
    };
    if (length == kStrip * kLanes) {
      for (size_t j = 0; j < common; j++) {
        Lanes row[kStrip];
        for (size_t l = 0; l < kStrip; l++) row[l] = load(rows[j] + i + l * kLanes);
        for (size_t r = 0; r < kRows; r++) {
          const Lanes weight = splat(weightAt(r, j));
          for (size_t l = 0; l < kStrip; l++) sums[r][l] = mulAdd(weight, row[l], sums[r][l]);
        }
      }
    } else {
      for (size_t j = 0; j < common; j++) {
        for (size_t r = 0; r < kRows; r++) addOne(r, j);
      }
    }
    for (size_t r = 0; r < kRows; r++) {
      for (size_t j = common; j < counts[r]; j++) addOne(r, j);
      forLanes(length, [&](size_t l, size_t some) {
        storeSome(z[r] + i + l, add(loadSome(z[r] + i + l, some), sums[r][l / kLanes]), some);
      });
    }
  }
}

/** A unit of work: rows of queries, at neighbouring positions and heads, that read the same keys and values. */
struct AttentionUnit {
  size_t batch;
  size_t kvHead;
  size_t rows = 0;
  /** Keys that some of the rows see. */
  size_t limit = 0;
  /** By row: the keys that it sees, where it is in q or z, and its row in scores or pattern. */
  size_t seen[kMostRows];
  size_t query[kMostRows];
  size_t pattern[kMostRows];

  AttentionUnit(const AttentionSizes& sizes, const CachedPositions* past, size_t index) {
    const size_t group = sizes.heads / sizes.kvHeads;
    const size_t parts = (group + kMostRows - 1) / kMostRows;
    const size_t many = positions(sizes);
    const size_t first = index % spans(sizes) * many;
    const size_t part = index / spans(sizes) % parts;
    kvHead = index / spans(sizes) / parts % sizes.kvHeads;
    batch = index / spans(sizes) / parts / sizes.kvHeads;
    const size_t head = kvHead * group;
    for (size_t t = first; t < smaller(first + many, sizes.pos); t++) {
      limit = pastLength(past, batch) + t + 1;
      for (size_t h = head + part * kMostRows; h < head + smaller(group, (part + 1) * kMostRows); h++) {
        seen[rows] = limit;
        query[rows] = ((batch * sizes.pos + t) * sizes.heads + h) * sizes.dHead;
        pattern[rows] = (batch * sizes.heads + h) * sizes.pos + t;
        rows++;
      }
    }
  }

  static size_t count(const AttentionSizes& sizes) {
    const size_t group = sizes.heads / sizes.kvHeads;
    return sizes.batch * sizes.kvHeads * ((group + kMostRows - 1) / kMostRows) * spans(sizes);
  }

 private:
  static size_t positions(const AttentionSizes& sizes) {
    const size_t group = sizes.heads / sizes.kvHeads;
    return group < kUnitRows ? kUnitRows / group : 1;
  }
  static size_t spans(const AttentionSizes& sizes) { return (sizes.pos + positions(sizes) - 1) / positions(sizes); }
};

/** to[row][key] = scale·q·k for keys [from, end) as far as a row sees them; what it does not see may be written too. */
static inline void scoreKeys(const AttentionUnit& unit, const float* q, const KeyRows& keys, size_t from, size_t end,
                             float scale, float* tile, float* const* to) {
  const float* rows[kPagePositions];
  for (size_t first = from; first < end; first += kPagePositions) {
    const size_t count = smaller(end - first, kPagePositions);
    keys.read(first, count, tile, rows);
    for (size_t j = 0; j < count; j += kLanes) {
      for (size_t row = 0; row < unit.rows; row++) {
        if (unit.seen[row] <= first + j) continue;
        const Lanes scores = mul(dotEach(q + unit.query[row], rows + j, keys.dHead), splat(scale));
        storeSome(to[row] + first + j, scores, smaller(count - j, kLanes));
      }
    }
  }
}

/** to[row] = Σ weights[row][key]·v over keys [from, end) below counts[row]. */
static inline void mixKeys(const AttentionUnit& unit, const float* const* weights, const size_t* counts,
                           const KeyRows& values, size_t from, size_t end, float* tile, float* const* to) {
  const float* rows[kPagePositions];
  for (size_t row = 0; row < unit.rows; row++) std::memset(to[row], 0, values.dHead * sizeof(float));
  for (size_t first = from; first < end; first += kPagePositions) {
    const size_t count = smaller(end - first, kPagePositions);
    values.read(first, count, tile, rows);
    size_t some[kMostRows];
    for (size_t row = 0; row < unit.rows; row++) {
      some[row] = counts[row] > first ? smaller(counts[row] - first, count) : 0;
    }
    size_t row = 0;
    const auto mix = [&](auto rowsNow) {
      const auto weightAt = [&](size_t r, size_t j) { return weights[row + r][first + j]; };
      mixBlock<rowsNow>(weightAt, some + row, rows, values.dHead, to + row);
      row += rowsNow;
    };
    while (unit.rows - row >= 4) mix(std::integral_constant<size_t, 4>());
    if (unit.rows - row >= 2) mix(std::integral_constant<size_t, 2>());
    if (unit.rows - row >= 1) mix(std::integral_constant<size_t, 1>());
  }
}

/** How many of `count` weights there are without the zeros at the end: their values are not read. */
static inline size_t withoutZeros(const float* weights, size_t count) {
  while (count > 0 && weights[count - 1] == 0) count--;
  return count;
}

/** z += x */
static inline void addRow(const float* x, size_t count, float* z) {
  forLanes(count, [=](size_t i, size_t some) {
    storeSome(z + i, add(loadSome(z + i, some), loadSome(x + i, some)), some);
  });
}

/** z of each row, chunk after chunk. `scratch` is a tile and a row of d_head for each row. */
static inline void mixAll(const AttentionUnit& unit, const float* const* weights, const size_t* counts,
                          const KeyRows& values, float* scratch, float* z) {
  float* to[kMostRows] = {};
  float* partial[kMostRows] = {};
  size_t end = 1;
  for (size_t row = 0; row < unit.rows; row++) {
    to[row] = z + unit.query[row];
    partial[row] = scratch + (kPagePositions + row) * values.dHead;
    end = counts[row] > end ? counts[row] : end;
  }
  mixKeys(unit, weights, counts, values, 0, smaller(end, kAttentionChunk), scratch, to);
  for (size_t from = kAttentionChunk; from < end; from += kAttentionChunk) {
    mixKeys(unit, weights, counts, values, from, smaller(end, from + kAttentionChunk), scratch, partial);
    for (size_t row = 0; row < unit.rows; row++) {
      if (counts[row] > from) addRow(partial[row], values.dHead, to[row]);
    }
  }
}

static inline size_t tileFloats(const AttentionSizes& sizes) { return kPagePositions * sizes.dHead; }
static inline size_t mixScratch(const AttentionSizes& sizes) { return tileFloats(sizes) + kMostRows * sizes.dHead; }
static inline size_t queriesOf(const AttentionSizes& sizes) { return sizes.batch * sizes.heads * sizes.pos; }

static void attentionScores(const float* q, const float* k, const AttentionSizes& sizes, const CachedPositions* past,
                            size_t keys, float scale, float* scores) {
  const size_t work = queriesOf(sizes) * keys * sizes.dHead;
  parallelFor(AttentionUnit::count(sizes), work, tileFloats(sizes), [&](size_t index, float* tile) {
    const AttentionUnit unit(sizes, past, index);
    float* to[kMostRows] = {};
    for (size_t row = 0; row < unit.rows; row++) to[row] = scores + unit.pattern[row] * keys;
    const KeyRows rows = keyRows(sizes, past, 0, k, unit.batch, unit.kvHead);
    scoreKeys(unit, q, rows, 0, unit.limit, scale, tile, to);
    for (size_t row = 0; row < unit.rows; row++) {
      for (size_t key = unit.seen[row]; key < keys; key++) to[row][key] = -INFINITY;
    }
  });
}

static void attentionMix(const float* pattern, const float* v, const AttentionSizes& sizes,
                         const CachedPositions* past, size_t keys, float* z) {
  const size_t work = queriesOf(sizes) * keys * sizes.dHead;
  parallelFor(AttentionUnit::count(sizes), work, mixScratch(sizes), [&](size_t index, float* scratch) {
    const AttentionUnit unit(sizes, past, index);
    const float* weights[kMostRows] = {};
    size_t counts[kMostRows] = {};
    for (size_t row = 0; row < unit.rows; row++) {
      weights[row] = pattern + unit.pattern[row] * keys;
      counts[row] = withoutZeros(weights[row], pastLength(past, unit.batch) + sizes.pos);
    }
    mixAll(unit, weights, counts, keyRows(sizes, past, 1, v, unit.batch, unit.kvHead), scratch, z);
  });
}

/** `attention` where each unit does all of its own work. */
static void attentionByUnits(const float* q, const float* k, const float* v, const AttentionSizes& sizes,
                             const CachedPositions* past, size_t keys, float scale, float* z) {
  const size_t stride = attentionStride(keys);
  const size_t work = 2 * queriesOf(sizes) * keys * sizes.dHead;
  const size_t scratchFloats = mixScratch(sizes) + kMostRows * stride;
  parallelFor(AttentionUnit::count(sizes), work, scratchFloats, [&](size_t index, float* scratch) {
    const AttentionUnit unit(sizes, past, index);
    float* weights[kMostRows] = {};
    size_t counts[kMostRows] = {};
    for (size_t row = 0; row < unit.rows; row++) weights[row] = scratch + mixScratch(sizes) + row * stride;
    const KeyRows keyed = keyRows(sizes, past, 0, k, unit.batch, unit.kvHead);
    scoreKeys(unit, q, keyed, 0, unit.limit, scale, scratch, weights);
    for (size_t row = 0; row < unit.rows; row++) {
      softmaxRow(weights[row], unit.seen[row], weights[row]);
      counts[row] = withoutZeros(weights[row], unit.seen[row]);
    }
    mixAll(unit, weights, counts, keyRows(sizes, past, 1, v, unit.batch, unit.kvHead), scratch, z);
  });
}

/** `attention` of one position where chunks of keys are work of their own, with the same bits. */
static void attentionByChunks(const float* q, const float* k, const float* v, const AttentionSizes& sizes,
                              const CachedPositions* past, size_t keys, float scale, float* workspace, float* z) {
  const size_t queries = queriesOf(sizes);
  const size_t stride = attentionStride(keys);
  const size_t chunks = attentionChunks(keys);
  const size_t work = queries * keys * sizes.dHead;
  const size_t pieces = AttentionUnit::count(sizes) * chunks;
  const auto partialAt = [&](size_t chunk, size_t query) {
    return workspace + queries * stride + (chunk * queries + query) * sizes.dHead;
  };
  parallelFor(pieces, work, tileFloats(sizes), [&](size_t index, float* tile) {
    const AttentionUnit unit(sizes, past, index / chunks);
    const size_t from = index % chunks * kAttentionChunk;
    if (from >= unit.limit) return;
    float* to[kMostRows] = {};
    for (size_t row = 0; row < unit.rows; row++) to[row] = workspace + unit.pattern[row] * stride;
    const KeyRows rows = keyRows(sizes, past, 0, k, unit.batch, unit.kvHead);
    scoreKeys(unit, q, rows, from, smaller(unit.limit, from + kAttentionChunk), scale, tile, to);
  });
  parallelFor(queries, 20 * queries * keys, 0, [&](size_t query, float*) {
    float* weights = workspace + query * stride;
    softmaxRow(weights, pastLength(past, query / sizes.heads) + 1, weights);
  });
  parallelFor(pieces, work, tileFloats(sizes), [&](size_t index, float* tile) {
    const AttentionUnit unit(sizes, past, index / chunks);
    const size_t chunk = index % chunks;
    const size_t from = chunk * kAttentionChunk;
    if (from >= unit.limit) return;
    const float* weights[kMostRows] = {};
    size_t counts[kMostRows] = {};
    float* to[kMostRows] = {};
    for (size_t row = 0; row < unit.rows; row++) {
      weights[row] = workspace + unit.pattern[row] * stride;
      counts[row] = withoutZeros(weights[row], unit.limit);
      to[row] = partialAt(chunk, unit.pattern[row]);
    }
    const KeyRows rows = keyRows(sizes, past, 1, v, unit.batch, unit.kvHead);
    mixKeys(unit, weights, counts, rows, from, smaller(unit.limit, from + kAttentionChunk), tile, to);
  });
  for (size_t query = 0; query < queries; query++) {
    const size_t seen = withoutZeros(workspace + query * stride, pastLength(past, query / sizes.heads) + 1);
    std::memcpy(z + query * sizes.dHead, partialAt(0, query), sizes.dHead * sizeof(float));
    for (size_t chunk = 1; chunk * kAttentionChunk < seen; chunk++) {
      addRow(partialAt(chunk, query), sizes.dHead, z + query * sizes.dHead);
    }
  }
}

static void attention(const float* q, const float* k, const float* v, const AttentionSizes& sizes,
                      const CachedPositions* past, size_t keys, float scale, float* workspace, float* z) {
  const size_t units = AttentionUnit::count(sizes);
  const auto threads = static_cast<size_t>(threadCount());
  // with many units to a thread it matters little that some threads end a unit earlier
  const bool idle = units % threads != 0 && units < 4 * threads;
  if (idle && attentionWorkspace(sizes, keys) > 0) {
    attentionByChunks(q, k, v, sizes, past, keys, scale, workspace, z);
  } else {
    attentionByUnits(q, k, v, sizes, past, keys, scale, z);
  }
}

}  // namespace nibblelens::NIBBLELENS_ISA
