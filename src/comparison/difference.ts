import { ShapeError } from '../base/errors.js';

/**
 * Relative error ‖b − a‖ / ‖a‖ and cosine a·b / (‖a‖·‖b‖) of two arrays, in float64. Entries that are −∞ in both
 * (masked scores) are left out. Two arrays of zeros differ by 0 and have cosine 1.
 */
export function differenceOf(
  a: Float32Array,
  b: Float32Array,
  where?: string,
): { relativeError: number; cosine: number } {
  if (a.length !== b.length) throw new ShapeError({ thing: 'values', found: b.length, expected: a.length, where });
  let [dot, aa, bb, dd] = [0, 0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    if (a[i] === -Infinity && b[i] === -Infinity) continue;
    dot += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
    dd += (a[i] - b[i]) ** 2;
  }
  return {
    relativeError: dd === 0 ? 0 : Math.sqrt(dd / aa),
    cosine: dd === 0 ? 1 : dot / Math.sqrt(aa * bb),
  };
}
