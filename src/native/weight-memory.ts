import { LONGEST_MAPPING, native } from './native.js';

/*
 * Memory for weights that are not mapped. It comes from the addon in chunks of large pages, which weights of one model
 * share: a processor reads a stream of them faster (by a third, measured) than through pages of 4 KB. A chunk is freed
 * when nothing lies in it any more.
 */

/** Bytes of a chunk; what of it is never used takes no memory. */
const CHUNK = 2 ** 26;
/** Smaller arrays are JavaScript's own. */
const LEAST = 2 ** 16;
/** Arrays start at multiples of a cache line. */
const ALIGNMENT = 64;

/** The chunk that is being filled; let go of when its weights are. */
let current: { readonly chunk: WeakRef<ArrayBuffer>; used: number } | null = null;

/** Room for `bytes` bytes of zeros. @throws RangeError where there is no memory. */
export function weightMemory(bytes: number): { buffer: ArrayBuffer; start: number } {
  const addon = native();
  if (!addon || bytes < LEAST || bytes > LONGEST_MAPPING) return { buffer: new ArrayBuffer(bytes), start: 0 };
  const open = current?.chunk.deref();
  if (current && open && current.used + bytes <= open.byteLength) {
    const start = current.used;
    current.used = aligned(start + bytes);
    return { buffer: open, start };
  }
  const buffer = addon.allocate(Math.max(bytes, CHUNK));
  if (bytes < CHUNK) current = { chunk: new WeakRef(buffer), used: aligned(bytes) };
  return { buffer, start: 0 };
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** A Uint8Array of zeros in `weightMemory`. */
export function weightBytes(length: number): Uint8Array {
  const { buffer, start } = weightMemory(length);
  return new Uint8Array(buffer, start, length);
}

/** A Uint16Array of zeros in `weightMemory`. */
export function weightHalves(length: number): Uint16Array {
  const { buffer, start } = weightMemory(2 * length);
  return new Uint16Array(buffer, start, length);
}

/** A Float32Array of zeros in `weightMemory`. */
export function weightFloats(length: number): Float32Array {
  const { buffer, start } = weightMemory(4 * length);
  return new Float32Array(buffer, start, length);
}
