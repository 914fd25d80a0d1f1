import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { memory } from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { OptionError, ShapeError, UnknownNameError } from '../../src/base/errors.js';
import { hookNames, type HookName } from '../../src/layers/hook-names.js';
import { gradients } from '../../src/lens/gradients.js';
import { logitDifference, logProbability, nextTokenLoss, type Metric } from '../../src/lens/metrics.js';
import { run } from '../../src/lens/run.js';
import { ModelDecoder } from '../../src/model/model-decoder.js';
import { randomIds, randomNumbers, randomShape, randomWeights } from '../support/random-model.js';

const norm = (values: Float32Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + (Number.isFinite(value) ? value * value : 0), 0));

/** The metric's value with the values at a point moved by `by` along a direction. */
async function moved(
  decoder: ModelDecoder,
  sequences: readonly Int32Array[],
  metric: Metric,
  name: HookName,
  direction: Float32Array,
  by: number,
): Promise<number> {
  const hook = ({ values }: { values: Float32Array }) => values.map((value, i) => value + by * direction[i]);
  const { logits } = await run(decoder, sequences, { hooks: { [name]: hook } });
  return metric({ logits, ids: sequences, vocabSize: decoder.vocabSize }).value;
}

const metrics: fc.Arbitrary<(vocab: number) => Metric> = fc.constantFrom(
  (vocab: number) => logitDifference(0, vocab - 1),
  () => logProbability(1, { position: 0 }),
  () => nextTokenLoss(),
);

const fixedModel = (seed: number) => {
  const shape = fc.sample(randomShape, { seed, numRuns: 1 })[0];
  return { shape, decoder: new ModelDecoder(randomWeights(shape)) };
};

describe('gradients', () => {
  test('are the slopes that central differences find, at every kind of point', async () => {
    await fc.assert(
      fc.asyncProperty(randomShape, fc.integer({ min: 2, max: 6 }), metrics, fc.nat(), async (shape, pos, metricOf, pick) => {
        const decoder = new ModelDecoder(randomWeights(shape));
        const sequences = [randomIds(shape.seed, pos, shape.vocab), randomIds(shape.seed + 1, pos, shape.vocab)];
        const metric = metricOf(shape.vocab);
        const names = hookNames(shape.layers).filter((_, i, all) => i % 5 === pick % 5 || i === all.length - 1);
        const result = await gradients(decoder, sequences, metric, { at: names });
        assert.deepEqual(result.gradients.names, names);
        const random = randomNumbers(shape.seed);
        const { activations } = await run(decoder, sequences, { capture: names });
        for (const { name, values: gradient, shape: at } of result.gradients) {
          const { values, shape: expected } = activations.get(name);
          assert.deepEqual(at, expected, name);
          // along the gradient and some noise, so that the slope stands out of float32's rounding
          const noise = gradient.map(() => random() - 0.5);
          const size = norm(gradient) || 1;
          const direction = gradient.map((value, i) => {
            return Number.isFinite(values[i]) ? value / size + (0.3 * noise[i]) / norm(noise) : 0;
          });
          const step = 1e-2 * Math.max(norm(values) / Math.sqrt(values.length), 0.05);
          const slopeOver = async (h: number) => {
            const over = await moved(decoder, sequences, metric, name, direction, h);
            return (over - (await moved(decoder, sequences, metric, name, direction, -h))) / (2 * h);
          };
          // what two steps differ by is three quarters of what curvature puts into the longer one
          const [wide, slope] = [await slopeOver(step), await slopeOver(step / 2)];
          const along = gradient.reduce((sum, value, i) => sum + value * direction[i], 0);
          const bound = 0.01 * norm(gradient) + Math.abs(wide - slope) + (4e-6 * (1 + Math.abs(result.value))) / step;
          assert.ok(Math.abs(slope - along) <= bound, `${name}: ${along}, differences say ${slope}`);
        }
      }),
      { numRuns: 8, includeErrorInReport: true },
    );
  });

  test('value and logits are those of a run; a batch is its sequences; a repeat has the same bits', async () => {
    const { shape, decoder } = fixedModel(7);
    const [a, b] = [randomIds(1, 5, shape.vocab), randomIds(2, 5, shape.vocab)];
    const metric = nextTokenLoss();
    const both = await gradients(decoder, [a, b], metric, { at: 'hook_embed' });
    const { logits } = await run(decoder, [a, b], { path: 'composed' });
    assert.deepEqual(both.logits, logits);
    assert.equal(both.value, metric({ logits, ids: [a, b], vocabSize: shape.vocab }).value);
    const alone = await gradients(decoder, [a], metric, { at: 'hook_embed' });
    const { values } = both.gradients.get('hook_embed');
    alone.gradients.get('hook_embed').values.forEach((value, i) => {
      assert.ok(Math.abs(value / 2 - values[i]) <= 1e-6 + 1e-4 * Math.abs(values[i]), `${value / 2} and ${values[i]}`);
    });
    assert.deepEqual(await gradients(decoder, [a, b], metric, { at: 'hook_embed' }), both);
  });

  test('asked for in the middle of other runs, all are as they are alone, and no tensor is left', async () => {
    const { shape, decoder } = fixedModel(3);
    const ids = [randomIds(1, 9, shape.vocab)];
    const hooks = { 'blocks.0.hook_resid_mid': ({ values }: { values: Float32Array }) => values.map((value) => value / 2) };
    const runs = [
      () => run(decoder, ids, { hooks, capture: 'all' }),
      () => gradients(decoder, ids, logProbability(0), { at: 'all' }),
      () => run(decoder, ids, { path: 'composed', capture: ['unembed.hook_in'] }),
    ];
    const alone = [];
    for (const one of runs) alone.push(await one());
    const before = memory().numTensors;
    assert.deepEqual(await Promise.all(runs.map((one) => one())), alone);
    assert.equal(memory().numTensors, before);
  });

  test('can be stopped, and tells its progress', async () => {
    const { shape, decoder } = fixedModel(5);
    const ids = [randomIds(1, 4, shape.vocab)];
    const seen: number[] = [];
    await gradients(decoder, ids, nextTokenLoss(), { onProgress: (done, total) => seen.push(done / total) });
    assert.deepEqual(seen, Array.from({ length: 2 * shape.layers }, (_, i) => (i + 1) / (2 * shape.layers)));
    const before = memory().numTensors;
    const stop = new AbortController();
    const stopped = gradients(decoder, ids, nextTokenLoss(), { signal: stop.signal, onProgress: () => stop.abort() });
    await assert.rejects(stopped, { name: 'AbortError' });
    assert.equal(memory().numTensors, before);
  });

  test('a metric that cannot be is refused', async () => {
    const { shape, decoder } = fixedModel(5);
    const ids = [randomIds(1, 4, shape.vocab)];
    const refused = (metric: Metric, kind: typeof OptionError | typeof ShapeError) => {
      return assert.rejects(gradients(decoder, ids, metric), kind);
    };
    await refused(logProbability(shape.vocab), OptionError);
    await refused(logitDifference(0, 1, { position: 4 }), OptionError);
    await refused(logitDifference(0, 1, { position: -5 }), OptionError);
    await refused(logitDifference(0, 1, { sequence: 1 }), OptionError);
    await refused(() => ({ value: 0, gradient: new Float32Array(3) }), ShapeError);
    const misspelt: object = { att: 'all' };
    await assert.rejects(gradients(decoder, ids, nextTokenLoss(), misspelt), UnknownNameError);
  });
});
