import { ShapeError } from '../base/errors.js';

/**
 * Relative error ‖b − a‖ / ‖a‖ and cosine a·b / (‖a‖·‖b‖) of two arrays, in float64. Entries that are −∞ in both
 * (masked scores) are left out. Two arrays of zeros differ by 0 and have cosine 1; where one alone is zeros it is NaN.
 */
export function differenceOf(
  a: Float32Array,
  b: Float32Array,
  where?: string,
): { relativeError: number; cosine: number } {
  if (a.length !== b.length) throw new ShapeError({ thing: 'values', found: b.length, expected: a.length, where });
  let dot = 0;
  let aa = 0;
  let bb = 0;
  let dd = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i];
    const y = b[i];
    if (x === -Infinity && y === -Infinity) continue;
    dot += x * y;
    aa += x * x;
    bb += y * y;
    dd += (x - y) * (x - y);
  }
  return {
    relativeError: dd === 0 ? 0 : Math.sqrt(dd / aa),
    cosine: dd === 0 ? 1 : dot / Math.sqrt(aa * bb),
  };
}
