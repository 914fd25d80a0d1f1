import { OptionError } from '../base/errors.js';
import { bf16ArrayToF32, f16ArrayToF32 } from '../base/float16.js';
import { groupSlot, middleZero, PANEL, unpackRow } from './panels.js';
import { groupsPerRow, type DenseStorage, type MatrixStorage, type PackedStorage } from './storage.js';

/**
 * The weights as float32, [rows, inFeatures], of all rows or of rows [from, to). Packed matrices are decoded in float32
 * arithmetic by the rule of `PackedStorage`.
 * @throws OptionError if the rows are not in the matrix.
 */
export function dequantize(storage: MatrixStorage, rows?: readonly [from: number, to: number]): Float32Array {
  const [from, to] = rows ?? [0, storage.outFeatures];
  if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || to < from || to > storage.outFeatures) {
    throw new OptionError({ thing: 'rows', found: [from, to], expected: `within 0 to ${storage.outFeatures}` });
  }
  return storage.kind === 'dense' ? denseRows(storage, from, to) : packedRows(storage, from, to);
}

function denseRows({ dtype, inFeatures, values }: DenseStorage, from: number, to: number): Float32Array {
  const stored = values.subarray(from * inFeatures, to * inFeatures);
  if (stored instanceof Float32Array) return stored.slice();
  return dtype === 'f16' ? f16ArrayToF32(stored) : bf16ArrayToF32(stored);
}

function packedRows(storage: PackedStorage, from: number, to: number): Float32Array {
  const { bits, inFeatures, groupSize, codes, zeros } = storage;
  const groups = groupsPerRow(inFeatures, groupSize);
  const firstSlot = groupSlot(from - (from % PANEL), 0, groups);
  const endSlot = groupSlot(Math.ceil(to / PANEL) * PANEL, 0, groups);
  const scales = asFloat32(storage.scales, firstSlot, endSlot);
  const offsets = storage.offsets && asFloat32(storage.offsets, firstSlot, endSlot);
  const weights = new Float32Array((to - from) * inFeatures);
  const row = new Uint8Array(inFeatures);
  let i = 0;
  for (let n = from; n < to; n++) {
    unpackRow(codes, bits, n, row);
    for (let g = 0, k = 0; g < groups; g++) {
      const slot = groupSlot(n, g, groups);
      const scale = scales[slot - firstSlot];
      const zero = offsets ? 0 : zeros ? zeros[slot] : middleZero(bits);
      const offset = offsets ? offsets[slot - firstSlot] : 0;
      const end = Math.min(k + groupSize, inFeatures);
      for (; k < end; k++) weights[i++] = Math.fround((row[k] - zero) * scale) + offset;
    }
  }
  return weights;
}

function asFloat32(values: Uint16Array | Float32Array, from: number, to: number): Float32Array {
  const part = values.subarray(from, to);
  return part instanceof Float32Array ? part : f16ArrayToF32(part);
}
