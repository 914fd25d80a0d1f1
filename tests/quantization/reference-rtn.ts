// Round to nearest once more, independent of the library: float16 by searching all its values, the formulas of the
// notes on formats read literally (AutoAWQ's `pseudo_quantize_tensor`, the range widened to hold 0).

/** All finite float16 values from 0 up, in order: entry i has the bits i. */
const HALVES: readonly number[] = Array.from({ length: 0x7c00 }, (_, bits) => {
  const [exponent, fraction] = [bits >> 10, bits & 1023];
  return exponent === 0 ? (fraction / 1024) * 2 ** -14 : (1 + fraction / 1024) * 2 ** (exponent - 15);
});

/** Bits of the nearest float16 of a number from 0 up; halfway, the even one. Infinity beyond the largest. */
export function nearestHalf(value: number): number {
  if (value >= 65520) return 0x7c00;
  let [low, high] = [0, HALVES.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (HALVES[middle] <= value) low = middle;
    else high = middle;
  }
  const [below, above] = [value - HALVES[low], HALVES[high] - value];
  return below < above || (below === above && low % 2 === 0) ? low : high;
}

function nearestEven(value: number): number {
  const [below, above] = [value - Math.floor(value), Math.ceil(value) - value];
  if (below !== above) return below < above ? Math.floor(value) : Math.ceil(value);
  return [Math.floor(value), Math.ceil(value)].find((whole) => whole % 2 === 0 || whole === value) ?? NaN;
}

export interface ReferenceGroup {
  /** Float16 bits. */
  readonly scale: number;
  readonly zero: number;
  readonly codes: number[];
  /** What the codes stand for. */
  readonly values: number[];
}

/** One group of one row, in float32 where torch is. */
export function referenceGroup(weights: readonly number[], bits = 4): ReferenceGroup {
  const largest = 2 ** bits - 1;
  const toCode = (value: number): number => Math.max(0, Math.min(largest, value));
  const min = Math.min(0, ...weights);
  const max = Math.max(0, ...weights);
  const half = nearestHalf(Math.fround(Math.max(max - min, 1e-5) / largest));
  const scale = HALVES[half] ?? Infinity;
  const zero = toCode(-nearestEven(Math.fround(min / scale)));
  const codes = weights.map((weight) => toCode(nearestEven(Math.fround(weight / scale)) + zero));
  return { scale: half, zero, codes, values: codes.map((code) => Math.fround((code - zero) * scale)) };
}
