// Products of many rows with packed weights in `fast`: a tile of codes is laid out so that a register holds four inputs
// of each of eight outputs. Products of bytes then fall into the lane of their output, and no sum runs across lanes.
//
// For 32 inputs, eight outputs and a row, AVX2 takes 8 byte products, 8 additions, one widening and 4 instructions for
// scales: 21 for 256 multiply-adds, where floats take 32.
#pragma once

#include "packed_rows.inl.h"
#include "tiles.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

constexpr size_t kParts = kStretch / kScaled;
/** Bytes of a tile: [kParts, 8 quads, kTileLanes, kLanes outputs, 4 inputs]. */
constexpr size_t kQuadTileBytes = kStretch * kTileOutputs;

/** Whether these kernels read a matrix: even groups, and products of bytes that fit 16 bits. */
static inline bool hasQuads(const PackedMatrix& w) {
  return hasEvenGroups(w) && w.bits != 8;
}

/** A stretch of a tile's outputs. */
struct QuadTile {
  uint8_t* codes;  // kQuadTileBytes
  /** Each [kParts, kTileOutputs]. */
  float* scales;
  float* zeros;
  float* offsets;
};

/** The 256 codes of an output's stretch in the order of prepared bytes; those of inputs beyond the row are 0. */
template <int bits>
static inline void orderCodes(const PackedMatrix& w, size_t n, size_t stretch, uint8_t* to) {
  const size_t length = smaller(w.inFeatures - stretch * kStretch, kStretch);
  if (length < kStretch) std::memset(to, 0, kStretch);
  const StretchCodes<bits> from(w, n, stretch);
  forRuns(length, [&](auto index, auto isHalf) {
    constexpr int run = decltype(index)::value;
    storeCodeBytes(loadCodes<bits, run, decltype(isHalf)::value>(from.low, from.high), to + run * kRun);
  });
}

/** Fills a tile with a stretch of outputs n …; those that do not exist have scales of 0. `rows`: kLanes stretches. */
template <int bits, Rule rule>
static inline void fillQuadTile(const PackedMatrix& w, size_t n, size_t stretch, uint8_t* rows, const QuadTile& tile) {
  for (size_t part = 0; part < kTileLanes; part++) {
    Lanes scales[kLanes], zeros[kLanes], offsets[kLanes];
    for (size_t j = 0; j < kLanes; j++) {
      const size_t output = n + part * kLanes + j;
      if (output >= w.outFeatures) {
        std::memset(rows + j * kStretch, 0, kStretch);
        scales[j] = zeros[j] = offsets[j] = zeroLanes();
        continue;
      }
      orderCodes<bits>(w, output, stretch, rows + j * kStretch);
      const GroupLanes groups = stretchGroups<rule>(w, output, stretch);
      scales[j] = groups.scale;
      zeros[j] = rule == Rule::middle ? splat(static_cast<float>(1 << (bits - 1))) : floatsOf(asInts(groups.zero));
      offsets[j] = groups.offset;
    }
    transpose(scales);
    transpose(zeros);
    transpose(offsets);
    for (size_t i = 0; i < kParts; i++) {
      const size_t at = i * kTileOutputs + part * kLanes;
      store(tile.scales + at, scales[i]);
      store(tile.zeros + at, zeros[i]);
      if constexpr (rule == Rule::offsets) store(tile.offsets + at, offsets[i]);
    }
    // quad q of the order of bytes: 8·run + 4·half + i of the even ones, and 4 dwords of the odd ones after 8
    for (size_t k = 0; k < kStretch / 4; k += kLanes) {
      Lanes square[kLanes];
      for (size_t j = 0; j < kLanes; j++) square[j] = asLanes(loadInts(reinterpret_cast<int32_t*>(rows + j * kStretch) + k));
      transpose(square);
      for (size_t i = 0; i < kLanes; i++) {
        const size_t inRun = (k + i) % 16;
        const size_t inputs = (k + i) / 16 * 2 + inRun % 8 / 4;
        const size_t quad = inRun / 8 * 4 + inRun % 4;
        storeInts(reinterpret_cast<int32_t*>(tile.codes) + ((inputs * 8 + quad) * kTileLanes + part) * kLanes,
                  asInts(square[i]));
      }
    }
  }
}

/** totals[r, j] += Σ over the 32 inputs `part` of a stretch. */
template <int bits, Rule rule, size_t rows>
static inline void addPart(const PreparedRow* x, size_t stretch, size_t part, const QuadTile& tile, float* totals) {
  const uint8_t* const codes = tile.codes + part * 8 * kTileLanes * 32;
  const size_t run = stretch * kRunsPerStretch + part / 2;
  const size_t inputs = run * kRun + part % 2 * 16;
  IntLanes sums[rows][kTileLanes];
  for (size_t r = 0; r < rows; r++) {
    for (size_t i = 0; i < kTileLanes; i++) sums[r][i] = splatInt(0);
  }
  for (size_t first = 0; first < 8; first += kQuads<bits>) {
    QuadSums quads[rows][kTileLanes];
    for (size_t r = 0; r < rows; r++) {
      for (size_t i = 0; i < kTileLanes; i++) quads[r][i] = zeroQuads();
    }
    // Not unrolled: a compiler that sees all sums at once reorders them, and runs out of registers.
#pragma GCC unroll 1
    for (size_t quad = first; quad < first + kQuads<bits>; quad++) {
      const size_t at = inputs + quad / 4 * 32 + quad % 4 * 4;
      for (size_t i = 0; i < kTileLanes; i++) {
        const QuadCodes weights = loadQuads(codes + (quad * kTileLanes + i) * 32);
        for (size_t r = 0; r < rows; r++) quads[r][i] = addQuad(quads[r][i], weights, x[r].bytes + at);
      }
    }
    for (size_t r = 0; r < rows; r++) {
      for (size_t i = 0; i < kTileLanes; i++) sums[r][i] = addInts(sums[r][i], widen(quads[r][i]));
    }
  }
  for (size_t r = 0; r < rows; r++) {
    const int32_t* const lanes = x[r].sums + run * kLanes + part % 2 * 4;
    const Lanes total = splat(static_cast<float>(lanes[0] + lanes[1] + lanes[2] + lanes[3]));
    const Lanes xScale = splat(x[r].scales[stretch * kParts + spreadLane(part)]);
    for (size_t i = 0; i < kTileLanes; i++) {
      const size_t at = part * kTileOutputs + i * kLanes;
      float* const to = totals + r * kTileOutputs + i * kLanes;
      // all three are whole numbers below 2^24, so this is exact
      const Lanes value = mulAdd(sub(zeroLanes(), load(tile.zeros + at)), total, floatsOf(sums[r][i]));
      Lanes y = load(to);
      if constexpr (rule == Rule::offsets) y = mulAdd(mul(load(tile.offsets + at), xScale), total, y);
      store(to, mulAdd(mul(load(tile.scales + at), xScale), value, y));
    }
  }
}

/** Of at most kTileRows rows. */
template <int bits, Rule rule>
static inline void quadOutputs(const PackedMatrix& w, const PreparedRow* x, size_t rows, size_t n, const float* bias,
                               float* y, float* scratch) {
  constexpr size_t kValues = kParts * kTileOutputs;
  float* const values = scratch + (kQuadTileBytes + kLanes * kStretch) / sizeof(float);
  float* const totals = values + 3 * kValues;  // [rows, kTileOutputs]
  auto* const bytes = reinterpret_cast<uint8_t*>(scratch);
  const QuadTile tile{bytes, values, values + kValues, values + 2 * kValues};
  std::memset(totals, 0, rows * kTileOutputs * sizeof(float));
  for (size_t stretch = 0; stretch * kStretch < w.inFeatures; stretch++) {
    fillQuadTile<bits, rule>(w, n, stretch, bytes + kQuadTileBytes, tile);
    const size_t parts = smaller((w.inFeatures - stretch * kStretch + kScaled - 1) / kScaled, kParts);
    size_t r = 0;
    for (; r + kQuadRows <= rows; r += kQuadRows) {
      for (size_t part = 0; part < parts; part++) {
        addPart<bits, rule, kQuadRows>(x + r, stretch, part, tile, totals + r * kTileOutputs);
      }
    }
    for (; r < rows; r++) {
      for (size_t part = 0; part < parts; part++) {
        addPart<bits, rule, 1>(x + r, stretch, part, tile, totals + r * kTileOutputs);
      }
    }
  }
  writeTotals(totals, rows, smaller(kTileOutputs, w.outFeatures - n), n, bias, y, w.outFeatures);
}

static inline size_t quadScratch(size_t rows) {
  return (kQuadTileBytes + kLanes * kStretch) / sizeof(float) + 3 * kParts * kTileOutputs + rows * kTileOutputs;
}

template <int bits>
static inline void quadOutputs(const PackedMatrix& w, const PreparedRow* x, size_t rows, size_t n, const float* bias,
                               float* y, float* scratch) {
  const Rule rule = ruleOf(w);
  if (rule == Rule::middle) quadOutputs<bits, Rule::middle>(w, x, rows, n, bias, y, scratch);
  else if (rule == Rule::zeros) quadOutputs<bits, Rule::zeros>(w, x, rows, n, bias, y, scratch);
  else quadOutputs<bits, Rule::offsets>(w, x, rows, n, bias, y, scratch);
}

static inline void quadOutputs(const PackedMatrix& w, const PreparedRow* x, size_t rows, size_t n, const float* bias,
                               float* y, float* scratch) {
  withBits(w.bits, [&](auto bits) {
    // codes of 8 bits have no quads, see `hasQuads`
    if constexpr (bits < 8) quadOutputs<decltype(bits)::value>(w, x, rows, n, bias, y, scratch);
  });
}

}  // namespace nibblelens::NIBBLELENS_ISA
