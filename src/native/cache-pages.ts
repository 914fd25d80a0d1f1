import { f16ToF32, f32ToF16 } from '../base/float16.js';
import { roundHalfEven } from '../base/round.js';
import { PAGE_POSITIONS, type CachePage, type CacheType } from './native.js';

// Rows of a KV cache's pages, as `cpp/cache_rows.h` has them too. A block holds the rows [PAGE_POSITIONS, d_head] of a
// layer, kind and kv head: floats, float16 bits, or int8 codes after the float32 scale (little-endian) of each row.

/** All types, the exact one first. */
export const CACHE_TYPES = ['f32', 'f16', 'int8'] as const satisfies readonly CacheType[];

/** Sizes of a page. */
export interface PageSizes {
  readonly layers: number;
  readonly kvHeads: number;
  readonly dHead: number;
}

/** A row of a page: a key (kind 0) or value (kind 1) of one head at one of its positions. */
export interface PagePlace {
  readonly layer: number;
  readonly kind: 0 | 1;
  readonly kvHead: number;
  /** From 0 to below PAGE_POSITIONS. */
  readonly slot: number;
}

const SCALE_BYTES = 4;
/** Codes go from −127 to 127. */
const MOST_CODE = 127;

/** The type of a page, which its array tells. */
export function cacheTypeOf(page: CachePage): CacheType {
  if (page instanceof Float32Array) return 'f32';
  return page instanceof Uint16Array ? 'f16' : 'int8';
}

/** Elements of a block of rows. */
const blockLength = (type: CacheType, dHead: number): number =>
  PAGE_POSITIONS * (type === 'int8' ? SCALE_BYTES + dHead : dHead);

/** Elements of a page's array. */
export const pageLength = (type: CacheType, { layers, kvHeads, dHead }: PageSizes): number =>
  layers * 2 * kvHeads * blockLength(type, dHead);

/** An empty page. @throws RangeError where there is no memory for it. */
export function makePage(type: CacheType, sizes: PageSizes): CachePage {
  const length = pageLength(type, sizes);
  if (type === 'f32') return new Float32Array(length);
  return type === 'f16' ? new Uint16Array(length) : new Int8Array(length);
}

/** Where a row's d_head elements start, and for int8 its scale. */
function rowAt(page: CachePage, { kvHeads, dHead }: PageSizes, { layer, kind, kvHead, slot }: PagePlace) {
  const type = cacheTypeOf(page);
  const block = ((layer * 2 + kind) * kvHeads + kvHead) * blockLength(type, dHead);
  if (type !== 'int8') return { values: block + slot * dHead, scale: 0 };
  return { values: block + PAGE_POSITIONS * SCALE_BYTES + slot * dHead, scale: block + slot * SCALE_BYTES };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Int8Array): DataView => new DataView(buffer, byteOffset, byteLength);

/** Writes x [d_head], rounded to the page's type. */
export function writeRow(page: CachePage, sizes: PageSizes, place: PagePlace, x: Float32Array): void {
  const { values, scale } = rowAt(page, sizes, place);
  if (page instanceof Float32Array) return page.set(x, values);
  if (page instanceof Uint16Array) {
    x.forEach((value, i) => (page[values + i] = f32ToF16(value)));
    return;
  }
  const step = scaleOf(x);
  bytesOf(page).setFloat32(scale, step, true);
  x.forEach((value, i) => (page[values + i] = codeOf(value, step)));
}

/** The row [d_head] as floats: of a float32 page the row itself, otherwise a copy. */
export function readRow(page: CachePage, sizes: PageSizes, place: PagePlace): Float32Array {
  const { values, scale } = rowAt(page, sizes, place);
  const row = page.subarray(values, values + sizes.dHead);
  if (row instanceof Float32Array) return row;
  if (row instanceof Uint16Array) return Float32Array.from(row, f16ToF32);
  const step = bytesOf(page as Int8Array).getFloat32(scale, true);
  return Float32Array.from(row, (code) => step * code);
}

/** Copies a row as it is. */
export function copyRow(sizes: PageSizes, from: CachePage, at: PagePlace, to: CachePage, place: PagePlace): void {
  const [source, target] = [rowAt(from, sizes, at), rowAt(to, sizes, place)];
  to.set(from.subarray(source.values, source.values + sizes.dHead), target.values);
  if (from instanceof Int8Array) to.set(from.subarray(source.scale, source.scale + SCALE_BYTES), target.scale);
}

/**
 * Rows [rows, d_head] as a cache gives them back. f16: to nearest, ties to even, infinite beyond ±65504. int8:
 * `scale·code`, scale = max|x| / 127 of the row and code = x / scale to nearest, ties to even: within max|x| / 253 of x
 * (where max|x| is above 1e-36); NaN throughout where one of a row is not finite.
 */
export function roundRows(type: CacheType, x: Float32Array, dHead: number, y: Float32Array): void {
  if (type === 'f32') return y.set(x);
  if (type === 'f16') {
    x.forEach((value, i) => (y[i] = f16ToF32(f32ToF16(value))));
    return;
  }
  for (let start = 0; start < x.length; start += dHead) {
    const step = scaleOf(x.subarray(start, start + dHead));
    for (let i = start; i < start + dHead; i++) y[i] = step * codeOf(x[i], step);
  }
}

/** max|x| / 127 in float32, NaN where one of x is not finite. */
function scaleOf(x: Float32Array): number {
  const most = x.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
  return Number.isFinite(most) ? Math.fround(most / MOST_CODE) : NaN;
}

/** x / scale, divided and then rounded as float32 does; 0 where there is no scale. */
function codeOf(x: number, scale: number): number {
  if (!(scale > 0)) return 0;
  const code = roundHalfEven(Math.fround(x / scale));
  return Math.max(-MOST_CODE, Math.min(MOST_CODE, code)) + 0; // of −0 there is no code
}
