import type { Breathe } from '../../base/event-loop.js';
import { f32ToBf16, f32ToF16 } from '../../base/float16.js';
import type { PackedForm } from '../../matrix/form.js';
import { BLOCK, middleZero, packedBytes, packRow, PANEL, panelOrder } from '../../matrix/panels.js';
import { groupsPerRow, type CodeBits, type DenseStorage, type PackedStorage } from '../../matrix/storage.js';
import { weightBytes } from '../../native/weight-memory.js';
import type { RandomWords } from './random-words.js';

/*
 * Random matrices whose weights have mean 0 and variance `variance`. What is drawn are bits: codes as they are, scales and
 * floats as places in a table, which is far cheaper than drawing numbers one by one and rounding each. Uniform codes have
 * their mean half a code below the middle: what makes the mean of weights 0 are zero points that are as often one below
 * the middle as there, or, where there are none, signs of scales.
 */

/** Elements, or blocks, that are made between two breaths; of codes, a panel at least. */
const PIECE = 2 ** 16;
const SCALES = 256;
const FLOATS = 4096;

/** E[(q − z)²] of uniform codes of some bits, with z in the middle or one below it: (2h² + 1) / 6, h = 2^(bits − 1). */
const codeVariance = (bits: CodeBits): number => (2 * middleZero(bits) ** 2 + 1) / 6;

/** float16 scales of 0.5 to 1.5 times one another, with which codes of some bits get the variance. */
function scaleTable(bits: CodeBits, variance: number): Uint16Array {
  const spread = Float64Array.from({ length: SCALES }, (_, i) => 0.5 + (i + 0.5) / SCALES);
  const meanSquare = spread.reduce((sum, value) => sum + value * value, 0) / SCALES;
  const unit = Math.sqrt(variance / codeVariance(bits) / meanSquare);
  return Uint16Array.from(spread, (value) => f32ToF16(unit * value));
}

/** Blocks of ggml's Q4_0, piece by piece: a float16 scale and 32 codes of 4 bits. */
export async function* randomQ4Blocks(random: RandomWords, blocks: number, variance: number): AsyncIterable<Uint8Array> {
  const scales = scaleTable(4, variance);
  for (let from = 0; from < blocks; from += PIECE) {
    const count = Math.min(PIECE, blocks - from);
    const halves = random.halves(9 * count);
    for (let at = 0; at < halves.length; at += 9) halves[at] = (halves[at] & 0x8000) | scales[halves[at] & (SCALES - 1)];
    yield new Uint8Array(halves.buffer, 0, 18 * count);
  }
}

/** A float16 or bfloat16 matrix of uniform weights. */
export async function randomDense(
  random: RandomWords,
  { dtype, outFeatures, inFeatures }: Pick<DenseStorage, 'outFeatures' | 'inFeatures'> & { dtype: 'f16' | 'bf16' },
  variance: number,
  breathe: Breathe,
): Promise<DenseStorage> {
  const round = dtype === 'f16' ? f32ToF16 : f32ToBf16;
  // a uniform variable between −√3 and √3 has variance 1
  const table = Uint16Array.from({ length: FLOATS }, (_, i) => round(Math.sqrt(3 * variance) * ((2 * i + 1) / FLOATS - 1)));
  const values = new Uint16Array(outFeatures * inFeatures);
  for (let from = 0; from < values.length; from += PIECE) {
    await breathe();
    const halves = random.halves(Math.min(PIECE, values.length - from));
    for (let i = 0; i < halves.length; i++) values[from + i] = table[halves[i] & (FLOATS - 1)];
  }
  return { kind: 'dense', dtype, outFeatures, inFeatures, values };
}

/** A packed matrix of this form, with float16 scales. */
export async function randomPacked(
  random: RandomWords,
  { bits, groupSize, zeros: hasZeros }: PackedForm,
  { outFeatures, inFeatures }: Pick<PackedStorage, 'outFeatures' | 'inFeatures'>,
  breathe: Breathe,
): Promise<PackedStorage> {
  const codes = weightBytes(packedBytes(outFeatures, inFeatures, bits));
  // padding is 0, so random bytes will do where there is none
  const isFull = inFeatures % BLOCK === 0 && outFeatures % PANEL === 0;
  const rowsAtOnce = PANEL * Math.max(1, Math.floor(PIECE / (PANEL * inFeatures)));
  for (let from = 0; from < outFeatures; from += rowsAtOnce) {
    await breathe();
    const to = Math.min(from + rowsAtOnce, outFeatures);
    if (isFull) codes.set(random.bytes(packedBytes(to - from, inFeatures, bits)), packedBytes(from, inFeatures, bits));
    else for (let n = from; n < to; n++) packRow(random.bytes(inFeatures), bits, codes, n);
  }
  const groups = groupsPerRow(inFeatures, groupSize);
  const table = scaleTable(bits, 1 / inFeatures);
  const scales = new Uint16Array(outFeatures * groups);
  const zeros = hasZeros ? new Uint8Array(scales.length) : null;
  for (let from = 0; from < scales.length; from += PIECE) {
    await breathe();
    const drawn = random.halves(Math.min(PIECE, scales.length - from));
    for (let i = 0; i < drawn.length; i++) {
      const scale = table[drawn[i] & (SCALES - 1)];
      scales[from + i] = zeros ? scale : scale | (drawn[i] & 0x8000);
      if (zeros) zeros[from + i] = middleZero(bits) - (drawn[i] >> 15);
    }
  }
  return {
    kind: 'packed',
    bits,
    outFeatures,
    inFeatures,
    groupSize,
    codes,
    scales: panelOrder(scales, outFeatures, groups),
    zeros: zeros && panelOrder(zeros, outFeatures, groups),
    offsets: null,
  };
}
