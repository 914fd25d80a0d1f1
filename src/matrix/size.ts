import type { MatrixStorage } from './storage.js';

/** All arrays of a matrix. */
export function storageArrays(storage: MatrixStorage): ArrayBufferView[] {
  if (storage.kind === 'dense') return [storage.values];
  const { codes, scales, zeros, offsets } = storage;
  return [codes, scales, zeros, offsets].filter((array) => array !== null);
}

/** Bytes of all arrays of a matrix. */
export const storageBytes = (storage: MatrixStorage): number =>
  storageArrays(storage).reduce((sum, { byteLength }) => sum + byteLength, 0);

/** Bits that a weight takes in memory, its share of scales, zero points and padding included. */
export const bitsPerWeight = (storage: MatrixStorage): number =>
  (8 * storageBytes(storage)) / (storage.outFeatures * storage.inFeatures);
