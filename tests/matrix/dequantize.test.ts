import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OptionError } from '../../src/base/errors.js';
import { bf16ToF32, f16ToF32, f32ToF16 } from '../../src/base/float16.js';
import { dequantize, packMatrix, type PackedStorage } from '../../src/matrix/index.js';
import { randomNumbers } from '../support/random-model.js';

/** Sizes from 1×1 up, groups that do not divide the inputs, and every decode rule. */
const anyMatrix = fc.record({
  out: fc.integer({ min: 1, max: 9 }),
  input: fc.integer({ min: 1, max: 70 }),
  group: fc.integer({ min: 1, max: 80 }),
  rule: fc.constantFrom('zeros', 'middle', 'offsets'),
  scales: fc.constantFrom('f16', 'f32'),
  seed: fc.nat(),
});

interface Sample {
  storage: PackedStorage;
  /** Weight (n, k) by the documented rule, from what the matrix was made of. */
  expected: (n: number, k: number) => number;
}

function sample({
  out,
  input,
  group,
  rule,
  scales: type,
  seed,
}: typeof anyMatrix extends fc.Arbitrary<infer T> ? T : never): Sample {
  const random = randomNumbers(seed);
  const groups = Math.ceil(input / group);
  const floats = () => Array.from({ length: out * groups }, () => random() - 0.3);
  const stored = (values: number[]) =>
    type === 'f16' ? Uint16Array.from(values, f32ToF16) : Float32Array.from(values);
  const value = (array: Uint16Array | Float32Array, at: number) =>
    array instanceof Uint16Array ? f16ToF32(array[at]) : array[at];
  const codes = Uint8Array.from({ length: out * input }, () => random() * 16);
  const scales = stored(floats());
  const zeros = rule === 'zeros' ? Uint8Array.from({ length: out * groups }, () => random() * 16) : null;
  const offsets = rule === 'offsets' ? stored(floats()) : null;
  const storage = packMatrix({ outFeatures: out, inFeatures: input, groupSize: group, codes, scales, zeros, offsets });
  const expected = (n: number, k: number) => {
    const at = n * groups + Math.floor(k / group);
    const [code, scale] = [codes[n * input + k], value(scales, at)];
    if (offsets) return Math.fround(Math.fround(code * scale) + value(offsets, at));
    return Math.fround((code - (zeros ? zeros[at] : 8)) * scale);
  };
  return { storage, expected };
}

test('packed weights are those of the documented rule, whole or by rows', () => {
  fc.assert(
    fc.property(anyMatrix, fc.nat(), fc.nat(), (sizes, a, b) => {
      const { storage, expected } = sample(sizes);
      const [from, to] = [a % (sizes.out + 1), b % (sizes.out + 1)].sort((x, y) => x - y);
      const rows = dequantize(storage, [from, to]);
      assert.equal(rows.length, (to - from) * sizes.input);
      rows.forEach((weight, i) => assert.ok(weight === expected(from + Math.floor(i / sizes.input), i % sizes.input)));
      assert.deepEqual(dequantize(storage).subarray(from * sizes.input, to * sizes.input), rows);
    }),
    { numRuns: 300 },
  );
});

test('dense weights of every stored type, as a copy', () => {
  const bits = Uint16Array.from({ length: 12 }, (_, i) => 0x3c00 + 77 * i);
  const floats = Float32Array.from({ length: 12 }, (_, i) => Math.sin(i));
  const shape = { kind: 'dense', outFeatures: 3, inFeatures: 4 } as const;
  assert.deepEqual(dequantize({ ...shape, dtype: 'f16', values: bits }), Float32Array.from(bits, f16ToF32));
  assert.deepEqual(dequantize({ ...shape, dtype: 'bf16', values: bits }), Float32Array.from(bits, bf16ToF32));
  const copy = dequantize({ ...shape, dtype: 'f32', values: floats }, [1, 3]);
  assert.deepEqual(copy, floats.slice(4));
  copy.fill(7);
  assert.notEqual(floats[4], 7);
});

test('rows that are not there are refused', () => {
  const { storage } = sample({ out: 4, input: 5, group: 2, rule: 'middle', scales: 'f32', seed: 1 });
  for (const rows of [
    [-1, 2],
    [0, 5],
    [3, 2],
    [0.5, 2],
    [0, NaN],
  ] as const) {
    assert.throws(() => dequantize(storage, rows), OptionError, String(rows));
  }
  assert.equal(dequantize(storage, [4, 4]).length, 0);
});
