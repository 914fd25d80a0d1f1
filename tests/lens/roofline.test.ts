import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bundled } from '../../src/bundled.js';
import { OptionError, UnknownNameError } from '../../src/base/errors.js';
import { loadModel } from '../../src/opened-model.js';
import { withoutAddon } from '../native/support.js';

describe('model.roofline', { skip: withoutAddon }, () => {
  test('counts bytes and operations of every module by its named point', async () => {
    const model = await loadModel(bundled.storytellerInt4);
    const [one, many] = [await model.roofline(), await model.roofline({ rows: 8 })];
    assert.deepEqual(one.modules.map(({ hook }) => hook), model.hookNames.filter((name) => one.modules.some(({ hook }) => hook === name)));
    const linears = one.modules.filter(({ hook }) => hook.endsWith('.hook_out'));
    assert.equal(linears.length, 7 * model.config.numHiddenLayers + 1);
    // every weight but the embedding's and the gains is multiplied and added once
    const weights = 6_622_464 - 4096 * 256 - 13 * 256;
    assert.equal(linears.reduce((sum, { operations }) => sum + operations, 0), 2 * weights);
    const q = (of: typeof one) => of.modules.find(({ hook }) => hook === 'blocks.2.attn.q_proj.hook_out');
    const { bytes = 0, operations = 0 } = q(one) ?? {};
    assert.equal(operations, 2 * 256 * 256);
    const { codes, scales, zeros } = model.weight(2, 'q_proj').storage as { codes: Uint8Array; scales: Uint16Array; zeros: Uint8Array };
    assert.equal(bytes, codes.byteLength + scales.byteLength + zeros.byteLength + 2 * 256 * 4);
    assert.deepEqual([q(many)?.operations, q(many)?.bytes], [8 * operations, bytes + 7 * 2 * 256 * 4]);
    assert.ok([...one.modules, ...many.modules].every(({ microseconds }) => microseconds > 0));
    assert.ok(one.bandwidth > 1e8 && one.bandwidth < 1e13);
    assert.equal(one.record.path, 'fused');
    const table = one.toTable();
    assert.equal(table.numRows(), one.modules.length);
    assert.equal(table.get('GB/s', 0), one.modules[0].bytes / one.modules[0].microseconds / 1e3);
    model.dispose();
  });

  test('stops, tells how far it is, and refuses wrong options', async () => {
    const model = await loadModel(bundled.storytellerInt4);
    const seen: number[] = [];
    await model.roofline({ onProgress: (done) => void seen.push(done) });
    assert.deepEqual(seen, seen.toSorted((a, b) => a - b));
    const cancel = new AbortController();
    const stopped = model.roofline({ signal: cancel.signal, onProgress: () => cancel.abort() });
    await assert.rejects(stopped, { name: 'AbortError' });
    for (const rows of [0, 1.5, 513]) await assert.rejects(model.roofline({ rows }), OptionError);
    await assert.rejects(Reflect.apply(model.roofline, model, [{ row: 1 }]), UnknownNameError);
    model.dispose();
  });
});
