/** A matrix shrunk to blocks. */
export interface Blocks {
  /** Rows of blocks. */
  readonly rows: number[][];
  /** First matrix row of each row of blocks, first matrix column of each column of blocks. */
  readonly rowStarts: number[];
  readonly columnStarts: number[];
  /** Matrix rows and columns of a block; the last ones may be smaller. */
  readonly blockRows: number;
  readonly blockColumns: number;
}

/**
 * Shrinks a row-major [rows, columns] matrix to at most `most` by `most` blocks, each shown by its entry of largest
 * magnitude, sign kept: means would hide the outliers, which are what one looks for.
 */
export function blockExtremes(values: Float32Array, rows: number, columns: number, most: number): Blocks {
  const blockRows = Math.ceil(rows / most);
  const blockColumns = Math.ceil(columns / most);
  const starts = (length: number, block: number): number[] =>
    Array.from({ length: Math.ceil(length / block) }, (_, i) => i * block);
  const rowStarts = starts(rows, blockRows);
  const columnStarts = starts(columns, blockColumns);
  const extreme = (row: number, column: number): number => {
    let found = 0;
    for (let r = row; r < Math.min(row + blockRows, rows); r++) {
      for (let c = column; c < Math.min(column + blockColumns, columns); c++) {
        const value = values[r * columns + c];
        if (Math.abs(value) > Math.abs(found)) found = value;
      }
    }
    return found;
  };
  return {
    rows: rowStarts.map((row) => columnStarts.map((column) => extreme(row, column))),
    rowStarts,
    columnStarts,
    blockRows,
    blockColumns,
  };
}
