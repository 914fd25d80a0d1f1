import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { tensor, tidy } from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { embedding, embeddingReference } from '../../src/kernels/embedding.js';
import { runKernel } from '../../src/kernels/run.js';
import type { DenseStorage } from '../../src/matrix/storage.js';
import { native } from '../../src/native/native.js';
import { ready, tensorValues } from '../../src/ops/index.js';
import {
  assertNear,
  assertSameBits,
  denseMatrix,
  oddSize,
  randoms,
  room,
  seed,
  shift,
  weightsOf,
} from '../native/support.js';
import { TEST_BACKENDS } from '../support/backends.js';
import { KERNEL_CASES, type KernelCase } from './cases/index.js';

const implementation = native() ? 'native' : 'TypeScript';
const RUNS = native() ? 60 : 20;

/** Runs a case through tfjs. */
function outputOf({ kernel, inputs, attributes, shape }: KernelCase): Float32Array {
  return tidy(() => {
    const tensors = Object.entries(inputs).map(([name, input]) => [
      name,
      tensor(input.values, [...input.shape], 'float32'),
    ]);
    const y = runKernel(kernel, Object.fromEntries(tensors), attributes);
    assert.deepEqual(y.shape, shape);
    return tensorValues(y);
  });
}

function assertDefined(found: Float32Array, one: KernelCase, bound: number, what: string): void {
  const expected = one.define(
    Object.fromEntries(Object.entries(one.inputs).map(([name, { values }]) => [name, values])),
  );
  assert.equal(found.length, expected.length, what);
  assertNear(found, (i) => ({ value: expected[i], size: one.size(i) }), bound, what);
}

for (const { name: backend, skip } of TEST_BACKENDS) {
  describe(`${implementation} kernels on ${backend}`, { skip }, () => {
    for (const { kernel, cases } of KERNEL_CASES) {
      test(`${kernel} is its equation, and leaves its inputs as they are`, async () => {
        await ready(backend);
        fc.assert(
          fc.property(cases, (one) => {
            const before = Object.values(one.inputs).map(({ values }) => values.slice());
            const found = outputOf(one);
            assertDefined(found, one, 1e-5, kernel);
            if (one.reference) {
              const reference = room(found.length);
              one.reference(reference);
              assertNear(
                found,
                (i) => ({ value: reference[i], size: one.size(i) }),
                1e-5,
                `${kernel} and its reference`,
              );
            }
            Object.values(one.inputs).forEach(({ values }, i) => assertSameBits(values, before[i], 'an input'));
          }),
          { numRuns: RUNS },
        );
      });
    }

    test(`${embedding.name} copies rows of its table`, async () => {
      await ready(backend);
      fc.assert(
        fc.property(
          oddSize(70),
          oddSize(300),
          fc.constantFrom<DenseStorage['dtype']>('f32', 'f16', 'bf16'),
          seed,
          shift,
          (vocab, d, dtype, from, by) => {
            const random = randoms(from);
            const table = denseMatrix(dtype, vocab, d, random, by);
            const ids = Int32Array.from({ length: 6 }, () => Math.floor(random() * vocab));
            const found = tidy(() => {
              const y = runKernel(embedding.name, { ids: tensor(ids, [2, 3], 'int32') }, { table });
              assert.deepEqual(y.shape, [2, 3, d]);
              return tensorValues(y);
            });
            const reference = room(found.length, by);
            embeddingReference(ids, table, reference);
            const weights = weightsOf(table);
            found.forEach((value, i) => assert.equal(value, weights[ids[Math.floor(i / d)] * d + (i % d)]));
            assertSameBits(reference, found, 'reference');
          },
        ),
        { numRuns: RUNS },
      );
    });
  });
}

describe('references', () => {
  for (const { kernel, cases } of KERNEL_CASES) {
    test(`that of ${kernel} is its equation, rounded`, () => {
      fc.assert(
        fc.property(cases, shift, (one, by) => {
          if (!one.reference) return;
          const y = room(
            one.shape.reduce((a, b) => a * b),
            by,
          );
          one.reference(y);
          assertDefined(y, one, 1e-6, kernel);
        }),
        { numRuns: 60 },
      );
    });
  }
});
