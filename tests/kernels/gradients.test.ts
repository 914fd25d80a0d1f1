import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { attention } from '../../src/kernels/attention.js';
import { attentionMix } from '../../src/kernels/attention-mix.js';
import { attentionScores } from '../../src/kernels/attention-scores.js';
import { embedding } from '../../src/kernels/embedding.js';
import { runKernel } from '../../src/kernels/run.js';
import { PAGE_POSITIONS, native } from '../../src/native/native.js';
import * as ops from '../../src/ops/index.js';
import { GradientError } from '../../src/base/errors.js';
import {
  assertNear,
  assertSameBits,
  denseMatrix,
  floats,
  packedMatrix,
  randoms,
  seed,
  weightsOf,
} from '../native/support.js';
import type { Floats } from '../native/attention-support.js';
import { TEST_BACKENDS } from '../support/backends.js';
import { GRADIENT_CASES, KERNEL_CASES, type KernelCase } from './cases/index.js';

const implementation = native() ? 'native' : 'TypeScript';
type Values = Readonly<Record<string, Floats>>;
type Gradients = Readonly<Record<string, Float32Array>>;

const valuesOf = ({ inputs }: KernelCase): Record<string, Float32Array> =>
  Object.fromEntries(Object.entries(inputs).map(([name, { values }]) => [name, values]));

const tensorOf = (values: Float32Array, shape: readonly number[]): tf.Tensor =>
  tf.tensor(values, [...shape], 'float32');

/** The gradients by all inputs, through tfjs' tape, with a check that no tensor is left over. */
function gradientsOf({ kernel, inputs, attributes, shape }: KernelCase, dy: Float32Array): Gradients {
  const before = tf.memory().numTensors;
  const names = Object.keys(inputs);
  const tensors = names.map((name) => tensorOf(inputs[name].values, inputs[name].shape));
  const slope = tensorOf(dy, shape);
  const run = (...args: tf.Tensor[]) =>
    runKernel(kernel, Object.fromEntries(names.map((name, i) => [name, args[i]])), attributes);
  const gradients = tf.grads(run)(tensors, slope);
  assert.equal(tf.memory().numTensors, before + 2 * names.length + 1, 'tensors left over');
  gradients.forEach((gradient, i) => assert.deepEqual(gradient.shape, tensors[i].shape));
  const found = gradients.map((gradient) => ops.tensorValues(gradient).slice());
  for (const one of [...tensors, ...gradients, slope]) one.dispose();
  return Object.fromEntries(names.map((name, i) => [name, found[i]]));
}

const norm = (values: Floats): number =>
  Math.sqrt(Float64Array.from(values).reduce((sum, value) => sum + value * value, 0));

/**
 * Asserts that a gradient by `name` is the slope of Σ dy·f along random directions, by central differences in float64.
 * Outputs that are masked have no slope.
 */
function assertSlope(
  f: (values: Values) => Float64Array,
  values: Values,
  name: string,
  { dy, gradient, random, what }: { dy: Float32Array; gradient: Float32Array; random: () => number; what: string },
): void {
  const step = 1e-6;
  for (let direction = 0; direction < 2; direction++) {
    const along = Float64Array.from(gradient, () => random() * 2 - 1);
    const total = (by: number) => {
      const moved = Float64Array.from(values[name], (value, i) => value + by * along[i]);
      return f({ ...values, [name]: moved }).reduce(
        (sum, value, i) => sum + (value === -Infinity ? 0 : dy[i] * value),
        0,
      );
    };
    const slope = (total(step) - total(-step)) / (2 * step);
    const found = gradient.reduce((sum, value, i) => sum + value * along[i], 0);
    const bound = 1e-5 * norm(along) * (norm(gradient) + norm(dy));
    assert.ok(
      Math.abs(found - slope) <= bound,
      `${what} by ${name}: ${found} along a line, expected ${slope} ± ${bound}`,
    );
  }
}

const most = (values: Float32Array): number => values.reduce((top, value) => Math.max(top, Math.abs(value)), 0);

for (const { name: backend, skip } of TEST_BACKENDS) {
  describe(`gradients of ${implementation} kernels on ${backend}`, { skip }, () => {
    for (const { kernel, cases } of GRADIENT_CASES) {
      test(`${kernel}: by every input, the slope of its equation, and what the reference gives`, async () => {
        await ops.ready(backend);
        fc.assert(
          fc.property(cases, seed, (one, from) => {
            const random = randoms(from);
            const dy = floats(
              one.shape.reduce((a, b) => a * b),
              random,
              1,
            );
            const [found, reference] = [gradientsOf(one, dy), one.referenceGradient?.(dy)];
            for (const name of Object.keys(one.inputs)) {
              const values = valuesOf(one);
              assertSlope(one.define, values, name, { dy, gradient: found[name], random, what: kernel });
              if (!reference) continue;
              assertSlope(one.define, values, name, {
                dy,
                gradient: reference[name],
                random,
                what: `reference of ${kernel}`,
              });
              const size = most(reference[name]) + most(dy);
              assertNear(found[name], (i) => ({ value: reference[name][i], size }), 1e-5, `${kernel} by ${name}`);
            }
          }),
          { numRuns: native() ? 25 : 10 },
        );
      });
    }

    test('the joined attention has the gradient of its three steps, bit for bit', async () => {
      await ops.ready(backend);
      const sizes = {
        batch: fc.constant(2),
        pos: fc.integer({ min: 1, max: 9 }),
        kvHeads: fc.constantFrom(1, 2),
        group: fc.constantFrom(1, 3),
        dHead: fc.constantFrom(1, 6, 16, 33),
      };
      fc.assert(
        fc.property(fc.record(sizes), seed, ({ batch, pos, kvHeads, group, dHead }, from) => {
          const random = randoms(from);
          const rows = (heads: number) =>
            tensorOf(floats(batch * pos * heads * dHead, random), [batch, pos, heads, dHead]);
          const inSteps = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) =>
            ops.attentionMix(ops.softmax(ops.attentionScores(q, k)), v);
          tf.tidy(() => {
            const [q, k, v, dz] = [rows(kvHeads * group), rows(kvHeads), rows(kvHeads), rows(kvHeads * group)];
            const joined = tf.grads((...args: tf.Tensor[]) => ops.attention(args[0], args[1], args[2]))([q, k, v], dz);
            const split = tf.grads((...args: tf.Tensor[]) => inSteps(args[0], args[1], args[2]))([q, k, v], dz);
            joined.forEach((gradient, i) =>
              assertSameBits(ops.tensorValues(gradient), ops.tensorValues(split[i]), 'qkv'[i]),
            );
          });
        }),
        { numRuns: 25 },
      );
    });

    test('a tensor that comes in twice has the sum of both gradients', async () => {
      await ops.ready(backend);
      const random = randoms(3);
      const shape = [2, 3, 2, 8];
      const x = floats(96, random);
      const dy = floats(96, random);
      const silu = (value: number) => value / (1 + Math.exp(-value));
      const twice: [string, (x: tf.Tensor) => tf.Tensor, (x: Floats) => Float64Array][] = [
        ['add', (one) => ops.add(one, one), (values) => Float64Array.from(values, (value) => 2 * value)],
        [
          'swiglu',
          (one) => ops.swiglu(one, one),
          (values) => Float64Array.from(values, (value) => silu(value) * value),
        ],
      ];
      for (const [what, op, f] of twice) {
        const gradient = tf.tidy(() => ops.tensorValues(tf.grad(op)(tensorOf(x, shape), tensorOf(dy, shape))).slice());
        assertSlope((values) => f(values.x), { x }, 'x', { dy, gradient, random, what });
      }
      const itself = (...[one]: tf.Tensor[]) => ops.attention(one, one, one);
      tf.tidy(() => {
        const [one, slope] = [tensorOf(x, shape), tensorOf(dy, shape)];
        const [whole] = tf.grads(itself)([one], slope);
        const parts = tf.grads((...[q, k, v]: tf.Tensor[]) => ops.attention(q, k, v))(
          [one, one.clone(), one.clone()],
          slope,
        );
        const sum = parts.map((part) => ops.tensorValues(part)).reduce((a, b) => a.map((value, i) => value + b[i]));
        assertNear(ops.tensorValues(whole), (i) => ({ value: sum[i], size: 1 }), 1e-6, 'attention');
      });
    });

    test('gradients pass between these kernels and those of tfjs, in either order', async () => {
      await ops.ready(backend);
      const random = randoms(5);
      const w = packedMatrix({ outFeatures: 7, inFeatures: 40, groupSize: 16, rule: 'zeros', half: true }, random);
      const back = denseMatrix('bf16', 40, 7, random);
      const x = floats(80, random);
      const net = (one: tf.Tensor): tf.Tensor => {
        const hidden = tf.mul(ops.matmul(tf.mul(one, tf.scalar(0.5)), w), tf.scalar(0.1));
        return tf.sum(tf.square(ops.add(ops.matmul(ops.softmax(hidden), back), one)));
      };
      const value = (values: Floats): number => {
        const weights = weightsTwice(w, back);
        let sum = 0;
        for (let r = 0; r < 2; r++) {
          const row = values.subarray(r * 40, (r + 1) * 40);
          const powers = weights.first.map((line) =>
            Math.exp(line.reduce((total, weight, k) => total + weight * row[k] * 0.05, 0)),
          );
          const all = powers.reduce((a, b) => a + b);
          for (let k = 0; k < 40; k++)
            sum +=
              (weights.second[k].reduce((total, weight, n) => total + (weight * powers[n]) / all, 0) + row[k]) ** 2;
        }
        return sum;
      };
      const gradient = tf.tidy(
        () =>
          tf
            .grad(net)(tensorOf(x, [2, 40]))
            .dataSync()
            .slice() as Float32Array,
      );
      assertSlope((values) => Float64Array.of(value(values.x)), { x }, 'x', {
        dy: Float32Array.of(1),
        gradient,
        random,
        what: 'net',
      });
    });

    test('through cached positions there is none: a typed error', async () => {
      await ops.ready(backend);
      const random = randoms(7);
      const rows = () => tensorOf(floats(16, random), [1, 2, 1, 8]);
      const page = new Float32Array(2 * PAGE_POSITIONS * 8);
      /** The gradients of the three kernels, each after `length` cached positions. */
      const calls = (length: number): [string, () => tf.Tensor[]][] => {
        const past = [{ pages: [page], length, layer: 0 }];
        const pattern = tf.ones([1, 1, 2, 2 + length]);
        return [
          [
            attentionScores.name,
            () => tf.grads((...[q, k]: tf.Tensor[]) => ops.attentionScores(q, k, { past }))([rows(), rows()]),
          ],
          [
            attentionMix.name,
            () => tf.grads((...[p, v]: tf.Tensor[]) => ops.attentionMix(p, v, { past }))([pattern, rows()]),
          ],
          [
            attention.name,
            () => tf.grads((...[q, k, v]: tf.Tensor[]) => ops.attention(q, k, v, { past }))([rows(), rows(), rows()]),
          ],
        ];
      };
      tf.tidy(() => {
        for (const [kernel, gradients] of calls(3)) {
          assert.throws(gradients, (error) => {
            assert.ok(error instanceof GradientError, String(error));
            const found = 'found 3 cached positions of an earlier run, expected all positions in one run';
            assert.equal(error.message, `gradient of attention: ${found} (${kernel})`);
            return true;
          });
        }
        for (const [kernel, gradients] of calls(0)) {
          assert.ok(
            gradients().every((gradient) => gradient.dataSync().every(Number.isFinite)),
            `${kernel}: nothing is cached`,
          );
        }
      });
    });

    test('every kernel with a float input has a gradient, and embedding has none', async () => {
      await ops.ready(backend);
      const covered = new Set([...KERNEL_CASES.map(({ kernel }) => kernel), 'NibbleWatch']);
      const registered = tf.getKernelsForBackend(backend).map(({ kernelName }) => kernelName);
      const ours = registered.filter((name) => name.startsWith('Nibble') && !name.endsWith('Gradient'));
      assert.deepEqual(new Set(ours.filter((name) => name !== embedding.name)), covered);
      for (const name of ours) assert.equal(tf.getGradient(name) === undefined, name === embedding.name, name);
      for (const name of registered.filter((one) => one.startsWith('Nibble') && one.endsWith('Gradient'))) {
        assert.equal(tf.getGradient(name), undefined, name);
      }
    });
  });
}

/** Both matrices as rows of numbers. */
function weightsTwice(first: ReturnType<typeof packedMatrix>, second: ReturnType<typeof denseMatrix>) {
  const rows = (w: typeof first | typeof second) => {
    const all = weightsOf(w);
    return Array.from({ length: w.outFeatures }, (_, n) => [...all.subarray(n * w.inFeatures, (n + 1) * w.inFeatures)]);
  };
  return { first: rows(first), second: rows(second) };
}
