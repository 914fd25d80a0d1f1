import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { klDivergence, logSoftmax, topIds } from '../../src/lens/distributions.js';

const logits = fc
  .array(fc.float({ min: -30, max: 30, noNaN: true }), { minLength: 1, maxLength: 60 })
  .map((values) => Float32Array.from(values));
const pair = fc
  .array(fc.tuple(fc.float({ min: -8, max: 8, noNaN: true }), fc.float({ min: -8, max: 8, noNaN: true })), {
    minLength: 1,
    maxLength: 60,
  })
  .map((both) => [0, 1].map((side) => Float32Array.from(both, (one) => one[side])));

/** p by the definition, in float64. */
function probabilities(values: Float32Array): number[] {
  const powers = Array.from(values, Math.exp);
  const total = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / total);
}

describe('logSoftmax', () => {
  test('is ln p', () => {
    fc.assert(
      fc.property(logits, (values) => {
        const expected = probabilities(values).map(Math.log);
        logSoftmax(values).forEach((value, i) =>
          assert.ok(Math.abs(value - expected[i]) <= 1e-6 * (1 + Math.abs(expected[i]))),
        );
      }),
      { numRuns: 200 },
    );
  });

  test('holds for logits that e^x cannot', () => {
    assert.deepEqual([...logSoftmax(Float32Array.of(1000, 0))], [0, -1000]);
    assert.deepEqual([...logSoftmax(Float32Array.of(-1000, -1000))], [Math.fround(-Math.LN2), Math.fround(-Math.LN2)]);
    assert.deepEqual([...logSoftmax(Float32Array.of(0, -Infinity))], [0, -Infinity]);
  });
});

describe('klDivergence', () => {
  test('is Σ p·ln(p / q)', () => {
    fc.assert(
      fc.property(pair, ([a, b]) => {
        const [p, q] = [probabilities(a), probabilities(b)];
        const expected = p.reduce((sum, value, i) => sum + value * Math.log(value / q[i]), 0);
        assert.ok(Math.abs(klDivergence(logSoftmax(a), logSoftmax(b)) - expected) <= 2e-6 * (1 + expected));
      }),
      { numRuns: 200 },
    );
  });

  test('is 0 for the same, and never less', () => {
    fc.assert(
      fc.property(
        pair,
        ([a, b]) => klDivergence(logSoftmax(a), logSoftmax(a)) === 0 && klDivergence(logSoftmax(a), logSoftmax(b)) >= 0,
      ),
    );
  });

  test('what p cannot give does not count; what q alone cannot give is infinite', () => {
    const never = Float32Array.of(Math.log(0.5), Math.log(0.5), -Infinity);
    const may = Float32Array.of(Math.log(0.25), Math.log(0.25), Math.log(0.5));
    assert.ok(Math.abs(klDivergence(never, may) - Math.LN2) < 1e-6);
    assert.equal(klDivergence(never, never), 0);
    assert.equal(klDivergence(may, never), Infinity);
  });
});

describe('topIds', () => {
  test('are the first of all, sorted: the lower id among equals', () => {
    const few = fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 40 }).map((values) => Float32Array.from(values));
    fc.assert(
      fc.property(few, fc.integer({ min: 0, max: 50 }), (values, count) => {
        const sorted = [...values.keys()].sort((a, b) => values[b] - values[a] || a - b);
        assert.deepEqual(topIds(values, count), sorted.slice(0, count));
      }),
      { numRuns: 300 },
    );
  });
});
