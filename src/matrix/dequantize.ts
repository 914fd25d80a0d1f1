import { OptionError } from '../base/errors.js';
import { bf16ToF32, f16ToF32 } from '../base/float16.js';
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
  return dtype === 'f32'
    ? Float32Array.from(stored)
    : Float32Array.from(stored, dtype === 'f16' ? f16ToF32 : bf16ToF32);
}

function packedRows(storage: PackedStorage, from: number, to: number): Float32Array {
  const { inFeatures, groupSize, rowBytes, codes, zeros } = storage;
  const groups = groupsPerRow(inFeatures, groupSize);
  const scales = asFloat32(storage.scales, from * groups, to * groups);
  const offsets = storage.offsets && asFloat32(storage.offsets, from * groups, to * groups);
  const weights = new Float32Array((to - from) * inFeatures);
  for (let n = from, i = 0; n < to; n++) {
    for (let k = 0; k < inFeatures; k++, i++) {
      const group = (n - from) * groups + Math.floor(k / groupSize);
      const code = (codes[n * rowBytes + (k >> 1)] >> (4 * (k & 1))) & 15;
      if (offsets) weights[i] = Math.fround(code * scales[group]) + offsets[group];
      else weights[i] = (code - (zeros ? zeros[from * groups + group] : 8)) * scales[group];
    }
  }
  return weights;
}

function asFloat32(values: Uint16Array | Float32Array, from: number, to: number): Float32Array {
  const part = values.subarray(from, to);
  return part instanceof Float32Array ? part : Float32Array.from(part, f16ToF32);
}
