import { ShapeError } from '../base/errors.js';
import { breather, type Breathe } from '../base/event-loop.js';
import { groupsPerRow, type PackedStorage } from '../matrix/storage.js';
import { eachRow, GEMM_NIBBLE } from './awq-codes.js';

/** A linear layer as AutoAWQ's GEMM layout stores it. */
export interface AwqGemmTensors {
  readonly qweight: Int32Array; // [in, out / 8]
  readonly qzeros: Int32Array; // [groups, out / 8]
  readonly scales: Uint16Array; // [groups, out], float16 bits
}

/** Why a matrix of these sizes cannot be stored in the GEMM layout, or null if it can. */
export function awqGemmObstacle(outFeatures: number, inFeatures: number, groupSize: number): string | null {
  if (outFeatures % 8 !== 0) return `${outFeatures} outputs, not a multiple of 8`;
  return inFeatures % groupSize === 0 ? null : `${inFeatures} inputs, not a multiple of the group size ${groupSize}`;
}

/**
 * Packs a matrix into AutoAWQ's GEMM layout.
 * @throws ShapeError unless 8 divides outFeatures, the group size inFeatures, scales are f16 and there are no offsets.
 */
export async function packAwqGemm(storage: PackedStorage, breathe: Breathe = breather()): Promise<AwqGemmTensors> {
  const { outFeatures, inFeatures, groupSize, rowBytes, codes, scales, zeros, offsets } = storage;
  const obstacle = awqGemmObstacle(outFeatures, inFeatures, groupSize);
  if (obstacle) throw new ShapeError({ thing: 'matrix', found: obstacle, expected: 'sizes of the GEMM layout' });
  if (offsets || !(scales instanceof Uint16Array)) {
    const found = offsets ? 'offsets' : 'float32 scales';
    throw new ShapeError({ thing: 'decode rule', found, expected: 'float16 scales and whole zero points' });
  }
  const groups = groupsPerRow(inFeatures, groupSize);
  const words = outFeatures / 8;
  const qweight = new Int32Array(inFeatures * words);
  const qzeros = new Int32Array(groups * words);
  const transposed = new Uint16Array(groups * outFeatures);
  await eachRow(outFeatures, breathe, (n) => {
    const shift = 4 * GEMM_NIBBLE[n % 8];
    for (let k = 0; k < inFeatures; k++) {
      const code = (codes[n * rowBytes + (k >> 1)] >> (4 * (k & 1))) & 15;
      qweight[k * words + (n >> 3)] |= code << shift;
    }
    for (let g = 0; g < groups; g++) {
      qzeros[g * words + (n >> 3)] |= (zeros ? zeros[n * groups + g] : 8) << shift;
      transposed[g * outFeatures + n] = scales[n * groups + g];
    }
  });
  return { qweight, qzeros, scales: transposed };
}
