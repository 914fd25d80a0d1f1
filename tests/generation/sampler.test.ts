import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { OptionError } from '../../src/base/errors.js';
import { probabilities, type Candidates } from '../../src/generation/sampler/candidates.js';
import { Sampler, type SamplerOptions } from '../../src/generation/sampler/chain.js';
import { leading } from '../../src/generation/sampler/leading.js';
import { logitBias } from '../../src/generation/sampler/logit-bias.js';
import { minP, minPOfAll } from '../../src/generation/sampler/min-p.js';
import { presenceFrequencyPenalty } from '../../src/generation/sampler/presence-frequency-penalty.js';
import { freshSeed, seededRandom } from '../../src/generation/sampler/random.js';
import { repetitionPenalty } from '../../src/generation/sampler/repetition-penalty.js';
import { temperature } from '../../src/generation/sampler/temperature.js';
import { TokenCounts } from '../../src/generation/sampler/token-counts.js';
import { topK } from '../../src/generation/sampler/top-k.js';
import { topP, topPOfAll } from '../../src/generation/sampler/top-p.js';
import { typicalP } from '../../src/generation/sampler/typical-p.js';
import { native } from '../../src/native/native.js';
import { runInProcess } from '../support/process.js';
import { draws, likeLogits, PLAIN } from './draws.js';

const of = (...logits: number[]): Candidates => ({
  ids: Int32Array.from(logits, (_, i) => i * 10),
  logits: Float32Array.from(logits),
});
const logOf = (...p: number[]): Candidates => of(...p.map(Math.log));
const floats = (values: Float32Array): number[] => [...values];

describe('sampler steps', () => {
  test('repetition penalty divides positive logits and multiplies negative ones', () => {
    const logits = Float32Array.of(2, -2, 3, 0);
    const seen = new Map([[0, 5], [1, 1], [3, 1]]);
    repetitionPenalty(logits, seen, 2);
    assert.deepEqual(floats(logits), [1, -4, 3, 0]);
  });

  test('presence and frequency penalties', () => {
    const counts = new Map([[0, 2], [2, 1]]);
    const logits = Float32Array.of(5, 5, 5);
    presenceFrequencyPenalty(logits, counts, 0.5, 0.25);
    assert.deepEqual(floats(logits), [4, 5, 4.25]);
  });

  test('logit bias adds, rules out, and forces', () => {
    const biased = (bias: Map<number, number>): number[] => {
      const logits = Float32Array.of(1, 2, 3);
      logitBias(logits, bias);
      return floats(logits);
    };
    assert.deepEqual(biased(new Map([[0, 0.5], [2, -Infinity]])), [1.5, 2, -Infinity]);
    assert.deepEqual(biased(new Map([[1, Infinity], [2, 4]])), [-Infinity, 2, -Infinity]);
  });

  test('temperature scales differences from the best', () => {
    assert.deepEqual(floats(temperature(of(1, 3, 2), 0.5).logits), [-4, 0, -2]);
    assert.deepEqual(floats(temperature(of(3, 3, 2), 1e-310).logits), [0, 0, -Infinity]);
  });

  test('top-k, top-p, min-p and typical-p by hand', () => {
    assert.deepEqual([...topK(Float32Array.of(1, 3, 2, 3), 2).ids], [1, 3]);
    assert.deepEqual([...topK(Float32Array.of(3, 3, 3), 2).ids], [0, 1]);
    assert.deepEqual([...topK(Float32Array.of(3, -Infinity, 4), 3).ids], [0, 2]);
    const skewed = logOf(0.1, 0.5, 0.25, 0.15);
    assert.deepEqual([...topP(skewed, 0.45).ids], [10]);
    assert.deepEqual([...topP(skewed, 0.74).ids], [10, 20]);
    assert.deepEqual([...topP(skewed, 0.76).ids], [10, 20, 30]);
    assert.deepEqual([...minP(skewed, 0.29).ids], [10, 20, 30]);
    assert.deepEqual([...minP(skewed, 1).ids], [10]);
    // H = 1.208 nats; surprises 2.303, 0.693, 1.386, 1.897: the third is the most typical one
    assert.deepEqual([...typicalP(skewed, 0.2).ids], [20]);
    assert.deepEqual([...typicalP(skewed, 0.7).ids], [10, 20]);
  });

  test('the leading items are those that sorting would give', () => {
    const item = fc.tuple(fc.integer({ min: -5, max: 5 }), fc.integer({ min: 0, max: 9 }));
    const items = fc.array(item, { maxLength: 300 });
    fc.assert(
      fc.property(items, fc.double({ min: 0.01, max: 1.1, noNaN: true }), (pairs, share) => {
        const keys = Float64Array.from(pairs, ([key]) => key);
        const weights = Float64Array.from(pairs, ([, weight]) => weight);
        const target = share * weights.reduce((sum, weight) => sum + weight, 0);
        const order = [...keys.keys()].sort((a, b) => (keys[a] as number) - (keys[b] as number) || a - b);
        const expected: number[] = [];
        for (let sum = 0; expected.length < order.length && (expected.length === 0 || sum < target); ) {
          const next = order[expected.length] as number;
          sum += weights[next] as number;
          expected.push(next);
        }
        assert.deepEqual([...leading(keys, weights, target)], expected.sort((a, b) => a - b));
      }),
      { numRuns: 500 },
    );
  });

  test('a number of leading items is exact', () => {
    const keys = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 150, size: 'max' });
    fc.assert(
      fc.property(keys, (values) => {
        const order = [...values.keys()].sort((a, b) => (values[a] as number) - (values[b] as number) || a - b);
        for (let count = 1; count <= values.length + 1; count++) {
          const expected = order.slice(0, count).sort((a, b) => a - b);
          assert.deepEqual([...leading(Float64Array.from(values), null, count)], expected);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('token counts forget what leaves the window', () => {
    const counts = new TokenCounts(3);
    for (const id of [7, 7, 8, 9, 7]) counts.add(id);
    assert.deepEqual([...counts.counts].sort(), [[7, 1], [8, 1], [9, 1]]);
  });
});

describe('random numbers', () => {
  test('are those of sfc32', () => {
    // the recurrence once more, in 32-bit arithmetic by BigInt
    const mask = 0xffffffffn;
    let [a, b, c, counter] = [42n, 1n, 0x9e3779b9n, 1n];
    const next = (): bigint => {
      const sum = (a + b + counter) & mask;
      counter = (counter + 1n) & mask;
      a = b ^ (b >> 9n);
      b = (c + (c << 3n)) & mask;
      c = ((((c << 21n) | (c >> 11n)) & mask) + sum) & mask;
      return sum;
    };
    for (let i = 0; i < 15; i++) next();
    const random = seededRandom(42 + 2 ** 32);
    for (let i = 0; i < 100; i++) {
      const expected = Number((next() >> 5n) * 2n ** 26n + (next() >> 6n)) / 2 ** 53;
      assert.equal(random(), expected);
    }
  });

  test('are uniform, and differ between seeds', () => {
    const bins = new Array<number>(16).fill(0);
    const random = seededRandom(3);
    for (let i = 0; i < 16_000; i++) bins[Math.floor(random() * 16)] += 1;
    const chi2 = bins.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    assert.ok(chi2 < 45, `chi² of 15 degrees of freedom: ${chi2}`);
    assert.equal(new Set(Array.from({ length: 100 }, (_, seed) => seededRandom(seed)())).size, 100);
    assert.ok(Number.isInteger(freshSeed()));
  });
});

describe('the chain', () => {
  test('draws by the softmax', () => {
    const logits = Float32Array.from([0.1, 0.2, 0.3, 0.4].map(Math.log));
    const sampler = new Sampler(PLAIN, 5, []);
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 20_000; i++) counts[sampler.next(logits)] += 1;
    counts.forEach((count, i) => assert.ok(Math.abs(count / 20_000 - (i + 1) / 10) < 0.015, String(counts)));
  });

  test('temperature 0 takes the first of the likeliest, whatever the filters', () => {
    const sampler = new Sampler({ ...PLAIN, temperature: 0, topP: 0.1 }, 1, []);
    assert.equal(sampler.next(Float32Array.of(1, 4, 4, 2)), 1);
  });

  test('each filter leaves only what it allows, and the same seed the same draws', () => {
    const logits = Float32Array.from({ length: 50 }, (_, i) => Math.sin(i * 7) * 3);
    const draws = (options: Partial<SamplerOptions>): number[] => {
      const sampler = new Sampler({ ...PLAIN, ...options }, 11, []);
      return Array.from({ length: 300 }, () => sampler.next(logits));
    };
    assert.deepEqual(draws({ topP: 0.8 }), draws({ topP: 0.8 }));
    assert.equal(new Set(draws({ topK: 3 })).size, 3);
    assert.equal(new Set(draws({ topK: 1 })).size, 1);
    const all: Candidates = { ids: Int32Array.from(logits, (_, i) => i), logits };
    const allowed = new Set(minP(topP(all, 0.9), 0.2).ids);
    assert.ok(draws({ topP: 0.9, minP: 0.2 }).every((id) => allowed.has(id)));
    assert.ok(!draws({ logitBias: new Map([[0, -Infinity]]) }).includes(0));
    assert.deepEqual([...new Set(draws({ logitBias: new Map([[9, Infinity]]) }))], [9]);
  });

  test('filters come in the order of transformers: top-k, top-p, min-p, typical-p', () => {
    const p = [0.4, 0.3, 0.15, 0.1, 0.05];
    const all: Candidates = { ids: Int32Array.from(p, (_, i) => i), logits: Float32Array.from(p.map(Math.log)) };
    const drawn = (options: Partial<SamplerOptions>): Set<number> => {
      const sampler = new Sampler({ ...PLAIN, ...options }, 3, []);
      return new Set(Array.from({ length: 400 }, () => sampler.next(all.logits)));
    };
    // pairs in which the other order would leave other tokens
    const pairs: [Partial<SamplerOptions>, Candidates, Candidates][] = [
      [{ topK: 3, topP: 0.8 }, topP(topK(all.logits, 3), 0.8), topP(all, 0.8)],
      [{ topP: 0.8, minP: 0.3 }, minP(topP(all, 0.8), 0.3), topP(minP(all, 0.3), 0.8)],
      [{ topP: 0.8, typicalP: 0.85 }, typicalP(topP(all, 0.8), 0.85), topP(typicalP(all, 0.85), 0.8)],
      [{ minP: 0.35, typicalP: 0.8 }, typicalP(minP(all, 0.35), 0.8), minP(typicalP(all, 0.8), 0.35)],
    ];
    for (const [options, kept, other] of pairs) {
      assert.notDeepEqual([...kept.ids], [...other.ids], `${JSON.stringify(options)} does not tell orders apart`);
      assert.deepEqual([...drawn(options)].sort(), [...kept.ids], JSON.stringify(options));
    }
  });

  test('penalties see the prompt and what was drawn, within their window', () => {
    const logits = Float32Array.of(1, 1.1, 1.2, 1.3);
    const greedy = { ...PLAIN, temperature: 0 };
    const repetition = new Sampler({ ...greedy, repetitionPenalty: 10 }, 1, [3]);
    assert.deepEqual([0, 1, 2].map(() => repetition.next(logits)), [2, 1, 0]);
    const windowed = new Sampler({ ...greedy, repetitionPenalty: 10, repetitionWindow: 1 }, 1, [3]);
    assert.deepEqual([0, 1, 2, 3].map(() => windowed.next(logits)), [2, 3, 2, 3]);
    const presence = new Sampler({ ...greedy, presencePenalty: 5 }, 1, [3]);
    assert.deepEqual([0, 1].map(() => presence.next(logits)), [3, 2]);
  });

  test('what leaves no token, or no number, is an error', () => {
    const none = new Map([[0, -Infinity], [1, -Infinity]]);
    for (const value of [0, 1]) {
      const sampler = new Sampler({ ...PLAIN, temperature: value, logitBias: none }, 1, []);
      assert.throws(() => sampler.next(Float32Array.of(1, 2)), OptionError);
    }
    const huge = new Sampler({ ...PLAIN, logitBias: new Map([[0, 1e300]]) }, 1, []);
    assert.throws(() => huge.next(Float32Array.of(1, 2)), OptionError);
  });

  test('filters of the whole vocabulary leave what those of candidates do', () => {
    for (const [size, value] of [[50, 1], [3000, 0.7], [3000, 3], [3000, 0.05]] as const) {
      const logits = likeLogits(size, size);
      const all = temperature({ ids: Int32Array.from(logits, (_, id) => id), logits }, value);
      const sorted = ({ ids }: Candidates): number[] => [...ids].sort((a, b) => a - b);
      for (const share of [0.01, 0.5, 0.95, 0.9999]) {
        assert.deepEqual(sorted(topPOfAll(logits, share, value)), sorted(topP(all, share)), `top-p ${share}`);
        assert.deepEqual(sorted(minPOfAll(logits, share, value)), sorted(minP(all, share)), `min-p ${share}`);
      }
    }
  });

  test('draws at extreme temperatures are those of their limits', () => {
    const logits = likeLogits(3000, 5);
    const best = logits.indexOf(Math.max(...logits));
    for (const filters of [{}, { topP: 0.9 }, { topK: 5 }, { minP: 0.1 }]) {
      const cold = new Sampler({ ...PLAIN, ...filters, temperature: 1e-310 }, 1, []);
      assert.ok([0, 1, 2].every(() => cold.next(logits) === best), JSON.stringify(filters));
      const hot = new Sampler({ ...PLAIN, ...filters, temperature: 1e300 }, 1, []);
      assert.notEqual(hot.next(logits), hot.next(logits), JSON.stringify(filters));
    }
  });

  test('the same seed draws the same with and without the addon, on 1 and 2 threads', { skip: native() === null }, async () => {
    const code = `import { draws } from './tests/generation/draws.ts'; console.log(JSON.stringify(draws(5003, 6)));`;
    const { stdout } = await runInProcess(code, { NIBBLELENS_NATIVE: 'off', NIBBLELENS_LOG: 'error' });
    const expected: unknown = JSON.parse(stdout);
    const addon = native();
    const { threads = 1 } = addon?.info() ?? {};
    try {
      for (const count of [1, 2]) {
        addon?.setThreads(count);
        assert.deepEqual(draws(5003, 6), expected, `${count} threads`);
      }
    } finally {
      addon?.setThreads(threads);
    }
  });

  test('a vocabulary of 128,000 takes milliseconds', () => {
    const logits = Float32Array.from({ length: 128_000 }, (_, i) => Math.sin(i) * 5);
    const sampler = new Sampler({ ...PLAIN, temperature: 0.9, typicalP: 0.95, topP: 0.9, minP: 0.01 }, 1, []);
    for (let i = 0; i < 20; i++) assert.ok(sampler.next(logits) >= 0);
    assert.ok(Math.abs(probabilities(of(1, 2, 3)).reduce((sum, p) => sum + p, 0) - 1) < 1e-12);
  });
});
