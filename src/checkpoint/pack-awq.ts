import { ShapeError } from '../base/errors.js';
import { breather, type Breathe } from '../base/event-loop.js';
import { groupSlot, outputStart, PANEL } from '../matrix/panels.js';
import { groupsPerRow, type PackedStorage } from '../matrix/storage.js';
import { GEMM_NIBBLE } from './awq-codes.js';

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
  const { outFeatures, inFeatures, groupSize, codes, scales, zeros, offsets } = storage;
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
  for (let column = 0; column < words; column++) {
    await breathe();
    const start = outputStart(8 * column, inFeatures, 4);
    for (let k = 0; k < inFeatures; k++) {
      const at = start + 4 * PANEL * (k >> 3) + (k & 3);
      let word = 0;
      for (let t = 0; t < 8; t++) word |= ((codes[at + 4 * t] >> (k & 4)) & 15) << (4 * GEMM_NIBBLE[t]);
      qweight[k * words + column] = word;
    }
    for (let g = 0; g < groups; g++) {
      const slot = groupSlot(8 * column, g, groups);
      let word = 0;
      for (let t = 0; t < 8; t++) word |= (zeros ? zeros[slot + t] : 8) << (4 * GEMM_NIBBLE[t]);
      qzeros[g * words + column] = word;
      transposed.set(scales.subarray(slot, slot + 8), g * outFeatures + 8 * column);
    }
  }
  return { qweight, qzeros, scales: transposed };
}
