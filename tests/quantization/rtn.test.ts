import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import { f16ToF32 } from '../../src/base/float16.js';
import { CODE_BITS, dequantize, groupSlot, unpackCodes } from '../../src/matrix/index.js';
import { quantizeRtn } from '../../src/quantization/index.js';
import { referenceGroup } from './reference-rtn.js';

/** Weights [out, input] of many magnitudes, with groups that are all of one sign, zero, or tiny. */
const anyWeights = fc
  .record({
    out: fc.constantFrom(1, 2, 5, 17),
    input: fc.integer({ min: 1, max: 90 }),
    group: fc.integer({ min: 1, max: 100 }),
  })
  .chain(({ out, input, group }) => {
    const weight = fc.oneof(
      { weight: 6, arbitrary: fc.float({ min: -1, max: 1, noNaN: true }) },
      { weight: 1, arbitrary: fc.constantFrom(0, -0, 1e-9, 3e-6, -7.5, 0.5, 1, 1000) },
    );
    const scale = fc.constantFrom(1, 1, 1e-3, 1e-6, 1e-8, 50);
    const shift = fc.constantFrom(0, 0, 1.5, -1.5);
    return fc.record({
      out: fc.constant(out),
      input: fc.constant(input),
      group: fc.constant(group),
      weights: fc
        .tuple(fc.array(weight, { minLength: out * input, maxLength: out * input, size: 'max' }), scale, shift)
        .map(([values, factor, offset]) => Float32Array.from(values, (value) => (value + offset) * factor)),
    });
  });

describe('round to nearest', () => {
  test('codes, zero points, scales and weights are those of an independent implementation, for any number of bits', () => {
    fc.assert(
      fc.property(anyWeights, fc.constantFrom(...CODE_BITS), ({ out, input, group, weights }, bits) => {
        const storage = quantizeRtn(weights, out, input, group, { bits });
        assert.equal(storage.bits, bits);
        const codes = unpackCodes(storage);
        const decoded = dequantize(storage);
        const groups = Math.ceil(input / group);
        for (let n = 0; n < out; n++) {
          for (let g = 0; g < groups; g++) {
            const [from, to] = [n * input + g * group, n * input + Math.min((g + 1) * group, input)];
            const expected = referenceGroup([...weights.subarray(from, to)], bits);
            assert.equal(storage.scales[groupSlot(n, g, groups)], expected.scale);
            assert.equal(storage.zeros?.[groupSlot(n, g, groups)], expected.zero);
            assert.deepEqual([...codes.subarray(from, to)], expected.codes);
            decoded.subarray(from, to).forEach((value, i) => assert.ok(value === expected.values[i]));
          }
        }
      }),
      { numRuns: 400 },
    );
  });

  test('no weight is off by more than half a step, or what the float16 scale cuts off; zeros are exact', () => {
    fc.assert(
      fc.property(anyWeights, ({ out, input, group, weights }) => {
        const storage = quantizeRtn(weights, out, input, group);
        const groups = Math.ceil(input / group);
        dequantize(storage).forEach((value, i) => {
          const scale = f16ToF32(storage.scales[groupSlot(Math.floor(i / input), Math.floor((i % input) / group), groups)]);
          // Where the scale is rounded down, 15 steps fall short of the range: by 2⁻¹¹ of it, or 15 halves of the
          // least float16; and the zero point, rounded too, may shift it by half a step more.
          const cut = Math.max(15 * scale * 2 ** -11, 15 * 2 ** -25);
          assert.ok(
            Math.abs(value - weights[i]) <= (scale + cut) * 1.0001,
            `${weights[i]} became ${value}, step ${scale}`,
          );
          if (weights[i] === 0) assert.equal(value, 0);
        });
      }),
      { numRuns: 300 },
    );
  });

  test('a group of one sign keeps its shape: its range is widened to hold 0', () => {
    // by AutoAWQ's recipe as it stands, z would be 0, s (1 − 0.5) / 15, and every weight 0.5
    const positive = Float32Array.from({ length: 32 }, (_, i) => 0.5 + i / 62);
    for (const weights of [positive, positive.map((weight) => -weight)]) {
      const decoded = dequantize(quantizeRtn(weights, 1, 32, 32));
      decoded.forEach((value, i) => assert.ok(Math.abs(value - weights[i]) <= 1 / 30 + 1e-3));
      assert.ok(new Set(decoded).size >= 8);
    }
  });

  test('a group of zeros has the least scale, a float16 subnormal that is not flushed, and stays zeros', () => {
    const { scales, zeros, ...rest } = quantizeRtn(new Float32Array(512), 16, 32, 16);
    assert.ok(scales.every((bits) => bits > 0 && bits < 0x400));
    assert.ok(Math.abs(f16ToF32(scales[0]) - 1e-5 / 15) <= 2 ** -25);
    assert.deepEqual(dequantize({ scales, zeros, ...rest }), new Float32Array(512));
  });

  test('codes are chosen for the scale as it is stored', () => {
    // the scale 0.1 / 15 rounds to a float16 that is 2.4e-4 smaller; codes for the exact one would differ here
    const weights = Float32Array.from({ length: 2048 }, (_, i) => (i / 2047) * 0.1);
    const { scales, ...rest } = quantizeRtn(weights, 1, 2048, 2048);
    const [exact, stored] = [Math.fround(0.1) / 15, f16ToF32(scales[0])];
    assert.notEqual(exact, stored);
    const codes = unpackCodes({ scales, ...rest });
    assert.deepEqual(
      [...codes],
      [...weights].map((weight) => Math.min(15, Math.round(weight / stored))),
    );
    assert.notDeepEqual(
      [...codes],
      [...weights].map((weight) => Math.min(15, Math.round(weight / exact))),
    );
  });

  test('ties go to even', () => {
    // the scale is 1/4 exactly, and z is 4
    const weights = Float32Array.of(-1, 2.75, 0.125, 0.375, 0.625, 0.875, -0.125, -0.375);
    assert.deepEqual([...unpackCodes(quantizeRtn(weights, 1, 8, 8))], [0, 15, 4, 6, 6, 8, 4, 2]);
    // z itself is a tie: −round(−2.5)
    const { zeros } = quantizeRtn(Float32Array.of(-0.625, 3.125), 1, 2, 2);
    assert.equal(zeros?.[0], 2);
  });

  test('relative squared error of Gaussian weights in groups of 128 is 0.0101', () => {
    let state = 1;
    const uniform = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) + 0.5) / 2 ** 32;
    const weights = Float32Array.from(
      { length: 2 ** 17 },
      () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
    );
    const decoded = dequantize(quantizeRtn(weights, 1024, 128, 128));
    const sum = (value: (i: number) => number) => weights.reduce((total, _, i) => total + value(i), 0);
    const error = sum((i) => (weights[i] - decoded[i]) ** 2) / sum((i) => weights[i] ** 2);
    assert.ok(Math.abs(error - 0.0101) < 0.0003, String(error));
  });

  test('weights that are no numbers, ranges beyond float16 and wrong sizes are refused, with the place', () => {
    const weights = new Float32Array(40);
    for (const value of [NaN, Infinity, -Infinity]) {
      assert.throws(
        () => quantizeRtn(weights.with(27, value), 2, 20, 16, { firstRow: 100 }),
        (error) => {
          return error instanceof OptionError && error.where === 'output 101, input 7';
        },
      );
    }
    assert.throws(
      () => quantizeRtn(weights.with(17, 1e6), 2, 20, 16),
      (error) => {
        return error instanceof OptionError && error.where === 'output 0, input 16';
      },
    );
    assert.throws(() => quantizeRtn(weights, 2, 21, 16), ShapeError);
    assert.equal(quantizeRtn(weights.with(3, 65504 * 15), 2, 20, 16).scales[0], 0x7bff);
  });
});
