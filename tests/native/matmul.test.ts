import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { DenseStorage, PackedStorage } from '../../src/matrix/storage.js';
import {
  addon,
  assertNear,
  assertSameBits,
  denseMatrix,
  floats,
  inner,
  oddSize,
  onEachIsa,
  packedMatrix,
  randoms,
  room,
  seed,
  shift,
  weightAt,
  weightsOf,
  withoutAddon,
  type Rule,
} from './support.js';

type Matrix = PackedStorage | DenseStorage;

function multiply(x: Float32Array, rows: number, w: Matrix, bias: Float32Array | null, y: Float32Array): void {
  if (w.kind === 'packed') addon().matmulPacked(x, rows, w, bias, y);
  else addon().matmulDense(x, rows, w, bias, y);
}

function multiplyBack(dy: Float32Array, rows: number, w: Matrix, dx: Float32Array): void {
  if (w.kind === 'packed') addon().matmulPackedGradient(dy, rows, w, dx);
  else addon().matmulDenseGradient(dy, rows, w, dx);
}

const packedSizes = fc.record({
  outFeatures: oddSize(70),
  inFeatures: oddSize(513),
  groupSize: fc.constantFrom(1, 3, 16, 17, 32, 64, 96, 128, 513, 1000),
  rule: fc.constantFrom<Rule>('eight', 'zeros', 'offsets'),
  half: fc.boolean(),
});
const denseSizes = fc.record({
  outFeatures: oddSize(70),
  inFeatures: oddSize(300),
  dtype: fc.constantFrom<DenseStorage['dtype']>('f32', 'f16', 'bf16'),
});
const matrix: fc.Arbitrary<(random: () => number, shift: number) => Matrix> = fc.oneof(
  { weight: 2, arbitrary: packedSizes.map((sizes) => (random: () => number, by: number) => packedMatrix(sizes, random, by)) },
  {
    weight: 1,
    arbitrary: denseSizes.map(({ dtype, outFeatures, inFeatures }) => (random: () => number, by: number) => {
      return denseMatrix(dtype, outFeatures, inFeatures, random, by);
    }),
  },
);

/** y[r, n] and dx[r, k] in float64, with the sizes Σ|w·x| that the bound is relative to. */
function product(x: Float32Array, w: Matrix, bias: Float32Array | null) {
  const weights = weightsOf(w);
  return (index: number) => {
    const [r, n] = [Math.floor(index / w.outFeatures), index % w.outFeatures];
    let value = bias ? bias[n] : 0;
    let size = Math.abs(value);
    for (let k = 0; k < w.inFeatures; k++) {
      const term = weights[n * w.inFeatures + k] * x[r * w.inFeatures + k];
      value += term;
      size += Math.abs(term);
    }
    return { value, size };
  };
}

function productBack(dy: Float32Array, w: Matrix) {
  const weights = weightsOf(w);
  return (index: number) => {
    const [r, k] = [Math.floor(index / w.inFeatures), index % w.inFeatures];
    let value = 0;
    let size = 0;
    for (let n = 0; n < w.outFeatures; n++) {
      const term = weights[n * w.inFeatures + k] * dy[r * w.outFeatures + n];
      value += term;
      size += Math.abs(term);
    }
    return { value, size };
  };
}

describe('matmul', { skip: withoutAddon }, () => {
  test('is within 1e-5 of float64 loops, forward and back, on every instruction set', () => {
    fc.assert(
      fc.property(matrix, fc.integer({ min: 1, max: 9 }), fc.boolean(), seed, shift, (make, rows, hasBias, from, by) => {
        const random = randoms(from);
        const w = make(random, by);
        const x = floats(rows * w.inFeatures, random, by);
        const dy = floats(rows * w.outFeatures, random, by);
        const bias = hasBias ? floats(w.outFeatures, random, by) : null;
        onEachIsa((isa) => {
          const y = room(rows * w.outFeatures, by);
          multiply(x, rows, w, bias, y);
          assertNear(y, product(x, w, bias), 1e-5, `y on ${isa}`);
          const dx = room(rows * w.inFeatures, by);
          multiplyBack(dy, rows, w, dx);
          assertNear(dx, productBack(dy, w), 1e-5, `dx on ${isa}`);
        });
      }),
      { numRuns: 120 },
    );
  });

  test('gives a row the same bits alone and among others, on any number of threads', () => {
    const { threads } = addon().info();
    try {
      fc.assert(
        fc.property(matrix, fc.integer({ min: 2, max: 40 }), seed, (make, rows, from) => {
          const random = randoms(from);
          const w = make(random, 0);
          const x = floats(rows * w.inFeatures, random);
          const dy = floats(rows * w.outFeatures, random);
          onEachIsa((isa) => {
            const y = room(rows * w.outFeatures);
            const dx = room(rows * w.inFeatures);
            addon().setThreads(1);
            multiply(x, rows, w, null, y);
            multiplyBack(dy, rows, w, dx);
            for (const count of [2, 3]) {
              addon().setThreads(count);
              const again = room(y.length);
              multiply(x, rows, w, null, again);
              assertSameBits(again, y, `y on ${isa}, ${count} threads`);
              const back = room(dx.length);
              multiplyBack(dy, rows, w, back);
              assertSameBits(back, dx, `dx on ${isa}, ${count} threads`);
            }
            for (let r = 0; r < rows; r++) {
              const single = room(w.outFeatures, 1);
              multiply(x.slice(r * w.inFeatures, (r + 1) * w.inFeatures), 1, w, null, single);
              assertSameBits(single, y.slice(r * w.outFeatures, (r + 1) * w.outFeatures), `row ${r} on ${isa}`);
            }
          });
        }),
        { numRuns: 40 },
      );
    } finally {
      addon().setThreads(threads);
    }
  });

  test('takes 1 to 512 rows, with ⟨dy, x·Wᵀ⟩ = ⟨dy·W, x⟩', () => {
    const random = randoms(5);
    for (const rows of [1, 2, 3, 4, 5, 127, 128, 129, 512]) {
      const w = packedMatrix({ outFeatures: 77, inFeatures: 288, groupSize: 32, rule: 'zeros', half: true }, random);
      const x = floats(rows * 288, random);
      const dy = floats(rows * 77, random);
      const [y, dx] = [room(rows * 77), room(rows * 288)];
      addon().matmulPacked(x, rows, w, null, y);
      addon().matmulPackedGradient(dy, rows, w, dx);
      const [forward, back] = [inner(dy, y), inner(dx, x)];
      assert(Math.abs(forward - back) < 1e-3 * Math.sqrt(rows), `${rows} rows: ${forward} and ${back}`);
      assertNear(y.subarray((rows - 1) * 77), product(x.subarray((rows - 1) * 288), w, null), 1e-5, `${rows} rows`);
    }
  });

  test('holds the bound where all terms have one sign and the group is the whole row', () => {
    const w = packedMatrix({ outFeatures: 3, inFeatures: 14336, groupSize: 14336, rule: 'eight', half: true }, () => 0.99);
    const x = new Float32Array(14336).fill(1.1);
    onEachIsa((isa) => {
      const y = room(3);
      addon().matmulPacked(x, 1, w, null, y);
      assertNear(y, product(x, w, null), 1e-5, isa);
    });
  });

  test('holds the bound where offsets cancel the codes', () => {
    const sizes = { outFeatures: 5, inFeatures: 257, groupSize: 64, rule: 'offsets', half: false } as const;
    const w = packedMatrix(sizes, randoms(3));
    const cancelling = { ...w, offsets: (w.scales as Float32Array).map((scale) => Math.fround(-7 * scale)) };
    const x = floats(257, randoms(4));
    onEachIsa((isa) => {
      const y = room(5);
      addon().matmulPacked(x, 1, cancelling, null, y);
      assertNear(y, product(x, cancelling, null), 1e-5, isa);
    });
  });

  test('reads every code in its place', () => {
    for (let k = 0; k < 70; k++) {
      const w = packedMatrix({ outFeatures: 16, inFeatures: 70, groupSize: 70, rule: 'eight', half: true }, () => 0);
      w.scales.fill(0x3c00);
      for (let n = 0; n < 16; n++) w.codes[n * w.rowBytes + (k >> 1)] |= n << (k % 2 === 0 ? 0 : 4);
      const x = new Float32Array(70);
      x[k] = 1;
      const y = room(16);
      addon().matmulPacked(x, 1, w, null, y);
      assert.deepEqual([...y], Array.from({ length: 16 }, (_, n) => n - 8));
    }
  });

  test('embedding copies rows', () => {
    fc.assert(
      fc.property(denseSizes, seed, shift, ({ dtype, outFeatures, inFeatures }, from, by) => {
        const random = randoms(from);
        const table = denseMatrix(dtype, outFeatures, inFeatures, random, by);
        const ids = Int32Array.from({ length: 5 }, () => Math.floor(random() * outFeatures));
        onEachIsa(() => {
          const y = room(5 * inFeatures, by);
          addon().embedding(ids, table, y);
          y.forEach((value, i) => {
            assert.equal(value, weightAt(table, ids[Math.floor(i / inFeatures)], i % inFeatures));
          });
        });
      }),
      { numRuns: 50 },
    );
  });
});
