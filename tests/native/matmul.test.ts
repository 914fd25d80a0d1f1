import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fastReference } from '../../src/kernels/matmul.js';
import { packMatrix } from '../../src/matrix/pack.js';
import { CODE_BITS } from '../../src/matrix/panels.js';
import type { DenseStorage, Mode, PackedStorage } from '../../src/matrix/storage.js';
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
  weightsOf,
  withoutAddon,
  type Rule,
} from './support.js';

type Matrix = PackedStorage | DenseStorage;

function multiply(x: Float32Array, rows: number, w: Matrix, bias: Float32Array | null, y: Float32Array, mode: Mode = 'exact') {
  addon().matmul(x, rows, w, bias, mode, y);
}

function multiplyBack(dy: Float32Array, rows: number, w: Matrix, dx: Float32Array): void {
  addon().matmulGradient(dy, rows, w, dx);
}

const packedSizes = fc.record({
  bits: fc.oneof(fc.constant(4 as const), fc.constantFrom(...CODE_BITS)),
  outFeatures: oddSize(70),
  inFeatures: oddSize(513),
  groupSize: fc.constantFrom(1, 3, 16, 17, 32, 64, 96, 128, 256, 513, 1000),
  rule: fc.constantFrom<Rule>('middle', 'zeros', 'offsets'),
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

/** As in the C++ kernels: whether codes are multiplied as integers. */
const hasPanels = ({ bits, inFeatures, groupSize, offsets }: PackedStorage) =>
  groupSize >= inFeatures || groupSize % 32 === 0 || (groupSize === 16 && bits === 6 && offsets === null);

/** Rows up to which the C++ kernels multiply integers in `exact`: more are multiplied as floats. */
const FEW_EXACT_ROWS = 32;

describe('matmul', { skip: withoutAddon }, () => {
  test('is within 1e-5 of float64 loops, forward and back, on every instruction set', () => {
    fc.assert(
      fc.property(matrix, fc.integer({ min: 1, max: 20 }), fc.boolean(), seed, shift, (make, rows, hasBias, from, by) => {
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

  test('in fast is within 1e-5 of the reference, whose activations are rounded in the same way', () => {
    fc.assert(
      fc.property(packedSizes, fc.integer({ min: 1, max: 20 }), seed, shift, (sizes, rows, from, by) => {
        const random = randoms(from);
        const w = packedMatrix(sizes, random, by);
        const x = floats(rows * w.inFeatures, random, by);
        const expected = room(rows * w.outFeatures);
        fastReference(x, rows, w, null, expected);
        const exact = product(x, w, null);
        onEachIsa((isa) => {
          const y = room(rows * w.outFeatures, by);
          multiply(x, rows, w, null, y, 'fast');
          if (hasPanels(w)) {
            assertNear(y, (i) => ({ value: expected[i], size: 2 * exact(i).size }), 1e-5, `y on ${isa}`);
          } else assertNear(y, exact, 1e-5, `y on ${isa}, where weights are decoded and activations left alone`);
        });
      }),
      { numRuns: 120 },
    );
  });

  test('gives a row the same bits among as many others, of packed weights also alone, on any number of threads', () => {
    const { threads } = addon().info();
    const mode = fc.constantFrom<Mode>('exact', 'fast');
    try {
      fc.assert(
        fc.property(matrix, mode, fc.integer({ min: 2, max: 40 }), seed, (make, mode, rows, from) => {
          const random = randoms(from);
          const w = make(random, 0);
          const x = floats(rows * w.inFeatures, random);
          const dy = floats(rows * w.outFeatures, random);
          onEachIsa((isa) => {
            const y = room(rows * w.outFeatures);
            const dx = room(rows * w.inFeatures);
            addon().setThreads(1);
            multiply(x, rows, w, null, y, mode);
            multiplyBack(dy, rows, w, dx);
            for (const count of [2, 3]) {
              addon().setThreads(count);
              const again = room(y.length);
              multiply(x, rows, w, null, again, mode);
              assertSameBits(again, y, `y on ${isa}, ${count} threads`);
              const back = room(dx.length);
              multiplyBack(dy, rows, w, back);
              assertSameBits(back, dx, `dx on ${isa}, ${count} threads`);
            }
            // the last row in the place of the first
            const turned = Float32Array.from(x, (_, i) => x[(i + (rows - 1) * w.inFeatures) % x.length]);
            const other = room(y.length, 1);
            multiply(turned, rows, w, null, other, mode);
            const last = y.slice((rows - 1) * w.outFeatures);
            assertSameBits(other.slice(0, w.outFeatures), last, `last row on ${isa}`);
            if (w.kind === 'dense' || (mode === 'exact' && rows > FEW_EXACT_ROWS)) return;
            const alone = room(w.outFeatures);
            multiply(x.subarray((rows - 1) * w.inFeatures), 1, w, null, alone, mode);
            assertSameBits(alone, last, `last row alone on ${isa}`);
          });
        }),
        { numRuns: 40 },
      );
    } finally {
      addon().setThreads(threads);
    }
  });

  test('holds the bound where a huge activation stands beside weights of zero and small ones do not', () => {
    const codes = new Uint8Array(3 * 512).fill(14);
    codes.fill(8, 0, 32);
    for (let n = 0; n < 3; n++) codes.set([8, 9], n * 512); // weights 0 and 1 at inputs 0 and 1
    const scales = new Uint16Array(3 * 16).fill(0x3c00);
    const w = packMatrix({ outFeatures: 3, inFeatures: 512, groupSize: 32, codes, scales });
    for (const huge of [1, 1e3, 1e10, 1e30, 3e38]) {
      const x = new Float32Array(512);
      x.set([huge, 1.2345678e-4, -3.3e-9]);
      onEachIsa((isa) => {
        const y = room(3);
        multiply(x, 1, w, null, y);
        assertNear(y, product(x, w, null), 1e-5, `${isa}, ${huge}`);
      });
    }
  });

  test('makes no number of a row with none, whatever the kernel', () => {
    for (const rows of [1, 3, 20]) {
      const w = packedMatrix({ outFeatures: 5, inFeatures: 96, groupSize: 32, rule: 'zeros', half: true }, randoms(3));
      for (const mode of ['exact', 'fast'] as const) {
        for (const bad of [NaN, Infinity, -Infinity]) {
          const x = floats(rows * 96, randoms(4)).slice();
          x[40] = bad;
          onEachIsa((isa) => {
            const y = room(rows * 5);
            multiply(x, rows, w, null, y, mode);
            assert(y.subarray(0, 5).every((value) => !Number.isFinite(value)), `${isa} ${mode} ${bad}: ${y}`);
            assert(y.subarray(5).every((value) => Number.isFinite(value)), `${isa} ${mode} ${bad}: ${y}`);
          });
        }
      }
    }
  });

  test('takes 1 to 512 rows, with ⟨dy, x·Wᵀ⟩ = ⟨dy·W, x⟩', () => {
    const random = randoms(5);
    for (const rows of [1, 2, 3, 4, 5, 127, 128, 129, 512]) {
      const w = packedMatrix({ outFeatures: 77, inFeatures: 288, groupSize: 32, rule: 'zeros', half: true }, random);
      const x = floats(rows * 288, random);
      const dy = floats(rows * 77, random);
      const [y, dx] = [room(rows * 77), room(rows * 288)];
      multiply(x, rows, w, null, y);
      multiplyBack(dy, rows, w, dx);
      const [forward, back] = [inner(dy, y), inner(dx, x)];
      assert(Math.abs(forward - back) < 1e-3 * Math.sqrt(rows), `${rows} rows: ${forward} and ${back}`);
      assertNear(y.subarray((rows - 1) * 77), product(x.subarray((rows - 1) * 288), w, null), 1e-5, `${rows} rows`);
    }
  });

  test('holds the bound where all terms have one sign and the group is the whole row', () => {
    const w = packedMatrix({ outFeatures: 3, inFeatures: 14336, groupSize: 14336, rule: 'middle', half: true }, () => 0.99);
    const x = new Float32Array(14336).fill(1.1);
    onEachIsa((isa) => {
      const y = room(3);
      multiply(x, 1, w, null, y);
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
      multiply(x, 1, cancelling, null, y);
      assertNear(y, product(x, cancelling, null), 1e-5, isa);
    });
  });

  test('reads every code in its place', () => {
    for (const bits of CODE_BITS) {
      for (const rows of [1, 20]) {
        for (let k = 0; k < 290; k += 7) {
          const sizes = { bits, outFeatures: 16, inFeatures: 290, groupSize: 290 } as const;
          const codes = new Uint8Array(16 * 290);
          for (let n = 0; n < 16; n++) codes[n * 290 + k] = n % 2 ** bits;
          const w = packMatrix({ ...sizes, codes, scales: new Uint16Array(16).fill(0x3c00) });
          const x = new Float32Array(rows * 290);
          x[(rows - 1) * 290 + k] = 1;
          for (const mode of ['exact', 'fast'] as const) {
            const y = room(rows * 16);
            multiply(x, rows, w, null, y, mode);
            const expected = Array.from({ length: 16 }, (_, n) => (n % 2 ** bits) - 2 ** (bits - 1));
            const found = Array.from(y.subarray((rows - 1) * 16), (value) => Math.round(value) + 0);
            assert.deepEqual(found, expected, `${bits} bits, ${mode}, input ${k}`);
          }
        }
      }
    }
  });

  test('embedding copies rows', () => {
    fc.assert(
      fc.property(matrix, seed, shift, (make, from, by) => {
        const random = randoms(from);
        const table = make(random, by);
        const weights = weightsOf(table);
        const ids = Int32Array.from({ length: 5 }, () => Math.floor(random() * table.outFeatures));
        onEachIsa(() => {
          const y = room(5 * table.inFeatures, by);
          addon().embedding(ids, table, y);
          y.forEach((value, i) => {
            const expected = weights[ids[Math.floor(i / table.inFeatures)] * table.inFeatures + (i % table.inFeatures)];
            assert(Math.abs(value - expected) <= 2 ** -23 * Math.abs(expected), `${value}, expected ${expected}`);
          });
        });
      }),
      { numRuns: 50 },
    );
  });
});
