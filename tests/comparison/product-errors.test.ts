import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bundled } from '../../src/bundled.js';
import { productErrors } from '../../src/comparison/product-errors.js';
import { UnknownNameError } from '../../src/base/errors.js';
import { LINEAR_NAMES } from '../../src/model/weights.js';
import { loadModel } from '../../src/opened-model.js';

const TEXT = 'Once upon a time there was a little fox who lived in the forest.';

test('products in fast have the noise of eight bits, those of float matrices none', async () => {
  const packed = await loadModel(bundled.storytellerInt4);
  const seen: number[] = [];
  const { matrices } = await productErrors(packed, TEXT, { onProgress: (done) => seen.push(done) });
  assert.deepEqual(seen, [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(matrices.map(({ name }) => name), Array.from({ length: 6 }, () => LINEAR_NAMES).flat());
  // Rounding to steps of max|x| / 127 makes noise of a step's square over 12: 40 dB below x where the largest of 32
  // numbers is about 2.2 times their root mean square, less where there are outliers.
  for (const { layer, name, sqnr } of matrices) assert.ok(sqnr > 25 && sqnr < 55, `${layer} ${name}: ${sqnr} dB`);
  const table = (await productErrors(packed, TEXT)).toTable();
  assert.deepEqual(table.columnNames(), ['layer', 'matrix', 'sqnr']);
  assert.equal(table.get('sqnr', 3), matrices[3].sqnr);

  const float = await loadModel(bundled.storyteller);
  for (const { sqnr } of (await productErrors(float, TEXT)).matrices) assert.equal(sqnr, Infinity);
});

test('stops, and refuses unknown options', async () => {
  const model = await loadModel(bundled.storytellerInt4);
  await assert.rejects(productErrors(model, TEXT, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  // @ts-expect-error there is no such option
  await assert.rejects(productErrors(model, TEXT, { text: TEXT }), UnknownNameError);
});
