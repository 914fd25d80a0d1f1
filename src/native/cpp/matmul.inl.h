// y = x·Wᵀ + bias: which kernel multiplies how many rows with which weights.
#pragma once

#include "dense_rows.inl.h"
#include "panels.inl.h"
#include "tiles.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

/** Most rows that are multiplied straight from float weights; for more, a tile of them is the cheaper. */
constexpr size_t kFewRows = 8;

/** The same in `exact` for packed weights, of which integers take three multiply-adds for one of floats. */
constexpr size_t kFewExactRows = 32;

enum class Path { panels, denseRows, tiles };

static inline Path pathOf(const Linear& linear, size_t rows, Mode mode) {
  if (linear.isPacked) {
    return hasPanels(linear.packed) && (mode == Mode::fast || rows <= kFewExactRows) ? Path::panels : Path::tiles;
  }
  return rows <= kFewRows ? Path::denseRows : Path::tiles;
}

/** Bytes of prepared rows that all panels are multiplied with before the next rows: second-level caches hold them. */
constexpr size_t kPreparedBytes = 256 << 10;

/** Rows that are multiplied with all weights before the next ones. */
static inline size_t rowsOfPass(bool prepares, size_t inFeatures, Mode mode) {
  if (!prepares) return kTileRows;
  const size_t rows = kPreparedBytes / sizeof(float) / PreparedRows(mode, inFeatures).floatsPerRow();
  return smaller(kTileRows, rows < 16 ? 16 : rows / 4 * 4);
}

/** x as integers, of some rows; in memory of the calling thread. */
static inline const PreparedRow* prepareRows(const float* x, size_t rows, size_t inFeatures, Mode mode) {
  const PreparedRows layout(mode, inFeatures);
  const size_t viewFloats = rows * sizeof(PreparedRow) / sizeof(float);
  float* const memory = callerScratch(viewFloats + rows * layout.floatsPerRow());
  auto* const views = reinterpret_cast<PreparedRow*>(memory);
  parallelFor(rows, rows == 1 ? 0 : rows * inFeatures * 4, 0, [&](size_t row, float*) {
    views[row] = layout.prepare(x + row * inFeatures, memory + viewFloats, row);
  });
  return views;
}

/** Products of the same rows with several matrices, as one loop over panels: y[i] = x·linears[i]ᵀ + bias. */
static void matmul(const float* x, size_t allRows, const Linear* const* linears, size_t count, Mode mode,
                   float* const* y) {
  const size_t inFeatures = linears[0]->inFeatures();
  bool prepares = false, hasTiles = false;
  size_t pieces = 0, outputs = 0;
  for (size_t i = 0; i < count; i++) {
    const Path path = pathOf(*linears[i], allRows, mode);
    prepares = prepares || path == Path::panels;
    hasTiles = hasTiles || path == Path::tiles;
    pieces += PackedMatrix::panelsOf(linears[i]->outFeatures());
    outputs += linears[i]->outFeatures();
  }
  const size_t rowsAtOnce = rowsOfPass(prepares, inFeatures, mode);
  for (size_t firstRow = 0; firstRow < allRows; firstRow += rowsAtOnce) {
    const size_t rows = smaller(allRows - firstRow, rowsAtOnce);
    const float* const from = x + firstRow * inFeatures;
    const PreparedRow* const prepared = prepares ? prepareRows(from, rows, inFeatures, mode) : nullptr;
    parallelFor(pieces, rows * inFeatures * outputs, hasTiles ? tileScratch(rows) : 0, [&](size_t piece, float* floats) {
      size_t i = 0, panel = piece;
      for (size_t panels; panel >= (panels = PackedMatrix::panelsOf(linears[i]->outFeatures())); i++) panel -= panels;
      const Linear& linear = *linears[i];
      float* const to = y[i] + firstRow * linear.outFeatures();
      const Path path = pathOf(linear, allRows, mode);
      if (path == Path::denseRows) denseOutputs(linear.dense, from, rows, panel, linear.bias, to);
      else if (path == Path::panels) panelOutputs(linear.packed, prepared, rows, panel, mode, linear.bias, to);
      else if (linear.isPacked) tileOutputs(from, rows, linear.packed, panel, linear.bias, to, floats);
      else tileOutputs(from, rows, linear.dense, panel, linear.bias, to, floats);
    });
  }
}

static void embedding(const int32_t* ids, size_t count, const Linear& table, float* y) {
  const size_t columns = table.inFeatures();
  parallelFor(count, count * columns, 0, [&](size_t i, float*) {
    const auto n = static_cast<size_t>(ids[i]);
    float* const to = y + i * columns;
    if (!table.isPacked) return decodeRow(table.dense, n, 0, columns, to);
    for (size_t k = 0; k < columns; k++) to[k] = weightAt(table.packed, n, k);
  });
}

}  // namespace nibblelens::NIBBLELENS_ISA
