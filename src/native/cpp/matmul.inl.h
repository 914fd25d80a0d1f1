// y = x·Wᵀ + bias: which kernel multiplies how many rows with which weights.
#pragma once

#include "dense_rows.inl.h"
#include "packed_rows.inl.h"
#include "packed_tiles.inl.h"
#include "tiles.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

/**
 * Most rows that are multiplied straight from stored weights, each as if it were alone, hence with the same bits; for
 * more, a tile of decoded weights is the cheaper.
 */
constexpr size_t kFewRows = 8;
/** Outputs of one piece of the loop over threads, whatever the kernel. */
constexpr size_t kOutputsPerPiece = kTileOutputs;

enum class Path { dots, denseRows, quads, tiles };

static inline Path pathOf(const Linear& linear, size_t rows, Mode mode) {
  if (!linear.isPacked) return rows <= kFewRows ? Path::denseRows : Path::tiles;
  if (rows <= kFewRows && hasDots(linear.packed)) return Path::dots;
  return mode == Mode::fast && hasQuads(linear.packed) ? Path::quads : Path::tiles;
}

static inline size_t piecesOf(const Linear& linear) {
  return (linear.outFeatures() + kOutputsPerPiece - 1) / kOutputsPerPiece;
}

/** x as integers, of up to kTileRows rows; in memory of the calling thread. */
static inline PreparedRow* prepareRows(const float* x, size_t rows, size_t inFeatures, Mode mode) {
  const PreparedRows layout(mode, inFeatures);
  const size_t viewFloats = rows * sizeof(PreparedRow) / sizeof(float);
  float* const memory = callerScratch(viewFloats + rows * layout.floatsPerRow());
  float* const buffer = memory + viewFloats;
  parallelFor(rows, rows == 1 ? 0 : rows * inFeatures * 4, 0,
              [&](size_t row, float*) { layout.prepare(x + row * inFeatures, buffer, row); });
  auto* const views = reinterpret_cast<PreparedRow*>(memory);
  for (size_t row = 0; row < rows; row++) views[row] = layout.at(buffer, row);
  return views;
}

/** Products of the same rows with several matrices, as one loop: y[i] = x·linears[i]ᵀ + bias. */
static void matmul(const float* x, size_t allRows, const Linear* const* linears, size_t count, Mode mode,
                   float* const* y) {
  const size_t inFeatures = linears[0]->inFeatures();
  for (size_t firstRow = 0; firstRow < allRows; firstRow += kTileRows) {
    const size_t rows = smaller(allRows - firstRow, kTileRows);
    const float* const from = x + firstRow * inFeatures;
    bool prepares = false;
    size_t pieces = 0, outputs = 0, scratch = 0;
    for (size_t i = 0; i < count; i++) {
      const Path path = pathOf(*linears[i], allRows, mode);
      prepares = prepares || path == Path::dots || path == Path::quads;
      if (path == Path::tiles && tileScratch(rows) > scratch) scratch = tileScratch(rows);
      if (path == Path::quads && quadScratch(rows) > scratch) scratch = quadScratch(rows);
      pieces += piecesOf(*linears[i]);
      outputs += linears[i]->outFeatures();
    }
    const PreparedRow* const prepared = prepares ? prepareRows(from, rows, inFeatures, mode) : nullptr;
    parallelFor(pieces, rows * inFeatures * outputs, scratch, [&](size_t piece, float* floats) {
      size_t i = 0;
      for (; piece >= piecesOf(*linears[i]); i++) piece -= piecesOf(*linears[i]);
      const Linear& linear = *linears[i];
      const size_t n = piece * kOutputsPerPiece;
      const size_t end = smaller(n + kOutputsPerPiece, linear.outFeatures());
      float* const to = y[i] + firstRow * linear.outFeatures();
      const Path path = pathOf(linear, allRows, mode);
      if (path == Path::denseRows) denseRange(linear.dense, from, rows, n, end, linear.bias, to);
      else if (path == Path::quads) quadOutputs(linear.packed, prepared, rows, n, linear.bias, to, floats);
      else if (path == Path::dots && mode == Mode::fast) {
        dotRange<Mode::fast>(linear.packed, prepared, rows, n, end, linear.bias, to);
      } else if (path == Path::dots) dotRange<Mode::exact>(linear.packed, prepared, rows, n, end, linear.bias, to);
      else if (linear.isPacked) tileOutputs(from, rows, linear.packed, n, linear.bias, to, floats);
      else tileOutputs(from, rows, linear.dense, n, linear.bias, to, floats);
    });
  }
}

template <typename Matrix>
static inline void embedRows(const int32_t* ids, size_t count, const Matrix& table, float* y) {
  const size_t columns = table.inFeatures;
  parallelFor(count, count * columns, 0, [&](size_t i, float*) {
    float decoded[kBlock];
    for (size_t block = 0; block * kBlock < columns; block++) {
      const size_t first = block * kBlock;
      decodeBlock(table, static_cast<size_t>(ids[i]), block, decoded);
      std::memcpy(y + i * columns + first, decoded, smaller(columns - first, kBlock) * sizeof(float));
    }
  });
}

static void embedding(const int32_t* ids, size_t count, const Linear& table, float* y) {
  if (table.isPacked) embedRows(ids, count, table.packed, y);
  else embedRows(ids, count, table.dense, y);
}

}  // namespace nibblelens::NIBBLELENS_ISA
