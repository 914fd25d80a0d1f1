import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { plainAllFinite, plainLargest, plainWeightSums, weight } from '../../src/generation/sampler/scan.js';
import { WEIGHT_BLOCK } from '../../src/native/native.js';
import { addon, floats, oddSize, onEachIsa, randoms, seed, shift, withoutAddon } from './support.js';

const logitsOf = fc.record({ count: oddSize(1000), from: seed, by: shift, grain: fc.constantFrom(0.5, 1e-6) });

function makeLogits({ count, from, by, grain }: { count: number; from: number; by: number; grain: number }): Float32Array {
  const logits = floats(count, randoms(from), by);
  for (let id = 0; id < count; id++) logits[id] = Math.round((logits[id] * 20) / grain) * grain; // a coarse grain makes ties
  return logits;
}

test('a weight is e^x', () => {
  for (let x = 0; x > -707; x -= 0.0137) assert.ok(Math.abs(weight(x) / Math.exp(x) - 1) < 1e-13, String(x));
  assert.deepEqual([0, -708.1, -Infinity, NaN].map(weight), [1, 0, 0, 0]);
});

test('the largest are those that sorting would give', () => {
  fc.assert(
    fc.property(logitsOf, fc.double({ min: 0, max: 1, noNaN: true }), (settings, share) => {
      const logits = makeLogits(settings);
      const ids = new Int32Array(Math.max(1, Math.round(share * logits.length)));
      plainLargest(logits, ids);
      const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b);
      assert.deepEqual([...ids], order.slice(0, ids.length));
    }),
    { numRuns: 100 },
  );
});

describe('what the addon takes from logits', { skip: withoutAddon }, () => {
  test('is what TypeScript takes, to the bit', () => {
    fc.assert(
      fc.property(logitsOf, fc.double({ min: 0.01, max: 100, noNaN: true }), (settings, scale) => {
        const logits = makeLogits(settings);
        if (logits.length > 2) logits[1] = -Infinity;
        const [one, all] = [new Int32Array(1), new Int32Array(logits.length)];
        plainLargest(logits, all);
        const most = logits[all[0]];
        const expected = new Float64Array(Math.ceil(logits.length / WEIGHT_BLOCK));
        plainWeightSums(logits, most, scale, expected);
        onEachIsa((isa) => {
          const ids = new Int32Array(logits.length);
          addon().largest(logits, ids);
          addon().largest(logits, one);
          assert.deepEqual(ids, all, isa);
          assert.equal(one[0], all[0], isa);
          const sums = new Float64Array(expected.length).fill(NaN);
          addon().weightSums(logits, most, scale, sums);
          assert.deepEqual(sums, expected, isa);
          assert.equal(addon().allFinite(logits), plainAllFinite(logits), isa);
        });
      }),
      { numRuns: 100 },
    );
  });

  test('does not depend on threads', () => {
    const logits = floats(100_003, randoms(3));
    const { threads } = addon().info();
    try {
      const [one, two] = [1, 2].map((count) => {
        addon().setThreads(count);
        const sums = new Float64Array(Math.ceil(logits.length / WEIGHT_BLOCK));
        addon().weightSums(logits, 1, 3, sums);
        return sums;
      });
      assert.deepEqual(one, two);
    } finally {
      addon().setThreads(threads);
    }
  });

  test('one logit that is not finite is seen, wherever it is', () => {
    const logits = floats(75, randoms(4));
    onEachIsa((isa) => {
      for (let id = 0; id < logits.length; id++) {
        for (const odd of [NaN, Infinity, -Infinity]) {
          const changed = logits.with(id, odd);
          assert.equal(addon().allFinite(changed), false, `${isa}, ${odd} at ${id}`);
          assert.equal(plainAllFinite(changed), false);
        }
      }
      assert.ok(addon().allFinite(logits) && plainAllFinite(logits));
    });
  });
});
