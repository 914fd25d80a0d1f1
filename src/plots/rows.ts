import { OptionError, ShapeError } from '../base/errors.js';

/** What a plot needs of a table; arquero's tables have it. */
export interface TableLike {
  columnNames(): string[];
  array(name: string): ArrayLike<unknown>;
  numRows(): number;
}

/** Checks a cell of a row; `undefined` where there is no such column. */
type CellReader<V> = (value: unknown, thing: string, where: string) => V;

/** Rows of an array of objects or of a table, every cell checked, in the given columns. */
export function readRows<C extends Record<string, CellReader<unknown>>>(
  input: readonly object[] | TableLike,
  columns: C,
  where: string,
): { [K in keyof C]: ReturnType<C[K]> }[] {
  const cell = cells(input, where);
  return Array.from({ length: cell.count }, (_, row) => {
    const entries = Object.entries(columns).map(([name, read]) => [
      name,
      read(cell.at(name, row), name, `${where}, row ${row}`),
    ]);
    return Object.fromEntries(entries) as { [K in keyof C]: ReturnType<C[K]> };
  });
}

function cells(
  input: readonly object[] | TableLike,
  where: string,
): { count: number; at: (name: string, row: number) => unknown } {
  const isTable = isTableLike(input);
  if (!isTable && !Array.isArray(input)) {
    throw new OptionError({ thing: 'rows', found: typeof input, expected: 'an array of objects or a table', where });
  }
  const count = isTable ? input.numRows() : input.length;
  if (count === 0) throw new ShapeError({ thing: 'rows', found: 0, expected: 'at least one', where });
  if (!isTable) return { count, at: (name, row) => memberOf(input[row], name, `${where}, row ${row}`) };
  const columns = new Map(input.columnNames().map((name) => [name, input.array(name)]));
  return { count, at: (name, row) => columns.get(name)?.[row] };
}

function isTableLike(input: readonly object[] | TableLike): input is TableLike {
  return typeof input === 'object' && input !== null && 'numRows' in input && 'columnNames' in input;
}

function memberOf(row: unknown, name: string, where: string): unknown {
  if (typeof row !== 'object' || row === null)
    throw new OptionError({ thing: 'row', found: row, expected: 'an object', where });
  return Reflect.get(row, name);
}

export const text: CellReader<string> = (value, thing, where) => {
  if (typeof value !== 'string') throw new OptionError({ thing, found: value, expected: 'a text', where });
  return value;
};

export const flag: CellReader<boolean> = (value, thing, where) => {
  if (typeof value !== 'boolean') throw new OptionError({ thing, found: value, expected: 'true or false', where });
  return value;
};

/** A finite number from `least` to `most`, ends included. */
export const numberIn =
  (least: number = -Infinity, most: number = Infinity): CellReader<number> =>
  (value, thing, where) => {
    if (typeof value === 'number' && Number.isFinite(value) && value >= least && value <= most) return value;
    const bounds = [least > -Infinity ? ` from ${least}` : '', most < Infinity ? ` to ${most}` : ''].join('');
    throw new OptionError({ thing, found: value, expected: `a finite number${bounds}`, where });
  };

/** Null, or what `read` takes; a missing column reads as null. */
export const orNull =
  <V>(read: CellReader<V>): CellReader<V | null> =>
  (value, thing, where) =>
    value === undefined || value === null ? null : read(value, thing, where);

/** An array of rows within a cell; a missing column reads as none. */
export const listOf =
  <C extends Record<string, CellReader<unknown>>>(columns: C): CellReader<{ [K in keyof C]: ReturnType<C[K]> }[]> =>
  (value, thing, where) => {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) throw new OptionError({ thing, found: value, expected: 'an array', where });
    return value.length === 0 ? [] : readRows(value, columns, `${where}, ${thing}`);
  };

/** Checks the length of a typed array, and that every value is a finite number. */
export function checkValues(values: Float32Array, length: number, thing: string, where: string): void {
  if (!(values instanceof Float32Array)) {
    throw new OptionError({ thing, found: typeof values, expected: 'a Float32Array', where });
  }
  if (values.length !== length) throw new ShapeError({ thing, found: values.length, expected: length, where });
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0)
    throw new OptionError({ thing, found: values[bad], expected: 'finite numbers', where: `${where}, index ${bad}` });
}
