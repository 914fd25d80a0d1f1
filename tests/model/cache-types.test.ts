import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { bundled, evaluateModels, loadModel } from '../../src/index.js';
import { CACHE_TYPES } from '../../src/native/cache-pages.js';

const models = await Promise.all(CACHE_TYPES.map((cache) => loadModel(bundled.storytellerInt4, { cache })));
const [exact, half, codes] = models;

/** Mean KL to the exact cache and how often the likeliest token changes, on two windows: several times what was seen. */
const LIMITS = { f16: { kl: 3e-6, changed: 0.005 }, int8: { kl: 1e-3, changed: 0.03 } };

describe('KV caches of the bundled INT4 model', () => {
  test('an f16 one changes next to nothing, an int8 one little', async () => {
    const text = await readFile(join(bundled.storyteller, 'heldout.txt'), 'utf8');
    const { models: found } = await evaluateModels([exact, half, codes], text, { windows: 2 });
    assert.deepEqual(found.map(({ record }) => record.cache), CACHE_TYPES);
    for (const { record, meanKl, topAgreement } of found) {
      if (record.cache === 'f32') continue;
      const { kl, changed } = LIMITS[record.cache];
      assert.ok(meanKl > 0 && meanKl < kl, `${record.cache}: KL ${meanKl}`);
      assert.ok(1 - topAgreement < changed, `${record.cache}: ${1 - topAgreement} of the likeliest tokens changed`);
    }
  });

  test('greedy text of an f16 one is that of the exact one, and that of an int8 one begins alike', async () => {
    const [a, b, c] = await Promise.all(
      models.map(async (model) => (await model.generate('Once upon a time', { maxTokens: 100, temperature: 0, ignoreEos: true })).ids),
    );
    assert.deepEqual(b, a);
    assert.deepEqual(c.subarray(0, 20), a.subarray(0, 20));
  });
});
