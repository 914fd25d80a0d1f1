import fc from 'fast-check';
import { matmulDense } from '../../../src/kernels/matmul-dense.js';
import { matmulPacked } from '../../../src/kernels/matmul-packed.js';
import { matmulGradientReference, matmulReference } from '../../../src/kernels/matmul.js';
import type { DenseStorage, MatrixStorage } from '../../../src/matrix/storage.js';
import type { Floats } from '../../native/attention-support.js';
import { denseMatrix, floats, oddSize, packedMatrix, weightsOf, type Rule } from '../../native/support.js';
import { absolute, cases, operand, type KernelCase, type KernelCases, type Random } from './case.js';

/** y[r, n] = bias[n] + Σ_k x[r, k]·W[n, k] */
function product(
  x: Floats,
  weights: Floats,
  bias: Floats | null,
  outFeatures: number,
  inFeatures: number,
): Float64Array {
  const y = new Float64Array((x.length / inFeatures) * outFeatures);
  for (let i = 0; i < y.length; i++) {
    const [r, n] = [Math.floor(i / outFeatures), i % outFeatures];
    y[i] = bias ? bias[n] : 0;
    for (let k = 0; k < inFeatures; k++) y[i] += x[r * inFeatures + k] * weights[n * inFeatures + k];
  }
  return y;
}

/** A product with any matrix: x is [rows, inFeatures]. */
export function matmulCase(
  weight: MatrixStorage,
  bias: Float32Array | null,
  rows: number,
  random: Random,
  by: number,
): KernelCase {
  const { outFeatures, inFeatures } = weight;
  const x = operand([rows, inFeatures], random, by);
  const weights = weightsOf(weight);
  let sizes: Float64Array | null = null;
  return {
    kernel: weight.kind === 'packed' ? matmulPacked.name : matmulDense.name,
    inputs: { x },
    attributes: { weight, bias },
    shape: [rows, outFeatures],
    define: (values) => product(values.x, weights, bias, outFeatures, inFeatures),
    size: (index) => {
      sizes ??= product(absolute(x.values), absolute(weights), bias && absolute(bias), outFeatures, inFeatures);
      return sizes[index];
    },
    reference: (y) => matmulReference(x.values, rows, weight, bias, y),
    referenceGradient: (dy) => {
      const dx = new Float32Array(x.values.length);
      matmulGradientReference(dy, rows, weight, dx);
      return { x: dx };
    },
  };
}

const groupSizes = (inFeatures: number) =>
  fc.oneof(
    fc.constantFrom(16, 32, 64, 128),
    fc.integer({ min: 16, max: Math.max(16, inFeatures) }),
    fc.constant(inFeatures),
  );

const packedCases = cases(
  matmulPacked.name,
  fc
    .record({
      outFeatures: oddSize(70),
      inFeatures: oddSize(513),
      rows: fc.constantFrom(1, 1, 2, 3, 4, 5, 7, 8, 9, 17, 33),
    })
    .chain(({ outFeatures, inFeatures, rows }) =>
      fc.record({
        outFeatures: fc.constant(outFeatures),
        inFeatures: fc.constant(inFeatures),
        rows: fc.constant(rows),
        groupSize: groupSizes(inFeatures),
        rule: fc.constantFrom<Rule>('middle', 'zeros', 'offsets'),
        half: fc.boolean(),
        biased: fc.boolean(),
      }),
    )
    .map(({ rows, biased, ...sizes }) => (random, by) => {
      const bias = biased ? floats(sizes.outFeatures, random, by) : null;
      return matmulCase(packedMatrix(sizes, random, by), bias, rows, random, by);
    }),
);

const denseCases = cases(
  matmulDense.name,
  fc
    .record({
      outFeatures: oddSize(70),
      inFeatures: oddSize(300),
      dtype: fc.constantFrom<DenseStorage['dtype']>('f32', 'f16', 'bf16'),
      rows: fc.integer({ min: 1, max: 9 }),
      biased: fc.boolean(),
    })
    .map(({ outFeatures, inFeatures, dtype, rows, biased }) => (random, by) => {
      const bias = biased ? floats(outFeatures, random, by) : null;
      return matmulCase(denseMatrix(dtype, outFeatures, inFeatures, random, by), bias, rows, random, by);
    }),
);

export const MATMUL_CASES: readonly KernelCases[] = [packedCases, denseCases];
