import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { matmulPacked } from '../../src/kernels/matmul-packed.js';
import { runKernel } from '../../src/kernels/run.js';
import { packMatrix } from '../../src/matrix/index.js';
import { native } from '../../src/native/native.js';
import { ready, tensorValues } from '../../src/ops/index.js';
import {
  assertNear,
  assertSameBits,
  floats,
  oddSize,
  packedMatrix,
  randoms,
  room,
  seed,
  shift,
  type Rule,
} from '../native/support.js';
import { TEST_BACKENDS } from '../support/backends.js';
import { readGolden, worstExcess } from '../support/golden.js';
import { missing, sharedPath } from '../support/shared.js';
import { matmulCase } from './cases/matmul.js';

// The INT4 product through tfjs, over all the sizes and rules that it must take. What is asserted of each: y is that of
// plain loops over dequantised weights in float64, and within 1e-5 of the reference; so is dx of its own reference.

const RULES: readonly Rule[] = ['middle', 'zeros', 'offsets'];
const implementation = native() ? 'native' : 'TypeScript';

interface Sizes {
  readonly outFeatures: number;
  readonly inFeatures: number;
  readonly groupSize: number;
  readonly rows: number;
  readonly rule: Rule;
  readonly half: boolean;
  readonly biased: boolean;
}

function assertProduct({ rows, biased, ...sizes }: Sizes, from: number, by: number): void {
  const random = randoms(from);
  const w = packedMatrix(sizes, random, by);
  const bias = biased ? floats(w.outFeatures, random, by) : null;
  const one = matmulCase(w, bias, rows, random, by);
  const { x } = one.inputs;
  const dy = floats(rows * w.outFeatures, random, by);
  const [y, dx] = tf.tidy(() => {
    const multiply = (input: tf.Tensor) => runKernel(matmulPacked.name, { x: input }, one.attributes);
    const input = tf.tensor(x.values, [rows, w.inFeatures], 'float32');
    const slope = tf.tensor(dy, [rows, w.outFeatures], 'float32');
    return [multiply(input), tf.grad(multiply)(input, slope)];
  });
  const what = `${w.outFeatures}×${w.inFeatures}, groups of ${w.groupSize}, ${sizes.rule}, ${rows} rows`;
  const expected = one.define({ x: x.values });
  const reference = room(expected.length);
  one.reference?.(reference);
  assertNear(tensorValues(y), (i) => ({ value: expected[i], size: one.size(i) }), 1e-5, what);
  assertNear(tensorValues(y), (i) => ({ value: reference[i], size: one.size(i) }), 1e-5, `reference, ${what}`);

  // dx is a product with the weights turned over: Σ|dy·W| by the same loops
  const back = one.referenceGradient?.(dy).x ?? assert.fail();
  const weights = weightColumns(w.inFeatures, one);
  const size = (i: number) => {
    const [r, k] = [Math.floor(i / w.inFeatures), i % w.inFeatures];
    return weights[k].reduce((sum, weight, n) => sum + Math.abs(weight * dy[r * w.outFeatures + n]), 0);
  };
  assertNear(tensorValues(dx), (i) => ({ value: back[i], size: size(i) }), 1e-5, `dx, ${what}`);
  tf.dispose([y, dx]);
}

/** The columns of the matrix, from the case's equation: those of unit vectors, less the bias. */
function weightColumns(inFeatures: number, one: ReturnType<typeof matmulCase>): Float64Array[] {
  const none = one.define({ x: new Float64Array(inFeatures) });
  return Array.from({ length: inFeatures }, (_, k) => {
    const unit = new Float64Array(inFeatures);
    unit[k] = 1;
    return one.define({ x: unit }).map((value, n) => value - none[n]);
  });
}

/** Groups from 16 to the whole row; those of other sizes than powers of two too. */
const groupSize = (inFeatures: number): fc.Arbitrary<number> =>
  fc.oneof(
    fc.constantFrom(16, 32, 64, 128),
    fc.integer({ min: 16, max: Math.max(16, inFeatures) }),
    fc.constant(inFeatures),
  );

const sizesWith = (
  outFeatures: fc.Arbitrary<number>,
  inFeatures: fc.Arbitrary<number>,
  rows: fc.Arbitrary<number>,
): fc.Arbitrary<Sizes> =>
  inFeatures.chain((k) =>
    fc.record({
      outFeatures,
      inFeatures: fc.constant(k),
      groupSize: groupSize(k),
      rows,
      rule: fc.constantFrom(...RULES),
      half: fc.boolean(),
      biased: fc.boolean(),
    }),
  );

for (const { name: backend, skip } of TEST_BACKENDS) {
  describe(`${implementation} INT4 matmul on ${backend}`, { skip }, () => {
    test('every size from 1×1 to 5×5, and around 32 and 64 codes, by every rule', async () => {
      await ready(backend);
      for (const outFeatures of [1, 2, 3, 4, 5]) {
        for (const inFeatures of [1, 2, 3, 4, 5, 31, 32, 33, 63, 64, 65]) {
          for (const rule of RULES) {
            for (const rows of [1, 3]) {
              assertProduct(
                { outFeatures, inFeatures, groupSize: 16, rows, rule, half: rows === 1, biased: rows === 3 },
                31 * outFeatures + inFeatures,
                rows - 1,
              );
            }
          }
        }
      }
    });

    test('random sizes: odd N, K no multiple of the group, groups of 16 to K, unaligned views', async () => {
      await ready(backend);
      const rows = fc.integer({ min: 1, max: 20 });
      fc.assert(fc.property(sizesWith(oddSize(70), oddSize(513), rows), seed, shift, assertProduct), {
        numRuns: native() ? 40 : 15,
      });
    });

    test('1 to 512 rows', async () => {
      await ready(backend);
      const rows = fc.oneof(
        fc.constantFrom(63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512),
        fc.integer({ min: 1, max: 512 }),
      );
      fc.assert(fc.property(sizesWith(oddSize(20), oddSize(130), rows), seed, shift, assertProduct), {
        numRuns: native() ? 15 : 5,
      });
    });

    test('a batch [batch, pos, inFeatures] and a single vector are the same rows', async () => {
      await ready(backend);
      const random = randoms(11);
      const w = packedMatrix({ outFeatures: 9, inFeatures: 50, groupSize: 16, rule: 'zeros', half: true }, random);
      const x = floats(300, random);
      const y = (shape: number[], values: Float32Array) =>
        tf.tidy(() => {
          const out = runKernel(
            matmulPacked.name,
            { x: tf.tensor(values, shape, 'float32') },
            { weight: w, bias: null },
          );
          assert.deepEqual(out.shape, [...shape.slice(0, -1), 9]);
          return tensorValues(out);
        });
      const flat = y([6, 50], x);
      assertSameBits(y([2, 3, 50], x), flat, 'batch');
      for (let r = 0; r < 6; r++)
        assertSameBits(y([50], x.slice(50 * r, 50 * r + 50)), flat.slice(9 * r, 9 * r + 9), 'vector');
    });

    for (const group of [32, 128]) {
      test(`the product of AutoAWQ's layer, groups of ${group}`, { skip: missing('models/awq') }, async () => {
        await ready(backend);
        const golden = readGolden(sharedPath('models/awq/gemm-small.safetensors') ?? '');
        const part = <Values extends Float32Array | Uint8Array>(
          name: string,
          Kind: new (count: number) => Values,
        ): Values => {
          const values = golden.get(`g${group}.${name}`)?.values;
          assert.ok(values instanceof Kind, name);
          return values;
        };
        const stored = part('scales', Float32Array); // [groups, outFeatures]
        const weight = packMatrix({
          outFeatures: 64,
          inFeatures: 256,
          groupSize: group,
          codes: part('codes', Uint8Array),
          zeros: part('zeros', Uint8Array),
          scales: stored.map((_, i) => stored[(i % (256 / group)) * 64 + Math.floor(i / (256 / group))]),
        });
        const y = tf.tidy(() => {
          const x = tf.tensor(part('x', Float32Array), [5, 256], 'float32');
          return tensorValues(runKernel(matmulPacked.name, { x }, { weight, bias: part('bias', Float32Array) }));
        });
        assert.ok(worstExcess(y, part('y', Float32Array)) <= 1e-4);
      });
    }
  });
}
