import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import { evaluateModels } from '../../src/comparison/evaluate.js';
import { ModelDecoder } from '../../src/model/model-decoder.js';
import { OpenedModel } from '../../src/opened-model.js';
import { idTokenizer } from '../../src/tokenizer/id-tokenizer.js';
import { randomIds, randomWeights, type RandomModelShape } from '../support/random-model.js';

const SHAPE: RandomModelShape = {
  layers: 2,
  dModel: 32,
  dFf: 40,
  kvHeads: 2,
  group: 2,
  dHead: 8,
  vocab: 50,
  weights: 'f32',
  groupSize: 16,
  bias: false,
  tied: false,
  seed: 1,
};

const open = (change: Partial<RandomModelShape> = {}, contextLength = 40): OpenedModel => {
  const weights = randomWeights({ ...SHAPE, ...change }, contextLength);
  const tokenizer = idTokenizer('', { vocabSize: weights.config.vocabSize, bosId: null });
  return OpenedModel.of(new ModelDecoder(weights), tokenizer, { path: `seed-${change.seed ?? SHAPE.seed}`, hash: '' });
};

/** What the definition says, in float64, from the logits of whole passes. */
async function byHand(models: readonly OpenedModel[], ids: Int32Array, length: number, windows: number) {
  const sums = models.map(() => ({ loss: 0, kl: 0, agreed: 0 }));
  for (let window = 0; window < windows; window++) {
    const runs = [];
    for (const model of models) runs.push(await model.run(ids.subarray(window * length, (window + 1) * length)));
    for (let position = 0; position < length; position++) {
      const all = runs.map(({ logits }) => {
        const row = [...logits.subarray(position * SHAPE.vocab, (position + 1) * SHAPE.vocab)];
        const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
        return row.map((logit) => Math.exp(logit) / total);
      });
      all.forEach((p, i) => {
        sums[i].loss -= Math.log(p[ids[window * length + position + 1]]);
        sums[i].kl += all[0].reduce((sum, reference, id) => sum + reference * Math.log(reference / p[id]), 0);
        if (p.indexOf(Math.max(...p)) === all[0].indexOf(Math.max(...all[0]))) sums[i].agreed++;
      });
    }
  }
  return sums.map(({ loss, kl, agreed }) => [loss, kl, agreed].map((sum) => sum / (windows * length)));
}

describe('models on a text', () => {
  const ids = randomIds(7, 64, SHAPE.vocab);

  test('loss, perplexity, KL and agreement are those of the definition', async () => {
    const models = [open(), open({ weights: 'bf16' }), open({ seed: 2 })] as const;
    const progress: [number, number][] = [];
    const evaluation = await evaluateModels(models, ids, {
      windowLength: 20,
      onProgress: (done, total) => void progress.push([done, total]),
    });
    // 64 tokens hold three windows of 20 and the token after the last one
    assert.deepEqual([evaluation.windows, evaluation.windowLength, evaluation.predictions], [3, 20, 60]);
    assert.deepEqual(progress, [
      [1, 3],
      [2, 3],
      [3, 3],
    ]);
    const expected = await byHand(models, ids, 20, 3);
    evaluation.models.forEach(({ loss, perplexity, meanKl, topAgreement }, i) => {
      const found = [loss, meanKl, topAgreement];
      found.forEach((value, j) =>
        assert.ok(Math.abs(value - expected[i][j]) < 1e-5, `model ${i}: ${found} and ${expected[i]}`),
      );
      assert.ok(Math.abs(Math.log(perplexity) - loss) < 1e-12);
    });
    const [reference, near, far] = evaluation.models;
    assert.deepEqual([reference.meanKl, reference.topAgreement], [0, 1]);
    assert.ok(0 < near.meanKl && near.meanKl < 0.01 && far.meanKl > 0.1);
    assert.deepEqual(evaluation.toTable().array('model'), ['seed-1', 'seed-1', 'seed-2']);
    assert.deepEqual(evaluation.toTable().array('precision'), ['f32', 'bf16', 'f32']);
  });

  test('windows are as long as the contexts allow, and as many as asked for', async () => {
    const [short, long] = [open({}, 15), open({}, 40)];
    assert.deepEqual((await evaluateModels([long], ids)).windowLength, 40);
    const both = await evaluateModels([long, short], ids, { windows: 2 });
    assert.deepEqual([both.windows, both.windowLength], [2, 15]);
    const exact = await evaluateModels([long], ids.subarray(0, 31), { windowLength: 15 });
    assert.equal(exact.windows, 2);
    const lacking = await evaluateModels([long], ids.subarray(0, 30), { windowLength: 15 });
    assert.equal(lacking.windows, 1);
  });

  test('what gives no window, and vocabularies of unequal size', async () => {
    const model = open();
    const rejected = (options: object, text = ids) =>
      assert.rejects(evaluateModels([model], text, options), OptionError);
    await rejected({ windowLength: 64 });
    await rejected({ windowLength: 0 });
    await rejected({ windowLength: 2.5 });
    await rejected({ windows: 0 });
    await rejected({ windows: NaN });
    await rejected({}, ids.subarray(0, 1));
    await assert.rejects(evaluateModels([] as never, ids), OptionError);
    await assert.rejects(evaluateModels([model, open({ vocab: 51 })], ids, { windowLength: 9 }), ShapeError);
  });

  test('ends at an abort', async () => {
    const controller = new AbortController();
    const onProgress = (done: number) => done === 2 && controller.abort();
    const evaluation = evaluateModels([open()], ids, { windowLength: 5, signal: controller.signal, onProgress });
    await assert.rejects(evaluation, { name: 'AbortError' });
  });
});
