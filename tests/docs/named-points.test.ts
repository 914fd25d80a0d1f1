import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bundled, LAYER_POINTS, loadModel, MODEL_POINTS } from '../../src/index.js';
import { page } from './pages.js';

test('the page of named points lists them all, in order, with the shapes of a run', async () => {
  const rows = [...page('docs/named-points.md').text.matchAll(/^\| `([\w.]+)` \| ([^|]+) \|/gm)];
  assert.deepEqual(rows.map(([, name]) => name), [...MODEL_POINTS, ...LAYER_POINTS]);

  const model = await loadModel(bundled.storytellerInt4);
  const { activations, ids } = await model.run(['Once upon a time', 'Once upon a day'], { capture: 'all' });
  const { hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads, headDim, vocabSize } = model.config;
  const pos = ids[0]?.length ?? 0;
  const sizes: Readonly<Record<string, number>> = {
    '1': 1, batch: 2, pos, key: pos, d_model: hiddenSize, d_ff: intermediateSize, head: numAttentionHeads,
    kv_head: numKeyValueHeads, d_head: headDim, vocab: vocabSize,
  };
  const size = (words: string): number => words.split(' · ').reduce((product, word) => product * (sizes[word] ?? NaN), 1);
  for (const [, name, shape] of rows) {
    const { shape: found } = activations.get(activations.names.find((one) => one.replace('blocks.2.', '') === name) ?? 'hook_embed');
    assert.deepEqual(found, (shape as string).trim().split(', ').map(size), name);
  }
  model.dispose();
});
