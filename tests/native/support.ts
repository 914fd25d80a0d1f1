import assert from 'node:assert/strict';
import fc from 'fast-check';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../../src/base/float16.js';
import { packMatrix } from '../../src/matrix/pack.js';
import { groupSlot, middleZero, unpackRow } from '../../src/matrix/panels.js';
import { groupsPerRow, type CodeBits, type DenseStorage, type PackedStorage } from '../../src/matrix/storage.js';
import { native, nativeAbsence, type NativeAddon } from '../../src/native/native.js';

/** For `describe(name, { skip: withoutAddon }, …)`: false, or why the addon is not there. */
export const withoutAddon: string | false = native() === null ? `no native addon: ${nativeAbsence()}` : false;

/** The addon; only called in tests that are skipped without it. */
export function addon(): NativeAddon {
  const found = native();
  assert(found);
  return found;
}

/** Runs on each instruction set in turn and goes back to the first, the best one. */
export function onEachIsa(run: (isa: string) => void): void {
  const { available } = addon().info();
  try {
    for (const isa of available) {
      addon().setIsa(isa);
      run(isa);
    }
  } finally {
    addon().setIsa(available[0]);
  }
}

/** A small generator (mulberry32), so that a failing case is known by its seed. */
export function randoms(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Floats from −1 to 1 that start `shift` elements into their buffer, with NaN around them. */
export function floats(count: number, random: () => number, shift = 0): Float32Array {
  const whole = new Float32Array(count + shift + 1).fill(NaN);
  const part = whole.subarray(shift, shift + count);
  for (let i = 0; i < count; i++) part[i] = random() * 2 - 1;
  return part;
}

/** Room for a result, with NaN in and around it. */
export const room = (count: number, shift = 0): Float32Array =>
  new Float32Array(count + shift + 1).fill(NaN).subarray(shift, shift + count);

export type Rule = 'middle' | 'zeros' | 'offsets';

export interface PackedSizes {
  /** 4 unless given. */
  bits?: CodeBits;
  outFeatures: number;
  inFeatures: number;
  groupSize: number;
  rule: Rule;
  half: boolean;
}

export function packedMatrix(
  { bits = 4, outFeatures, inFeatures, groupSize, rule, half }: PackedSizes,
  random: () => number,
  shift = 0,
): PackedStorage {
  const groups = outFeatures * groupsPerRow(inFeatures, groupSize);
  const draw = (length: number) => Uint8Array.from({ length }, () => Math.floor(random() * 2 ** bits));
  const numbers = () => (half ? Uint16Array.from(floats(groups, random), f32ToF16) : floats(groups, random));
  const { codes, scales, zeros, offsets, ...sizes } = packMatrix({
    bits,
    outFeatures,
    inFeatures,
    groupSize,
    codes: draw(outFeatures * inFeatures),
    scales: numbers(),
    zeros: rule === 'zeros' ? draw(groups) : null,
    offsets: rule === 'offsets' ? numbers() : null,
  });
  return {
    ...sizes,
    codes: shifted(codes, shift),
    scales: shifted(scales, shift),
    zeros: zeros && shifted(zeros, shift),
    offsets: offsets && shifted(offsets, shift),
  };
}

/** The same `shift` elements into a buffer, with NaN around where there can be. */
function shifted<T extends Uint8Array | Uint16Array | Float32Array>(array: T, shift: number): T {
  const whole = new (array.constructor as new (length: number) => T)(array.length + shift + 1);
  whole.fill(NaN).set(array, shift);
  return whole.subarray(shift, shift + array.length) as T;
}

export function denseMatrix(
  dtype: DenseStorage['dtype'],
  outFeatures: number,
  inFeatures: number,
  random: () => number,
  shift = 0,
): DenseStorage {
  const wide = floats(outFeatures * inFeatures, random, shift);
  const encode = dtype === 'f16' ? f32ToF16 : f32ToBf16;
  const bits = new Uint16Array(wide.length + shift).subarray(shift);
  wide.forEach((value, i) => (bits[i] = encode(value)));
  return { kind: 'dense', dtype, outFeatures, inFeatures, values: dtype === 'f32' ? wide : bits };
}

/** W [outFeatures, inFeatures] in float64, by the definitions of storage.ts. */
export function weightsOf(w: PackedStorage | DenseStorage): Float64Array {
  const { outFeatures, inFeatures } = w;
  if (w.kind === 'dense') {
    const decode = w.dtype === 'f32' ? Number : w.dtype === 'f16' ? f16ToF32 : bf16ToF32;
    return Float64Array.from(w.values, decode);
  }
  const weights = new Float64Array(outFeatures * inFeatures);
  const row = new Uint8Array(inFeatures);
  const numberAt = (from: Uint16Array | Float32Array, index: number) =>
    from instanceof Uint16Array ? f16ToF32(from[index]) : from[index];
  for (let n = 0; n < outFeatures; n++) {
    unpackRow(w.codes, w.bits, n, row);
    for (let k = 0; k < inFeatures; k++) {
      const slot = groupSlot(n, Math.floor(k / w.groupSize), groupsPerRow(inFeatures, w.groupSize));
      const scale = numberAt(w.scales, slot);
      const zero = w.zeros ? w.zeros[slot] : middleZero(w.bits);
      weights[n * inFeatures + k] = w.offsets ? row[k] * scale + numberAt(w.offsets, slot) : (row[k] - zero) * scale;
    }
  }
  return weights;
}

/** Asserts that every found value is within `relative`·size of the expected one; −∞ is itself alone. */
export function assertNear(
  found: Float32Array,
  expected: (index: number) => { value: number; size: number },
  relative: number,
  what: string,
): void {
  found.forEach((value, i) => {
    const { value: wanted, size } = expected(i);
    if (value === wanted || Math.abs(value - wanted) <= relative * size + 1e-30) return;
    assert.fail(`${what} at ${i}: ${value}, expected ${wanted} (size ${size})`);
  });
}

/** Asserts equal bits. */
export function assertSameBits(found: Float32Array, expected: Float32Array, what: string): void {
  assert.equal(found.length, expected.length, what);
  const bits = (array: Float32Array) => new Uint32Array(Float32Array.from(array).buffer);
  const [a, b] = [bits(found), bits(expected)];
  const at = a.findIndex((value, i) => value !== b[i]);
  assert.equal(at, -1, `${what}: ${found[at]} at ${at}, expected ${expected[at]}`);
}

/** Σ a·b in float64. */
export const inner = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * b[i], 0);

const EDGES = [63, 64, 65, 96, 127, 128, 129, 255, 256, 257, 300, 513];

/** Sizes that meet every tail of the kernels: small ones, and around multiples of their steps. */
export function oddSize(most: number): fc.Arbitrary<number> {
  const small = fc.integer({ min: 1, max: Math.min(40, most) });
  const edges = EDGES.filter((size) => size <= most);
  return edges.length === 0 ? small : fc.oneof(small, fc.constantFrom(...edges));
}

export const seed: fc.Arbitrary<number> = fc.integer({ min: 1, max: 2 ** 31 });
/** Elements by which a view is shifted in its buffer. */
export const shift: fc.Arbitrary<number> = fc.integer({ min: 0, max: 3 });
