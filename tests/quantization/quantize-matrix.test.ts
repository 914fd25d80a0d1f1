import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OptionError } from '../../src/base/errors.js';
import { f32ToBf16, f32ToF16 } from '../../src/base/float16.js';
import { dequantize, type DenseStorage } from '../../src/matrix/index.js';
import { quantizeRtn } from '../../src/quantization/index.js';
import { quantizeMatrix } from '../../src/quantization/quantize-matrix.js';
import { randomNumbers } from '../support/random-model.js';

/** Large enough to be quantised in several pieces, in more than one panel a piece, and with a panel that is not full. */
const [OUT, INPUT, GROUP] = [135, 2_000, 120];

const random = randomNumbers(8);
const floats = Float32Array.from({ length: OUT * INPUT }, () => random() - 0.4);
const sizes = { kind: 'dense', outFeatures: OUT, inFeatures: INPUT } as const;
const stored: DenseStorage[] = [
  { ...sizes, dtype: 'f32', values: floats },
  { ...sizes, dtype: 'f16', values: Uint16Array.from(floats, f32ToF16) },
  { ...sizes, dtype: 'bf16', values: Uint16Array.from(floats, f32ToBf16) },
];

for (const matrix of stored) {
  test(`a matrix of ${matrix.dtype} in pieces is the same as in one, and its errors are those of its values`, async () => {
    let breaths = 0;
    const breathe = async (): Promise<void> => void breaths++;
    const { storage, squaredError, squaredNorm } = await quantizeMatrix(matrix, GROUP, breathe);
    assert.ok(breaths >= 3);
    const weights = dequantize(matrix);
    assert.deepEqual(storage, quantizeRtn(weights, OUT, INPUT, GROUP));
    const decoded = dequantize(storage);
    const sum = (value: (weight: number, i: number) => number) =>
      weights.reduce((total, weight, i) => total + value(weight, i), 0);
    assert.ok(Math.abs(squaredNorm / sum((weight) => weight ** 2) - 1) < 1e-12);
    assert.ok(Math.abs(squaredError / sum((weight, i) => (weight - decoded[i]) ** 2) - 1) < 1e-12);
  });
}

test('a weight that is no number is named by its row of the whole matrix', async () => {
  const values = floats.with(7 * INPUT + 11, Infinity);
  await assert.rejects(
    quantizeMatrix({ ...sizes, dtype: 'f32', values }, GROUP, async () => {}),
    (error) => error instanceof OptionError && error.where === 'output 7, input 11',
  );
});

test('a breath that throws ends it', async () => {
  const breathe = async (): Promise<void> => {
    throw new RangeError('enough');
  };
  await assert.rejects(quantizeMatrix(stored[0], GROUP, breathe), RangeError);
});
