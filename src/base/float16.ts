import { roundHalfEven } from './round.js';

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** Whether binary16 bits are those of a normal number: neither zero, subnormal, infinite nor NaN. */
function isNormalF16(bits: number): boolean {
  const exponent = bits & 0x7c00;
  return exponent !== 0 && exponent !== 0x7c00;
}

/** The float32 bits of a normal number in binary16: its exponent is moved, by 127 − 15. */
const widened = (bits: number): number => ((bits & 0x8000) << 16) | (((bits & 0x7fff) << 13) + 0x38000000);

/** The float32 value of IEEE binary16 bits; exact. */
export function f16ToF32(bits: number): number {
  if (isNormalF16(bits)) {
    u32[0] = widened(bits);
    return f32[0];
  }
  const sign = bits & 0x8000 ? -1 : 1;
  const fraction = bits & 1023;
  if ((bits & 0x7c00) === 0) return sign * fraction * 2 ** -24;
  return fraction ? NaN : sign * Infinity;
}

/** IEEE binary16 bits of a float32 value, rounded to nearest, ties to even. */
export function f32ToF16(value: number): number {
  f32[0] = value;
  const bits = u32[0] as number;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // subnormal: a multiple of 2^-24; the product is exact in float64, so one rounding happens here
    return sign | roundHalfEven(Math.abs(f32[0] as number) * 2 ** 24);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** The float32 value of bfloat16 bits; exact. */
export function bf16ToF32(bits: number): number {
  u32[0] = bits << 16;
  return f32[0] as number;
}

/** bfloat16 bits of a float32 value, rounded to nearest, ties to even. */
export function f32ToBf16(value: number): number {
  f32[0] = value;
  const bits = u32[0] as number;
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Float32 copy of an array of float16 bits. */
export function f16ArrayToF32(bits: Uint16Array): Float32Array {
  const values = new Float32Array(bits.length);
  const words = new Uint32Array(values.buffer);
  for (let i = 0; i < bits.length; i++) {
    const half = bits[i];
    if (isNormalF16(half)) words[i] = widened(half);
    else values[i] = f16ToF32(half);
  }
  return values;
}

/** Float32 copy of an array of bfloat16 bits. */
export function bf16ArrayToF32(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i] << 16;
  return new Float32Array(words.buffer);
}
