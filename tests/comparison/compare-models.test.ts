import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ShapeError, UnknownNameError } from '../../src/base/errors.js';
import { bundled, compareModels, hookNames, loadModel, type HookName } from '../../src/index.js';
import { smallModel, someIds } from '../lens/support.js';

const [float, int4] = await Promise.all([loadModel(bundled.storyteller), loadModel(bundled.storytellerInt4)]);
const ids = float.tokenizer
  .encode(readFileSync(join(bundled.storyteller, 'heldout.txt'), 'utf8').slice(0, 2000))
  .slice(0, 60);

/** Relative error and cosine, by their definitions. */
function difference(a: Float32Array, b: Float32Array): { relativeError: number; cosine: number } {
  const seen = [...a.keys()].filter((i) => a[i] !== -Infinity);
  const inner = (x: (i: number) => number, y: (i: number) => number) => seen.reduce((sum, i) => sum + x(i) * y(i), 0);
  const norm = (x: (i: number) => number) => Math.sqrt(inner(x, x));
  const [left, right] = [(i: number) => a[i], (i: number) => b[i]];
  return {
    relativeError: norm((i) => b[i] - a[i]) / norm(left),
    cosine: inner(left, right) / (norm(left) * norm(right)),
  };
}

/** p of the next token after each position. */
function probabilities(logits: Float32Array, vocab: number): number[][] {
  return Array.from({ length: logits.length / vocab }, (_, position) => {
    const row = [...logits.subarray(position * vocab, (position + 1) * vocab)];
    const most = row.reduce((a, b) => Math.max(a, b));
    const powers = row.map((logit) => Math.exp(logit - most));
    const total = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / total);
  });
}

const near = (found: number, expected: number, bound: number, what: string): void =>
  assert.ok(Math.abs(found - expected) <= bound, `${what}: ${found}, expected ${expected}`);

describe('the float model and its INT4 twin', () => {
  test('differ at every point and position by what the definitions say', async () => {
    const comparison = await compareModels(float, int4, ids);
    const [a, b] = [await float.run(ids, { capture: 'all' }), await int4.run(ids, { capture: 'all' })];
    assert.deepEqual(
      comparison.points.map(({ name }) => name),
      hookNames(6),
    );
    for (const { name, layer, point, relativeError, cosine } of comparison.points) {
      const expected = difference(a.activations.get(name).values, b.activations.get(name).values);
      near(relativeError, expected.relativeError, 1e-9, name);
      near(cosine, expected.cosine, 1e-9, name);
      assert.equal(layer === null ? point : `blocks.${layer}.${point}`, name);
    }

    const [p, q] = [a, b].map(({ logits }) => probabilities(logits, 4096));
    assert.equal(comparison.positions.length, 60);
    const top = (values: number[]) => values.indexOf(values.reduce((x, y) => Math.max(x, y)));
    let kl = 0;
    for (const [i, position] of comparison.positions.entries()) {
      const expected = p[i].reduce((sum, value, id) => sum + (value > 0 ? value * Math.log(value / q[i][id]) : 0), 0);
      near(position.kl, expected, 1e-5, `KL at ${i}`);
      assert.equal(position.position, i);
      assert.equal(position.token, float.tokenizer.label(ids[i]));
      assert.equal(position.referenceTop, float.tokenizer.label(top(p[i])));
      assert.equal(position.otherTop, float.tokenizer.label(top(q[i])));
      assert.equal(position.changed, top(p[i]) !== top(q[i]));
      kl += expected / 60;
    }
    near(comparison.meanKl, kl, 1e-6, 'mean KL');
    assert.equal(comparison.topAgreement, comparison.positions.filter(({ changed }) => !changed).length / 60);
    assert.equal(comparison.reference.record.precision, 'bf16');
    assert.match(comparison.other.record.precision, /^int4 g/);
    assert.ok(comparison.meanKl > 0 && comparison.meanKl < 1, 'rounding changes something, and not everything');
  });

  test('are tabled: a row for each point, and for each position', async () => {
    const comparison = await compareModels(float, int4, ids.slice(0, 9), {
      capture: (name) => name.endsWith('hook_resid_post'),
    });
    const points = comparison.pointsTable();
    assert.deepEqual(points.columnNames(), ['name', 'layer', 'point', 'relativeError', 'cosine']);
    assert.deepEqual(
      points.objects(),
      comparison.points.map((row) => ({ ...row })),
    );
    assert.equal(points.numRows(), 6);
    const positions = comparison.positionsTable();
    assert.deepEqual(
      positions.objects(),
      comparison.positions.map((row) => ({ ...row })),
    );
    assert.equal(positions.numRows(), 9);
  });
});

describe('compareModels', () => {
  const model = smallModel();
  const some = someIds(1, 12);

  test('of a model and itself finds nothing', async () => {
    const { points, positions, meanKl, topAgreement } = await compareModels(model, model, some);
    assert.ok(points.every(({ relativeError, cosine }) => relativeError === 0 && cosine === 1));
    assert.ok(positions.every(({ kl, changed }) => kl === 0 && !changed));
    assert.deepEqual([meanKl, topAgreement], [0, 1]);
  });

  test('compares the points that are chosen', async () => {
    const other = smallModel({ seed: 8 });
    const { points } = await compareModels(model, other, some, {
      capture: ['unembed.hook_out', 'blocks.1.attn.hook_z'],
    });
    assert.deepEqual(
      points.map(({ name, layer, point }) => [name, layer, point]),
      [
        ['blocks.1.attn.hook_z', 1, 'attn.hook_z'],
        ['unembed.hook_out', null, 'unembed.hook_out'],
      ],
    );
    assert.equal((await compareModels(model, other, some, { capture: [] })).points.length, 0);
    const wrong = { capture: 'blocks.7.hook_resid_pre' as HookName };
    await assert.rejects(compareModels(model, other, some, wrong), UnknownNameError);
  });

  test('of models of different shapes is a typed error', async () => {
    const rejects = (other: Parameters<typeof smallModel>[0], message: RegExp, capture: 'all' | HookName[] = 'all') =>
      assert.rejects(
        compareModels(model, smallModel(other), some, { capture }),
        (error) => error instanceof ShapeError && message.test(error.message),
      );
    await rejects({ vocab: 44 }, /logits of the other model: found 528, expected 516/);
    await rejects(
      { layers: 1 },
      /named points of the other model: found 39, expected 73 \(blocks\.1\.hook_resid_pre\)/,
    );
    await rejects(
      { layers: 3 },
      /named points of the other model: found 107, expected 73 \(blocks\.2\.hook_resid_pre\)/,
    );
    await rejects(
      { layers: 1 },
      /named points of the other model: found 0, expected 1 \(blocks\.1\.hook_resid_post\)/,
      ['blocks.1.hook_resid_post'],
    );
    await rejects({ dFf: 38 }, /values: found 456, expected 444 \(blocks\.0\.mlp\.gate_proj\.hook_out\)/);
  });

  test('tells its progress, and stops when asked', async () => {
    const steps: [number, number][] = [];
    await compareModels(model, model, someIds(1, 300), { capture: [], onProgress: (...step) => steps.push(step) });
    assert.deepEqual(steps[steps.length - 1], [600, 600]);
    assert.ok(steps.every(([done, total], i) => total === 600 && done > (steps[i - 1]?.[0] ?? 0)));
    const controller = new AbortController();
    const stop = compareModels(model, model, some, { signal: controller.signal, onProgress: () => controller.abort() });
    await assert.rejects(stop, { name: 'AbortError' });
  });
});
