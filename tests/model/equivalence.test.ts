import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hookNames } from '../../src/layers/hook-names.js';
import { run } from '../../src/lens/run.js';
import { ModelDecoder } from '../../src/model/model-decoder.js';
import { CACHE_TYPES } from '../../src/native/cache-pages.js';
import { native } from '../../src/native/native.js';
import { worstExcess } from '../support/golden.js';
import { randomIds, randomShape, randomWeights } from '../support/random-model.js';

/** Between kernels of different implementations, or for few and for many rows: other orders of sums, over a few layers. */
const BOUND = 2e-4;

/** With a cache that rounds, a number midway between two that it can hold may go to either. */
const CACHE_BOUND = { f32: BOUND, f16: 2e-3, int8: 2e-2 };

const cacheType = fc.constantFrom(...CACHE_TYPES);
const addon = native();
const withAddon = { skip: addon ? false : 'the native addon is not built' } as const;
const runs = { numRuns: 12 } as const;

async function nextLogits(decoder: ModelDecoder, ids: Int32Array, split: number): Promise<Float32Array> {
  const sequence = decoder.createSequence();
  let [logits] = await decoder.decode([{ sequence, ids: ids.subarray(0, split) }]);
  for (const id of ids.subarray(split)) [logits] = await decoder.decode([{ sequence, ids: Int32Array.of(id) }]);
  sequence.dispose();
  return logits;
}

describe('two ways to the same thing', () => {
  test('composed and fused: the same bits at every named point', withAddon, async () => {
    await fc.assert(
      fc.asyncProperty(randomShape, fc.integer({ min: 1, max: 70 }), cacheType, async (shape, pos, cache) => {
        const decoder = new ModelDecoder(randomWeights(shape), { cache });
        const ids = randomIds(shape.seed, pos, shape.vocab);
        const fused = await run(decoder, [ids], { path: 'fused', capture: 'all' });
        const composed = await run(decoder, [ids], { path: 'composed', capture: 'all' });
        assert.deepEqual(fused.activations.names, hookNames(shape.layers));
        for (const { name, values, shape: at } of fused.activations) {
          const other = composed.activations.get(name);
          assert.deepEqual(at, other.shape);
          assert.deepEqual(values, other.values, name);
        }
        assert.deepEqual(fused.logits, composed.logits);
        const untapped = await run(decoder, [ids], { path: 'composed' });
        assert.deepEqual(untapped.logits, composed.logits, 'joined kernels');
      }),
      runs,
    );
  });

  test('prefill and token by token', async () => {
    await fc.assert(
      fc.asyncProperty(randomShape, fc.integer({ min: 2, max: 80 }), fc.nat(), cacheType, async (shape, pos, cut, cache) => {
        const decoder = new ModelDecoder(randomWeights(shape), { cache });
        const ids = randomIds(shape.seed, pos, shape.vocab);
        const whole = await nextLogits(decoder, ids, pos);
        const split = await nextLogits(decoder, ids, 1 + (cut % (pos - 1)));
        assert.ok(worstExcess(whole, split) < CACHE_BOUND[cache]);
      }),
      runs,
    );
  });

  test('a forked cache and a fresh one', async () => {
    await fc.assert(
      fc.asyncProperty(randomShape, fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 10 }), async (shape, common, own) => {
        const decoder = new ModelDecoder(randomWeights(shape));
        const prompt = randomIds(shape.seed, common, shape.vocab);
        const [left, right] = [randomIds(1, own, shape.vocab), randomIds(2, own, shape.vocab)];
        const sequence = decoder.createSequence();
        await decoder.decode([{ sequence, ids: prompt }]);
        const fork = sequence.fork();
        const [a] = await decoder.decode([{ sequence, ids: left }]);
        const [b] = await decoder.decode([{ sequence: fork, ids: right }]);
        for (const [logits, ids] of [[a, left], [b, right]] as const) {
          const fresh = decoder.createSequence();
          await decoder.decode([{ sequence: fresh, ids: prompt }]);
          assert.deepEqual((await decoder.decode([{ sequence: fresh, ids }]))[0], logits);
          const whole = await nextLogits(decoder, Int32Array.from([...prompt, ...ids]), common + own);
          assert.ok(worstExcess(logits, whole) < BOUND);
        }
      }),
      runs,
    );
  });

  test('a batch of unequal lengths and one at a time', async () => {
    await fc.assert(
      fc.asyncProperty(randomShape, fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 2, maxLength: 4 }), async (shape, lengths) => {
        const decoder = new ModelDecoder(randomWeights(shape));
        const prompts = lengths.map((length, i) => randomIds(shape.seed + i, length, shape.vocab));
        const sequences = prompts.map(() => decoder.createSequence());
        await decoder.decode(prompts.map((ids, i) => ({ sequence: sequences[i], ids })));
        const steps = prompts.map((_, i) => randomIds(i, 1, shape.vocab));
        const batch = await decoder.decode(steps.map((ids, i) => ({ sequence: sequences[i], ids })));
        for (const [i, ids] of prompts.entries()) {
          const alone = await nextLogits(decoder, Int32Array.from([...ids, ...steps[i]]), ids.length);
          assert.ok(worstExcess(batch[i], alone) < BOUND, `sequence ${i}`);
        }
      }),
      runs,
    );
  });

  test('1 thread and 2', withAddon, async () => {
    const before = addon?.info().threads ?? 1;
    try {
      await fc.assert(
        fc.asyncProperty(randomShape, fc.integer({ min: 1, max: 70 }), async (shape, pos) => {
          const ids = randomIds(shape.seed, pos, shape.vocab);
          const logits = [];
          for (const threads of [1, 2]) {
            addon?.setThreads(threads);
            logits.push((await run(new ModelDecoder(randomWeights(shape)), [ids])).logits);
          }
          assert.deepEqual(logits[0], logits[1]);
        }),
        runs,
      );
    } finally {
      addon?.setThreads(before);
    }
  });

  test('a hook that gives back what it saw changes nothing; one that does not, does', async () => {
    await fc.assert(
      fc.asyncProperty(randomShape, fc.integer({ min: 1, max: 20 }), fc.nat(), async (shape, pos, pick) => {
        const decoder = new ModelDecoder(randomWeights(shape));
        const ids = randomIds(shape.seed, pos, shape.vocab);
        const names = hookNames(shape.layers);
        const name = names[pick % names.length];
        const plain = await run(decoder, [ids], { path: 'composed' });
        const same = await run(decoder, [ids], { hooks: { [name]: ({ values }: { values: Float32Array }) => values } });
        assert.ok(worstExcess(same.logits, plain.logits) < (addon ? 1e-30 : BOUND), name);
        const zeroed = await run(decoder, [ids], { hooks: { 'unembed.hook_in': ({ values }) => values.fill(0) } });
        assert.ok(zeroed.logits.every((logit) => logit === 0));
      }),
      runs,
    );
  });
});
