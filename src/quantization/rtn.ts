import { OptionError, ShapeError } from '../base/errors.js';
import { f16ToF32, f32ToF16 } from '../base/float16.js';
import { roundHalfEven } from '../base/round.js';
import { packMatrix } from '../matrix/pack.js';
import { groupsPerRow, type CodeBits, type PackedStorage } from '../matrix/storage.js';

/** Keeps the scale of a group of zeros over 0; in float16 it is a subnormal. */
const LEAST_RANGE = 1e-5;

/**
 * Round to nearest, asymmetric, per row and group of `groupSize` inputs:
 *
 * s = f16((max − min) / L), z = −round(min / s), q = clamp(round(w / s) + z, 0, L), W ≈ (q − z)·s,
 *
 * with L = 2^bits − 1 the largest code and min ≤ 0 ≤ max, so that z is a code and zero is exact. Codes are chosen for the scale as it is stored. Ties go to
 * even, as in torch; the recipe is AutoAWQ's `pseudo_quantize_tensor`, with the range widened to hold 0 as GPTQ does.
 * @param weights [outFeatures, inFeatures]
 * @param options `bits`: 4 unless given; `firstRow`: number of the first output, where these are some of a matrix, for
 * errors.
 * @throws ShapeError if sizes do not fit; OptionError for a weight that is not finite or a range beyond float16.
 */
export function quantizeRtn(
  weights: Float32Array,
  outFeatures: number,
  inFeatures: number,
  groupSize: number,
  { bits = 4, firstRow = 0 }: { bits?: CodeBits; firstRow?: number } = {},
): PackedStorage {
  if (weights.length !== outFeatures * inFeatures) {
    throw new ShapeError({ thing: 'weights', found: weights.length, expected: `${outFeatures} × ${inFeatures}` });
  }
  const largest = 2 ** bits - 1;
  const toCode = (value: number): number => Math.min(Math.max(value, 0), largest);
  const groups = groupsPerRow(inFeatures, groupSize);
  const codes = new Uint8Array(weights.length);
  const scales = new Uint16Array(outFeatures * groups);
  const zeros = new Uint8Array(outFeatures * groups);
  for (let n = 0; n < outFeatures; n++) {
    for (let g = 0; g < groups; g++) {
      const start = n * inFeatures + g * groupSize;
      const end = Math.min(start + groupSize, (n + 1) * inFeatures);
      let [min, max] = [0, 0];
      for (let i = start; i < end; i++) {
        const weight = weights[i];
        if (!Number.isFinite(weight)) throw badWeight(weight, firstRow + n, i - n * inFeatures);
        if (weight < min) min = weight;
        else if (weight > max) max = weight;
      }
      const stored = f32ToF16(Math.max(max - min, LEAST_RANGE) / largest);
      const scale = f16ToF32(stored);
      if (!Number.isFinite(scale)) throw badWeight(max - min, firstRow + n, g * groupSize);
      const zero = toCode(-roundHalfEven(Math.fround(min / scale)));
      scales[n * groups + g] = stored;
      zeros[n * groups + g] = zero;
      for (let i = start; i < end; i++) codes[i] = toCode(roundHalfEven(Math.fround(weights[i] / scale)) + zero);
    }
  }
  return packMatrix({ bits, outFeatures, inFeatures, groupSize, codes, scales, zeros });
}

const badWeight = (found: number, row: number, column: number): OptionError =>
  new OptionError({
    thing: 'weight',
    found,
    expected: 'finite weights in a range that float16 scales reach',
    where: `output ${row}, input ${column}`,
  });
