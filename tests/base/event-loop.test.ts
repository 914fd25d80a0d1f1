import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { breather, nextTurn } from '../../src/base/event-loop.js';

/** Holds the event loop. */
function work(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** Whether a turn of the event loop passed while `wait` was awaited. */
async function givesATurn(wait: () => Promise<void>): Promise<boolean> {
  let turned = false;
  const mark = setImmediate(() => (turned = true));
  await wait();
  clearImmediate(mark);
  return turned;
}

describe('nextTurn', () => {
  test('lets what was set before run', async () => {
    assert.ok(await givesATurn(nextTurn));
  });
});

describe('breather', () => {
  test('gives a turn once its time has passed, and not before', async () => {
    const breathe = breather(undefined, 1e9);
    work(1);
    assert.equal(await givesATurn(breathe), false);
    const often = breather(undefined, 0);
    assert.equal(await givesATurn(often), true);
    assert.equal(await givesATurn(often), true);
    const usual = breather();
    work(31);
    assert.equal(await givesATurn(usual), true);
  });

  test('counts its time from the last turn', async () => {
    const now = performance.now;
    try {
      const start = performance.now();
      performance.now = () => start;
      const breathe = breather(undefined, 1000);
      performance.now = () => start + 999;
      assert.equal(await givesATurn(breathe), false);
      performance.now = () => start + 1001;
      assert.equal(await givesATurn(breathe), true);
      performance.now = () => start + 2000;
      assert.equal(await givesATurn(breathe), false);
      performance.now = () => start + 2002;
      assert.equal(await givesATurn(breathe), true);
    } finally {
      performance.now = now;
    }
  });

  test('throws the reason of an aborted signal: one from before, and one that came in its turn', async () => {
    const before = new AbortController();
    const breathe = breather(before.signal, 1e9);
    await breathe();
    before.abort();
    await assert.rejects(breathe(), { name: 'AbortError' });

    const during = new AbortController();
    const reason = new Error('enough');
    setImmediate(() => during.abort(reason));
    await assert.rejects(breather(during.signal, 0)(), reason);
  });
});
