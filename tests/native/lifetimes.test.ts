import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { setTimeout as after } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DisposedError, loadModel } from '../../src/index.js';
import { hasBegun, hasEnded, longPage, longSpec, longStep, product, worker } from './lifetimes-support.js';
import { addon, assertSameBits, withoutAddon } from './support.js';

const MODEL = fileURLToPath(new URL('../../data/storyteller-int4', import.meta.url));

/** Runs lifetimes-child.ts and gives what it printed. */
function child(what: string, timeout: number, env: Record<string, string> = {}) {
  const script = fileURLToPath(new URL('./lifetimes-child.ts', import.meta.url));
  const args = ['--expose-gc', '--import', 'tsx', script, what, MODEL];
  return spawnSync(process.execPath, args, { encoding: 'utf8', timeout, env: { ...process.env, ...env } });
}

const begins = async (page: Float32Array): Promise<void> => {
  while (!hasBegun(page)) await after(1);
};

describe('lifetimes', { skip: withoutAddon }, () => {
  test('a model disposed of in mid-call finishes the call with the same bits; later use is a typed error', async () => {
    const options = { maxTokens: 24, temperature: 0, logProbabilities: true } as const;
    const prompt = 'The old house by the sea';
    const whole = await loadModel(MODEL);
    const expected = await whole.generate(prompt, options);
    const expectedRun = await whole.run(prompt, { capture: 'blocks.0.attn.hook_pattern' });

    const model = await loadModel(MODEL, { load: 'copy' });
    const running = model.run(prompt, { capture: 'blocks.0.attn.hook_pattern' });
    const steps = model.generate(prompt, options)[Symbol.asyncIterator]();
    const ids: number[] = [];
    for (let i = 0; ; i++) {
      const { done, value } = await steps.next();
      if (done) break;
      ids.push(value.id);
      if (i === 1) model.dispose();
    }
    assert.deepEqual(ids, Array.from(expected.ids));
    const found = await running;
    assertSameBits(found.logits, expectedRun.logits, 'logits');
    assertSameBits(found.pattern(0, 0), expectedRun.pattern(0, 0), 'pattern');

    assert.throws(() => model.generate(prompt), DisposedError);
    await assert.rejects(model.run(prompt), DisposedError);
    assert.throws(() => model.memory(), DisposedError);
    assert.throws(() => model.weight(0, 'q_proj'), DisposedError);
    await assert.rejects(model.graph(), DisposedError);
    model.dispose();
    whole.dispose();
  });

  test('two workers at once compute the bits of the main thread', async () => {
    const { w, x, rows } = product();
    const expected = new Float32Array(rows * w.outFeatures);
    addon().matmul(x, rows, w, null, 'exact', expected);
    const workers = await Promise.all([1, 2].map(() => worker({ kind: 'product once' })));
    for (const { message, thread } of workers) {
      assert(message instanceof Float32Array);
      assertSameBits(message, expected, 'product');
      await thread.terminate();
    }
  });

  test('a worker terminated in mid-matmul does not disturb the other', async () => {
    const { w, x, rows } = product();
    const expected = new Float32Array(rows * w.outFeatures);
    addon().matmul(x, rows, w, null, 'exact', expected);
    const [goesOn, ...ended] = await Promise.all([1, 2, 3].map(() => worker({ kind: 'products for ever' })));
    const y = new Float32Array(expected.length);
    for (const { thread } of ended) {
      await after(20);
      await thread.terminate();
      for (let i = 0; i < 5; i++) {
        addon().matmul(x, rows, w, null, 'exact', y.fill(0));
        assertSameBits(y, expected, 'product beside a worker');
      }
    }
    assert.notEqual(goesOn.thread.threadId, -1, 'the other worker runs');
    const { message, thread } = await worker({ kind: 'product once' });
    assert(message instanceof Float32Array);
    assertSameBits(message, expected, 'product of a later worker');
    await Promise.all([goesOn.thread.terminate(), thread.terminate()]);
  });

  test('a worker terminated in mid-step stops it between layers, and another goes on', async () => {
    const pages = [longPage(), longPage()];
    const [first, second] = await Promise.all(pages.map((page) => worker({ kind: 'long step', page })));
    await Promise.all(pages.map(begins));
    await first.thread.terminate();
    assert.equal(hasEnded(pages[0]), false, 'the step stopped');
    const written = pages[1].findLastIndex((value) => value !== 0);
    while (pages[1].findLastIndex((value) => value !== 0) === written) await after(1);
    await second.thread.terminate();
    assert.equal(hasEnded(pages[1]), false, 'the other step stopped as well');
  });

  test('an aborted step stops between layers, and those that wait behind it do at once', async () => {
    const decoder = addon().createDecoder(longSpec());
    const pages = [longPage(), longPage()];
    const abort = new Int32Array(1);
    const steps = pages.map((page) => decoder.stepAsync(longStep(page, abort)));
    await begins(pages[0]);
    abort[0] = 1;
    assert.deepEqual(await Promise.all(steps), [false, false]);
    assert.deepEqual(pages.map(hasEnded), [false, false]);
    assert.equal(hasBegun(pages[1]), false);
  });

  test('a process that exits with a step under way does not wait for it', () => {
    // its step takes four minutes of one thread
    const { status, signal, stderr } = child('exit', 60_000, { NIBBLELENS_THREADS: '1' });
    assert.equal(status, 7, `${signal} ${stderr}`);
  });

  test('fifty loads leave no more memory in use than ten', () => {
    const { status, stdout, stderr } = child('loads', 240_000);
    assert.equal(status, 0, stderr);
    const megabytes: number[] = JSON.parse(stdout);
    const growth = Math.min(...megabytes.slice(-5)) - Math.min(...megabytes.slice(5, 10));
    // one load takes 6 MB and more; forty that leaked would take 240
    assert(growth < 40, `${growth} MB more: ${megabytes.map(Math.round)}`);
  });

  test('a mapped file is unmapped when its model is gone', { skip: process.platform !== 'linux' && '/proc is not there' }, () => {
    const { status, stdout, stderr } = child('mappings', 240_000);
    assert.equal(status, 0, stderr);
    const [held, left] = JSON.parse(stdout);
    assert(held >= 1, 'the open model has its file mapped');
    assert.equal(left, 0);
  });
});
