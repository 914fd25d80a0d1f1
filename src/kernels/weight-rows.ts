import { bf16ToF32, f16ToF32 } from '../base/float16.js';
import { groupSlot, middleZero, unpackRow } from '../matrix/panels.js';
import { groupsPerRow, type DenseStorage, type MatrixStorage, type PackedStorage } from '../matrix/storage.js';

/** Writes row n of a matrix to `row` [inFeatures], exactly. */
export function decodeRow(w: MatrixStorage, n: number, row: Float64Array): void {
  if (w.kind === 'packed') decodePackedRow(w, n, row);
  else decodeDenseRow(w, n, row);
}

function decodePackedRow(w: PackedStorage, n: number, row: Float64Array): void {
  const { bits, inFeatures, groupSize, codes, scales, zeros, offsets } = w;
  const groups = groupsPerRow(inFeatures, groupSize);
  const unpacked = new Uint8Array(inFeatures);
  unpackRow(codes, bits, n, unpacked);
  for (let g = 0; g < groups; g++) {
    const slot = groupSlot(n, g, groups);
    const scale = numberAt(scales, slot);
    const offset = offsets ? numberAt(offsets, slot) : 0;
    const zero = offsets ? 0 : zeros ? zeros[slot] : middleZero(bits);
    const end = Math.min((g + 1) * groupSize, inFeatures);
    for (let k = g * groupSize; k < end; k++) row[k] = (unpacked[k] - zero) * scale + offset;
  }
}

function decodeDenseRow({ dtype, inFeatures, values }: DenseStorage, n: number, row: Float64Array): void {
  const start = n * inFeatures;
  if (dtype === 'f32') {
    for (let k = 0; k < inFeatures; k++) row[k] = values[start + k];
  } else {
    const table = dtype === 'f16' ? f16Values() : bf16Values();
    for (let k = 0; k < inFeatures; k++) row[k] = table[values[start + k]];
  }
}

const numberAt = (values: Uint16Array | Float32Array, index: number): number =>
  values instanceof Float32Array ? values[index] : f16Values()[values[index]];

const tableOf = (decode: (bits: number) => number): (() => Float32Array) => {
  let table: Float32Array | null = null;
  return () => (table ??= Float32Array.from({ length: 65536 }, (_, bits) => decode(bits)));
};

/** The value of each of the 65536 patterns: an index is many times faster than taking bits apart. */
const f16Values = tableOf(f16ToF32);
const bf16Values = tableOf(bf16ToF32);
