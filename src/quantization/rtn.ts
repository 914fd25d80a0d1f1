import { OptionError, ShapeError } from '../base/errors.js';
import { f16ToF32, f32ToF16 } from '../base/float16.js';
import { packMatrix } from '../matrix/pack.js';
import { groupsPerRow, type PackedStorage } from '../matrix/storage.js';

const LARGEST_CODE = 15;
/** Keeps the scale of a group of zeros over 0; in float16 it is a subnormal. */
const LEAST_RANGE = 1e-5;

/**
 * Round to nearest, asymmetric, per row and group of `groupSize` inputs:
 *
 * s = f16((max − min) / 15), z = −round(min / s), q = clamp(round(w / s) + z, 0, 15), W ≈ (q − z)·s,
 *
 * with min ≤ 0 ≤ max, so that z is a code and zero is exact. Codes are chosen for the scale as it is stored. Ties go to
 * even, as in torch; the recipe is AutoAWQ's `pseudo_quantize_tensor`, with the range widened to hold 0 as GPTQ does.
 * @param weights [outFeatures, inFeatures]
 * @param firstRow number of the first output, where these are some of a matrix; errors name it
 * @throws ShapeError if sizes do not fit; OptionError for a weight that is not finite or a range beyond float16.
 */
export function quantizeRtn(
  weights: Float32Array,
  outFeatures: number,
  inFeatures: number,
  groupSize: number,
  firstRow: number = 0,
): PackedStorage {
  if (weights.length !== outFeatures * inFeatures) {
    throw new ShapeError({ thing: 'weights', found: weights.length, expected: `${outFeatures} × ${inFeatures}` });
  }
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
      const bits = f32ToF16(Math.max(max - min, LEAST_RANGE) / LARGEST_CODE);
      const scale = f16ToF32(bits);
      if (!Number.isFinite(scale)) throw badWeight(max - min, firstRow + n, g * groupSize);
      const zero = clampToCode(-roundHalfEven(Math.fround(min / scale)));
      scales[n * groups + g] = bits;
      zeros[n * groups + g] = zero;
      for (let i = start; i < end; i++) codes[i] = clampToCode(roundHalfEven(Math.fround(weights[i] / scale)) + zero);
    }
  }
  return packMatrix({ outFeatures, inFeatures, groupSize, codes, scales, zeros });
}

const clampToCode = (value: number): number => Math.min(Math.max(value, 0), LARGEST_CODE);

function roundHalfEven(value: number): number {
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 !== 0 ? up - 1 : up;
}

const badWeight = (found: number, row: number, column: number): OptionError =>
  new OptionError({
    thing: 'weight',
    found,
    expected: 'finite weights in a range that float16 scales reach',
    where: `output ${row}, input ${column}`,
  });
