import type { MatrixStorage } from './storage.js';

/** Bytes of all arrays of a matrix. */
export function storageBytes(storage: MatrixStorage): number {
  if (storage.kind === 'dense') return storage.values.byteLength;
  const { codes, scales, zeros, offsets } = storage;
  return codes.byteLength + scales.byteLength + (zeros?.byteLength ?? 0) + (offsets?.byteLength ?? 0);
}

/** Bits that a weight takes in memory, its share of scales, zero points and padding included. */
export const bitsPerWeight = (storage: MatrixStorage): number =>
  (8 * storageBytes(storage)) / (storage.outFeatures * storage.inFeatures);
