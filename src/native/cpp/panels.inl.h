// Products of rows with packed weights, in `exact` of a few rows: integers in, so that codes need no conversion.
//
// For a group with scale s and zero point z, and activations t·X with integers X,
// Σ (q − z)·s·x = s·t·(Σ q·X − z·ΣX); the bracket is exact. With offsets, W = q·s + b = (q − c)·s + (b + c·s) for the
// whole number c nearest −b / s: where codes and offset cancel, what is left to add in float is small too.
//
// Codes of more than four bits are multiplied as 16·high + low, so that no product leaves 16 bits. Per block of 32 inputs
// and panel of 16 outputs, and codes of four bits, AVX2 takes 8 loads and 24 instructions to take codes apart, and for
// each row and digit 8 broadcasts, 16 products, 16 additions and about 10 to widen and scale: 82 for one row in `fast`,
// 170 with three digits, which at 288 bytes, 3 GHz and three instructions a cycle are 31 and 15 GB/s on one core. A row
// beside others takes 50 in `fast`, for 512 multiply-adds; floats would take 128 and more.
#pragma once

#include "activations.inl.h"
#include "weights.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

/** How far ahead in the one stream of codes memory is asked for: some 300 ns of one core's reading. */
constexpr size_t kAhead = 4096;
constexpr size_t kCacheLine = 64;

/** What a group says of a panel's outputs. */
template <int bits, bool middle>
struct PanelGroup {
  Lanes scale[kPanelLanes];
  /** Zero points, stored or chosen for offsets: the lowest four bits, and the others. */
  QuadZeros low[kPanelLanes];
  QuadZeros high[kPanelLanes];
  bool hasOffsets = false;
  /** What the chosen ones leave of offsets. */
  Lanes offset[kPanelLanes];

  NIBBLELENS_INLINE void fill(const PackedMatrix& w, size_t panel, size_t group) {
    hasOffsets = !middle && w.offsets;
    for (size_t part = 0; part < kPanelLanes; part++) {
      const size_t slot = (panel * w.groups + group) * kPanel + part * kLanes;
      scale[part] = floatsAt(w.scales, w.scaleType, slot);
      offset[part] = zeroLanes();
      IntLanes zeros = splatInt(1 << (bits - 1));
      if (hasOffsets) {
        const Lanes stored = floatsAt(w.offsets, w.scaleType, slot);
        // where the scale is 0 or no number, 0
        const Lanes zero = div(sub(zeroLanes(), stored), scale[part]);
        zeros = roundToInts(minimum(splat(static_cast<float>((1 << bits) - 1)), maximum(zero, zeroLanes())));
        offset[part] = affine(floatsOf(zeros), scale[part], stored);
      } else if (!middle) {
        zeros = intsOfBytes(w.zeros + slot);
      }
      low[part] = quadZeros(nibble<0>(zeros));
      high[part] = quadZeros(nibble<4>(zeros));
    }
  }
};

/** The bits of a quad that are multiplied at once: the low or the high ones. */
template <int bits, bool high, size_t quad>
NIBBLELENS_INLINE static inline QuadCodes quadCodes(const uint8_t* block, size_t part) {
  if constexpr (bits <= 4) return wholeQuad<bits, quad>(block, part);
  else return planeQuad<bits, high, quad>(block, part);
}

/** Which quads of a block are multiplied: groups of 16 inputs have half of them. */
enum class Quads { all, firstHalf, secondHalf };

/** Sums of a digit's inputs over these quads. */
template <Quads quads, size_t digits>
NIBBLELENS_INLINE static inline QuadSums startDigit(QuadZeros zeros, const PreparedBlock<digits>& x, size_t digit) {
  if constexpr (quads == Quads::all) return startQuads(zeros, x.sums[digit]);
  else if constexpr (quads == Quads::firstHalf) return startQuads(zeros, x.firstHalf[digit]);
  else return startQuads(zeros, restOf(x.sums[digit], x.firstHalf[digit]));
}

/** Σ (q − z)·X over quads of one block, q being the low or the high bits of codes: for each row, digit and register of outputs. */
template <int bits, bool high, size_t used, Quads quads, size_t rows, size_t digits, bool middle>
NIBBLELENS_INLINE static inline void sumQuads(const uint8_t* codes, const PanelGroup<bits, middle>& group,
                                                   const PreparedBlock<digits>* const* x,
                                                   QuadSums (&sums)[rows][used][kPanelLanes]) {
#pragma GCC unroll 8
  for (size_t r = 0; r < rows; r++) {
#pragma GCC unroll 4
    for (size_t digit = 0; digit < used; digit++) {
#pragma GCC unroll 2
      for (size_t part = 0; part < kPanelLanes; part++) {
        sums[r][digit][part] = startDigit<quads>(high ? group.high[part] : group.low[part], *x[r], digit);
      }
    }
  }
  forConstants<quads == Quads::secondHalf ? 4 : 0, quads == Quads::firstHalf ? 4 : 8>([&](auto index) NIBBLELENS_INLINE {
    constexpr size_t quad = decltype(index)::value;
    const QuadCodes first = quadCodes<bits, high, quad>(codes, 0);
    const QuadCodes second = quadCodes<bits, high, quad>(codes, 1);
#pragma GCC unroll 8
    for (size_t r = 0; r < rows; r++) {
#pragma GCC unroll 4
      for (size_t digit = 0; digit < used; digit++) {
        const QuadInputs inputs = quadInputs(x[r]->bytes[digit] + 4 * quad);
        sums[r][digit][0] = addQuad(sums[r][digit][0], first, inputs);
        sums[r][digit][1] = addQuad(sums[r][digit][1], second, inputs);
        pin(sums[r][digit][0]);
        pin(sums[r][digit][1]);
      }
    }
  });
}

/** to[0]·2^16 + to[1] gains factor·Σ digit·256^place of three or four digits; to[0] that of one. */
template <int factor, size_t used>
NIBBLELENS_INLINE static inline void joinDigits(const QuadSums (&digits)[used][kPanelLanes], size_t part, IntLanes (&to)[2]) {
  constexpr int next = 256 * factor;
  if constexpr (used == 4) to[0] = addInts(to[0], widen<next>(digits[0][part]));
  to[0] = addInts(to[0], widen<factor>(digits[used == 4 ? 1 : 0][part]));
  if constexpr (used > 1) {
    to[1] = addInts(to[1], addInts(widen<next>(digits[used - 2][part]), widen<factor>(digits[used - 1][part])));
  }
}

/** totals[r] gain the products of one block's quads with the same group, X of `used` digits. */
template <int bits, size_t used, Quads quads, size_t rows, size_t digits, bool middle>
NIBBLELENS_INLINE static inline void addBlock(const uint8_t* codes, const PanelGroup<bits, middle>& group,
                                                   const PreparedBlock<digits>* const* x, Lanes (&totals)[rows][kPanelLanes]) {
  QuadSums low[rows][used][kPanelLanes];
  sumQuads<bits, false, used, quads>(codes, group, x, low);
  IntLanes sums[rows][kPanelLanes][2];
#pragma GCC unroll 8
  for (size_t r = 0; r < rows; r++) {
#pragma GCC unroll 2
    for (size_t part = 0; part < kPanelLanes; part++) {
      sums[r][part][0] = sums[r][part][1] = splatInt(0);
      joinDigits<1>(low[r], part, sums[r][part]);
    }
  }
  if constexpr (bits > 4) {
    QuadSums high[rows][used][kPanelLanes];
    sumQuads<bits, true, used, quads>(codes, group, x, high);
#pragma GCC unroll 8
    for (size_t r = 0; r < rows; r++) {
#pragma GCC unroll 2
      for (size_t part = 0; part < kPanelLanes; part++) joinDigits<16>(high[r], part, sums[r][part]);
    }
  }
#pragma GCC unroll 8
  for (size_t r = 0; r < rows; r++) {
    const Lanes scale = splat(x[r]->scale);
#pragma GCC unroll 2
    for (size_t part = 0; part < kPanelLanes; part++) {
      Lanes products = floatsOf(sums[r][part][0]);
      if constexpr (used > 1) products = mulAdd(products, splat(0x1p16f), floatsOf(sums[r][part][1]));
      Lanes& total = totals[r][part];
      if (group.hasOffsets) total = mulAdd(group.offset[part], splat(x[r]->total), total);
      total = mulAdd(mul(group.scale[part], scale), products, total);
    }
  }
}

/** The same for one row of four digits: rare, and out of the way of the others' registers. */
template <int bits, size_t used, Quads quads, bool middle>
[[gnu::noinline, gnu::cold]] static void addAlone(const uint8_t* codes, const PanelGroup<bits, middle>& group,
                                                  const BlockOf<Mode::exact>* x, Lanes* totals) {
  Lanes sums[1][kPanelLanes] = {{totals[0], totals[1]}};
  addBlock<bits, used, quads>(codes, group, &x, sums);
  for (size_t part = 0; part < kPanelLanes; part++) totals[part] = sums[0][part];
}

/** The same for rows of either mode, each with the digits that its block has. */
template <int bits, Quads quads, size_t rows, size_t digits, bool middle>
NIBBLELENS_INLINE static inline void addRows(const uint8_t* codes, const PanelGroup<bits, middle>& group,
                                                  const PreparedBlock<digits>* const* x, Lanes (&totals)[rows][kPanelLanes]) {
  if constexpr (digits == 1) {
    addBlock<bits, 1, quads>(codes, group, x, totals);
  } else {
    bool coarse = true;
    for (size_t r = 0; r < rows; r++) coarse = coarse && x[r]->used == 3;
    if (__builtin_expect(coarse, true)) return addBlock<bits, 3, quads>(codes, group, x, totals);
    const PanelGroup<bits, middle> copy = group;
    for (size_t r = 0; r < rows; r++) {
      Lanes sums[kPanelLanes] = {totals[r][0], totals[r][1]};
      if (x[r]->used == 3) addAlone<bits, 3, quads>(codes, copy, x[r], sums);
      else addAlone<bits, 4, quads>(codes, copy, x[r], sums);
      for (size_t part = 0; part < kPanelLanes; part++) totals[r][part] = sums[part];
    }
  }
}

/** y of a panel of outputs and some rows. */
template <int bits, Mode mode, bool middle, bool sixteen, size_t rows>
static void panelRows(const PackedMatrix& w, const PreparedRow* x, size_t panel, const float* bias, float* y) {
  using Block = BlockOf<mode>;
  Lanes totals[rows][kPanelLanes];
  const Block* at[rows];
  for (size_t r = 0; r < rows; r++) {
    at[r] = static_cast<const Block*>(x[r].blocks);
    for (size_t part = 0; part < kPanelLanes; part++) totals[r][part] = zeroLanes();
  }
  const uint8_t* codes = w.codes + panel * w.panelBytes();
  const size_t blocks = w.blocks();
  const size_t blocksOfGroup = w.groups == 1 ? blocks : w.groupSize / kBlock;
  PanelGroup<bits, middle> group;
  size_t left = 0;
  for (size_t block = 0, next = 0; block < blocks; block++, codes += bits * kLine) {
    for (size_t line = 0; line < bits; line++) prefetch(codes + kAhead + line * kLine);
    if constexpr (sixteen) {
      group.fill(w, panel, 2 * block);
      addRows<bits, Quads::firstHalf>(codes, group, at, totals);
      if (2 * block + 1 < w.groups) {
        group.fill(w, panel, 2 * block + 1);
        addRows<bits, Quads::secondHalf>(codes, group, at, totals);
      }
    } else {
      if (left == 0) {
        group.fill(w, panel, next++);
        left = blocksOfGroup;
      }
      left--;
      addRows<bits, Quads::all>(codes, group, at, totals);
    }
    for (size_t r = 0; r < rows; r++) at[r]++;
  }
  for (size_t r = 0; r < rows; r++) {
    Lanes sums[kPanelLanes] = {totals[r][0], totals[r][1]};
    for (size_t i = 0; i < x[r].remainderCount; i++) {
      addInput<bits>(w, panel, x[r].remainders[i].input, x[r].remainders[i].value, sums);
    }
    float values[kPanel];
    for (size_t part = 0; part < kPanelLanes; part++) store(values + part * kLanes, sums[part]);
    writePanel(values, panel, w.outFeatures, bias, y + r * w.outFeatures);
  }
}

/** Groups of 16 inputs, as GGUF's Q6_K has; offsets would need the inputs' sums over halves of blocks. */
static inline bool hasHalfBlocks(const PackedMatrix& w) {
  return w.groups > 1 && w.groupSize == 16 && w.bits == 6 && !w.offsets;
}

/** Whether this kernel reads a matrix. */
static inline bool hasPanels(const PackedMatrix& w) {
  return w.groups == 1 || w.groupSize % kBlock == 0 || hasHalfBlocks(w);
}

/** y of a panel of outputs and all rows. Each row is summed in the same order whatever is beside it. */
template <int bits, Mode mode, bool middle, bool sixteen>
static void panelOutputs(const PackedMatrix& w, const PreparedRow* x, size_t rows, size_t panel, const float* bias, float* y) {
  constexpr size_t atOnce = mode == Mode::fast ? kFastRows : kExactRows;
  size_t r = 0;
  for (; r + atOnce <= rows; r += atOnce) {
    panelRows<bits, mode, middle, sixteen, atOnce>(w, x + r, panel, bias, y + r * w.outFeatures);
  }
  for (; r < rows; r++) panelRows<bits, mode, middle, sixteen, 1>(w, x + r, panel, bias, y + r * w.outFeatures);
}

template <int bits, Mode mode, bool middle>
static inline void panelOutputs(const PackedMatrix& w, const PreparedRow* x, size_t rows, size_t panel, const float* bias,
                                float* y) {
  if constexpr (bits == 6) {
    if (hasHalfBlocks(w)) return panelOutputs<bits, mode, middle, true>(w, x, rows, panel, bias, y);
  }
  panelOutputs<bits, mode, middle, false>(w, x, rows, panel, bias, y);
}

static inline void panelOutputs(const PackedMatrix& w, const PreparedRow* x, size_t rows, size_t panel, Mode mode,
                                const float* bias, float* y) {
  withBits(w.bits, [&](auto bits) {
    constexpr int width = decltype(bits)::value;
    const bool middle = !w.zeros && !w.offsets;
    if (mode == Mode::fast) {
      if (middle) panelOutputs<width, Mode::fast, true>(w, x, rows, panel, bias, y);
      else panelOutputs<width, Mode::fast, false>(w, x, rows, panel, bias, y);
    } else {
      if (middle) panelOutputs<width, Mode::exact, true>(w, x, rows, panel, bias, y);
      else panelOutputs<width, Mode::exact, false>(w, x, rows, panel, bias, y);
    }
  });
}

}  // namespace nibblelens::NIBBLELENS_ISA
