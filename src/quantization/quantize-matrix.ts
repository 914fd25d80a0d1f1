import type { Breathe } from '../base/event-loop.js';
import { dequantize } from '../matrix/dequantize.js';
import { groupSlot, groupSlots, packedBytes, PANEL } from '../matrix/panels.js';
import { groupsPerRow, type CodeBits, type MatrixStorage, type PackedStorage } from '../matrix/storage.js';
import { weightBytes } from '../native/weight-memory.js';
import { quantizeRtn } from './rtn.js';

/** Weights quantised between two breaths; a panel at least. */
const CHUNK = 2 ** 16;

/** A quantised matrix and how far it is from the one that it stands for. */
export interface MatrixQuantization {
  readonly storage: PackedStorage;
  /** Σ(w − ŵ)² and Σw². */
  readonly squaredError: number;
  readonly squaredNorm: number;
}

/** `quantizeRtn` over a whole stored matrix, some rows at a time, with its errors. */
export async function quantizeMatrix(
  matrix: MatrixStorage,
  groupSize: number,
  breathe: Breathe,
): Promise<MatrixQuantization> {
  let [squaredError, squaredNorm] = [0, 0];
  const storage = await roundMatrix(matrix, { groupSize, bits: 4 }, breathe, (weights, part) => {
    const decoded = dequantize(part);
    for (let i = 0; i < weights.length; i++) {
      squaredError += (weights[i] - decoded[i]) ** 2;
      squaredNorm += weights[i] ** 2;
    }
  });
  return { storage, squaredError, squaredNorm };
}

/** The same without them; `onRows` hears of the weights of some rows and what became of them. */
export async function roundMatrix(
  matrix: MatrixStorage,
  { groupSize, bits }: { groupSize: number; bits: CodeBits },
  breathe: Breathe,
  onRows?: (weights: Float32Array, part: PackedStorage) => void,
): Promise<PackedStorage> {
  const { outFeatures, inFeatures } = matrix;
  const groups = groupsPerRow(inFeatures, groupSize);
  const codes = weightBytes(packedBytes(outFeatures, inFeatures, bits));
  const scales = new Uint16Array(groupSlots(outFeatures, groups));
  const zeros = new Uint8Array(scales.length);
  const rowsAtOnce = PANEL * Math.max(1, Math.floor(CHUNK / (PANEL * inFeatures)));
  for (let from = 0; from < outFeatures; from += rowsAtOnce) {
    await breathe();
    const to = Math.min(from + rowsAtOnce, outFeatures);
    const weights = dequantize(matrix, [from, to]);
    const part = quantizeRtn(weights, to - from, inFeatures, groupSize, { bits, firstRow: from });
    codes.set(part.codes, packedBytes(from, inFeatures, bits));
    scales.set(part.scales, groupSlot(from, 0, groups));
    if (part.zeros) zeros.set(part.zeros, groupSlot(from, 0, groups));
    onRows?.(weights, part);
  }
  return { kind: 'packed', bits, outFeatures, inFeatures, groupSize, codes, scales, zeros, offsets: null };
}
