import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inRounds, ratios, spread } from '../../../src/cli/bench/rounds.js';

describe('rounds of a measurement', () => {
  const trace: string[] = [];
  const contender = (name: string, rates: readonly number[]) => {
    let round = 0;
    return { name, burst: async () => (trace.push(name), rates[round++]) };
  };

  test('go there and back, and the first is not counted', async () => {
    const seen: string[] = [];
    const rates = await inRounds([contender('a', [99, 10, 20, 40]), contender('b', [1, 5, 5, 10])], {
      rounds: 3,
      onBurst: (done, total) => void seen.push(`${done}/${total}`),
    });
    assert.deepEqual(trace, ['a', 'b', 'b', 'a', 'a', 'b', 'b', 'a']);
    assert.deepEqual([...rates], [['a', [10, 20, 40]], ['b', [5, 5, 10]]]);
    assert.deepEqual(ratios(rates, 'a', 'b'), { median: 4, low: 2, high: 4 });
    assert.equal(seen.at(-1), '8/8');
  });

  test('stop at a signal', async () => {
    const cancel = new AbortController();
    const running = inRounds([{ name: 'a', burst: async () => (cancel.abort(), 1) }], { rounds: 3, signal: cancel.signal });
    await assert.rejects(running, { name: 'AbortError' });
  });

  test('medians lie in the middle', () => {
    assert.deepEqual(spread([4, 1, 3]), { median: 3, low: 1, high: 4 });
    assert.deepEqual(spread([4, 1]), { median: 2.5, low: 1, high: 4 });
  });
});
