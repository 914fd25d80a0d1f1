import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { addon, assertNear, assertSameBits, floats, oddSize, onEachIsa, randoms, room, seed, shift, withoutAddon } from './support.js';

const rowsAndColumns = fc.record({ rows: fc.integer({ min: 1, max: 7 }), columns: oddSize(300), from: seed, by: shift });
const EPS = 1e-5;

function normScale(x: Float32Array, row: number, columns: number): number {
  let squares = 0;
  for (let k = 0; k < columns; k++) squares += x[row * columns + k] ** 2;
  return Math.sqrt(squares / columns + EPS);
}

const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));

/** Σ dy·f(x) for finite differences. */
const slope = (f: (x: Float64Array) => number, x: Float32Array, i: number, step = 1e-5): number => {
  const moved = (by: number) => Float64Array.from(x, (value, j) => (j === i ? value + by : value));
  return (f(moved(step)) - f(moved(-step))) / (2 * step);
};

describe('rmsNorm', { skip: withoutAddon }, () => {
  test('is x / √(mean x² + eps)·gain, and has the bits of its three parts', () => {
    fc.assert(
      fc.property(rowsAndColumns, ({ rows, columns, from, by }) => {
        const random = randoms(from);
        const x = floats(rows * columns, random, by);
        const gain = floats(columns, random, by);
        onEachIsa((isa) => {
          const [y, normalized, inParts, scale] = [room(x.length, by), room(x.length), room(x.length), room(rows)];
          addon().rmsNorm(x, rows, gain, EPS, y);
          addon().rmsNormScale(x, rows, EPS, scale);
          addon().divideRows(x, scale, normalized);
          addon().multiplyColumns(normalized, gain, inParts);
          assertSameBits(inParts, y, isa);
          assertNear(y, (i) => {
            const value = (x[i] / normScale(x, Math.floor(i / columns), columns)) * gain[i % columns];
            return { value, size: Math.abs(value) };
          }, 1e-6, isa);
        });
      }),
      { numRuns: 100 },
    );
  });

  test('has the gradient of finite differences', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 19 }), seed, (rows, columns, from) => {
        const random = randoms(from);
        const [x, dy] = [floats(rows * columns, random), floats(rows * columns, random)];
        const gain = floats(columns, random);
        const value = (at: Float64Array) => {
          let sum = 0;
          for (let r = 0; r < rows; r++) {
            let squares = 0;
            for (let k = 0; k < columns; k++) squares += at[r * columns + k] ** 2;
            const scale = Math.sqrt(squares / columns + 0.1);
            for (let k = 0; k < columns; k++) sum += (dy[r * columns + k] * gain[k] * at[r * columns + k]) / scale;
          }
          return sum;
        };
        onEachIsa((isa) => {
          const dx = room(x.length);
          addon().rmsNormGradient(x, rows, gain, 0.1, dy, dx);
          assertNear(dx, (i) => ({ value: slope(value, x, i), size: 10 }), 1e-6, isa);
        });
      }),
      { numRuns: 60 },
    );
  });
});

describe('softmax', { skip: withoutAddon }, () => {
  test('is e^x over its sum; −∞ gives 0, and only −∞ gives zeros', () => {
    fc.assert(
      fc.property(rowsAndColumns, ({ rows, columns, from, by }) => {
        const random = randoms(from);
        const x = floats(rows * columns, random, by).map((value) => (value < -0.9 ? -Infinity : value * 20));
        onEachIsa((isa) => {
          const y = room(x.length, by);
          addon().softmax(x, columns, y);
          assertNear(y, (i) => {
            const first = i - (i % columns);
            let sum = 0;
            for (let k = 0; k < columns; k++) sum += Math.exp(x[first + k]);
            const value = sum === 0 ? 0 : Math.exp(x[i]) / sum;
            return { value, size: value };
          }, 3e-6, isa);
        });
      }),
      { numRuns: 100 },
    );
  });

  test('keeps its bits when columns of −∞ follow', () => {
    fc.assert(
      fc.property(oddSize(300), fc.integer({ min: 1, max: 100 }), seed, (columns, more, from) => {
        const x = floats(columns, randoms(from));
        const longer = new Float32Array(columns + more).fill(-Infinity);
        longer.set(x);
        onEachIsa((isa) => {
          const [y, z] = [room(columns), room(columns + more)];
          addon().softmax(x, columns, y);
          addon().softmax(longer, columns + more, z);
          assertSameBits(z.subarray(0, columns), y, isa);
          assert(z.subarray(columns).every((value) => value === 0));
        });
      }),
      { numRuns: 100 },
    );
  });

  test('has a gradient that is orthogonal to ones, and that of finite differences', () => {
    fc.assert(
      fc.property(oddSize(40), seed, (columns, from) => {
        const random = randoms(from);
        const [x, dy] = [floats(columns, random), floats(columns, random)];
        const value = (at: Float64Array) => {
          const sum = at.reduce((total, one) => total + Math.exp(one), 0);
          return at.reduce((total, one, i) => total + (dy[i] * Math.exp(one)) / sum, 0);
        };
        onEachIsa((isa) => {
          const [y, dx] = [room(columns), room(columns)];
          addon().softmax(x, columns, y);
          addon().softmaxGradient(y, columns, dy, dx);
          assertNear(dx, (i) => ({ value: slope(value, x, i), size: 1 }), 1e-6, isa);
        });
      }),
      { numRuns: 60 },
    );
  });
});

describe('rope', { skip: withoutAddon }, () => {
  test('turns pairs (i, i + dHead / 2), and back', () => {
    const sizes = fc.record({ rows: fc.integer({ min: 1, max: 5 }), heads: fc.integer({ min: 1, max: 3 }), half: oddSize(40) });
    fc.assert(
      fc.property(sizes, seed, shift, ({ rows, heads, half }, from, by) => {
        const random = randoms(from);
        const dHead = 2 * half;
        const x = floats(rows * heads * dHead, random, by);
        const angles = floats(9 * half, random);
        const cos = angles.map(Math.cos);
        const sin = angles.map(Math.sin);
        const positions = Int32Array.from({ length: rows }, () => Math.floor(random() * 9));
        onEachIsa((isa) => {
          const [y, back] = [room(x.length, by), room(x.length)];
          addon().rope(x, heads, dHead, positions, cos, sin, 1, y);
          assertNear(y, (index) => {
            const place = index % dHead;
            const at = positions[Math.floor(index / (heads * dHead))] * half + (place % half);
            const value = place < half ? x[index] * cos[at] - x[index + half] * sin[at] : x[index] * cos[at] + x[index - half] * sin[at];
            return { value, size: 2 };
          }, 2e-7, isa);
          addon().rope(y, heads, dHead, positions, cos, sin, -1, back);
          assertNear(back, (i) => ({ value: x[i], size: 2 }), 3e-7, isa);
        });
      }),
      { numRuns: 80 },
    );
  });
});

describe('swiglu and add', { skip: withoutAddon }, () => {
  test('swiglu is gate·σ(gate)·up with its derivatives, over float32’s whole range', () => {
    fc.assert(
      fc.property(oddSize(300), fc.constantFrom(1, 10, 100, 1000), seed, shift, (count, range, from, by) => {
        const random = randoms(from);
        const gate = floats(count, random, by).map((value) => value * range);
        const [up, dy] = [floats(count, random, by), floats(count, random, by)];
        onEachIsa((isa) => {
          const [y, dgate, dup] = [room(count, by), room(count, by), room(count)];
          addon().swiglu(gate, up, y);
          addon().swigluGradient(gate, up, dy, dgate, dup);
          const near = (found: Float32Array, value: (i: number) => number) =>
            assertNear(found, (i) => ({ value: value(i), size: Math.abs(value(i)) + 1e-30 + Math.abs(gate[i]) * 1e-2 }), 2e-6, isa);
          near(y, (i) => gate[i] * sigmoid(gate[i]) * up[i]);
          near(dgate, (i) => dy[i] * up[i] * sigmoid(gate[i]) * (1 + gate[i] * (1 - sigmoid(gate[i]))));
          near(dup, (i) => dy[i] * gate[i] * sigmoid(gate[i]));
        });
      }),
      { numRuns: 80 },
    );
  });

  test('an element has the same bits in a full vector and in a tail', () => {
    const gate = floats(33, randoms(1));
    const up = floats(33, randoms(2));
    onEachIsa((isa) => {
      const whole = room(33);
      addon().swiglu(gate, up, whole);
      for (let i = 0; i < 33; i++) {
        const single = room(1);
        addon().swiglu(gate.slice(i, i + 1), up.slice(i, i + 1), single);
        assertSameBits(single, whole.slice(i, i + 1), isa);
      }
    });
  });

  test('add adds, in float32', () => {
    const [a, b] = [floats(10_001, randoms(1), 1), floats(10_001, randoms(2), 2)];
    onEachIsa(() => {
      const y = room(10_001, 3);
      addon().add(a, b, y);
      y.forEach((value, i) => assert.equal(value, Math.fround(a[i] + b[i])));
    });
  });
});
