import { OptionError } from '../base/errors.js';
import type { TableLike } from '../plots/rows.js';
import type { TableView } from './view.js';

const MOST_ROWS = 20;
/** Digits that the largest number of a column shows. */
const DIGITS = 4;
const MOST_DECIMALS = 6;
/** Numbers nearer to 0 are written with a power of ten where the column's decimals do not do. */
const SMALLEST_PLAIN = 1e-3;
const LONGEST_TEXT = 200;

/** How a table is shown. */
export interface TableOptions {
  title?: string;
  /** Rows to show at most; default 20. */
  rows?: number;
}

/** The first rows of a table, as text. Throws `OptionError` where `rows` is no count. */
export function tableView(table: TableLike, { title, rows = MOST_ROWS }: TableOptions = {}): TableView {
  if (!(rows >= 0)) throw new OptionError({ thing: 'rows', found: rows, expected: 'a count', where: 'show' });
  const total = table.numRows();
  const count = Math.min(total, Math.floor(rows));
  const columns = table.columnNames().map((name) => {
    const values = table.array(name);
    return { name, ...columnText(Array.from({ length: count }, (_, row) => values[row])) };
  });
  return {
    kind: 'table',
    ...(title === undefined ? {} : { title }),
    columns: columns.map(({ name, number }) => ({ name, number })),
    rows: Array.from({ length: count }, (_, row) => columns.map(({ cells }) => cells[row])),
    more: total - count,
  };
}

const isNumber = (value: unknown): value is number | bigint => typeof value === 'number' || typeof value === 'bigint';
const isMissing = (value: unknown): value is null | undefined => value === null || value === undefined;

/** A column's values as text, the numbers among them to one precision. */
export function columnText(values: readonly unknown[]): { number: boolean; cells: string[] } {
  const numbers = values.filter(isNumber);
  const number = numbers.length > 0 && values.every((value) => isNumber(value) || isMissing(value));
  const decimals = number ? decimalsOf(numbers.map(Number)) : 0;
  const cells = values.map((value) =>
    isMissing(value) ? '' : number ? numberText(value, decimals) : valueText(value),
  );
  return { number, cells };
}

/** As many as the largest number needs for its digits, and more where different numbers would look alike. */
function decimalsOf(numbers: readonly number[]): number {
  const finite = [...new Set(numbers)].filter(Number.isFinite);
  if (finite.every(Number.isInteger)) return 0;
  const largest = finite.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  let decimals = Math.min(MOST_DECIMALS, Math.max(0, DIGITS - 1 - Math.floor(Math.log10(largest))));
  const distinct = (): number => new Set(finite.map((value) => numberText(value, decimals))).size;
  while (decimals < MOST_DECIMALS && distinct() < finite.length) decimals++;
  // 0.8, not 0.8000, where all numbers end so.
  while (decimals > 0 && finite.every((value) => Number(value.toFixed(decimals - 1)) === value)) decimals--;
  return decimals;
}

function numberText(value: unknown, decimals: number): string {
  if (typeof value !== 'number' || !Number.isFinite(value) || (decimals === 0 && Number.isInteger(value))) {
    return String(value);
  }
  const fixed = value.toFixed(decimals);
  // Of a number that is small beside the column's largest, the column's decimals would show next to nothing.
  if (Math.abs(value) >= 10 ** (1 - decimals) || Number(fixed) === value) return fixed;
  return Math.abs(value) >= SMALLEST_PLAIN ? String(Number(value.toPrecision(3))) : value.toExponential(2);
}

function valueText(value: unknown): string {
  if (typeof value === 'string') return shortened(value);
  if (typeof value === 'number') return columnText([value]).cells[0];
  if (value instanceof Date) return value.toISOString();
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${value.byteLength} bytes)`;
  return shortened(typeof value === 'object' ? (JSON.stringify(value) ?? '') : String(value));
}

const shortened = (text: string): string => (text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT - 1)}…` : text);
