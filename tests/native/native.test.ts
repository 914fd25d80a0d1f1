import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { addon, withoutAddon } from './support.js';

/** Threads of a fresh process, and what it wrote to standard error. */
function threadsWith(setting: string): { threads: string; stderr: string } {
  const module = JSON.stringify(new URL('../../src/native/native.ts', import.meta.url).href);
  const code = `import(${module}).then(({ native }) => console.log(native()?.info().threads))`;
  const env = { ...process.env, NIBBLELENS_THREADS: setting };
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '-e', code], { encoding: 'utf8', env });
  assert.equal(status, 0, stderr);
  return { threads: stdout.trim(), stderr };
}

describe('threads of the addon', { skip: withoutAddon }, () => {
  test('are as many as NIBBLELENS_THREADS says; one that says nothing sensible is named and passed over', () => {
    assert.deepEqual(threadsWith('3'), { threads: '3', stderr: '' });
    const { threads, stderr } = threadsWith('');
    assert.equal(stderr, '');
    for (const setting of ['0', '10000', 'abc', '2.5']) {
      const expected = `nibblelens warn: NIBBLELENS_THREADS: found ${setting}, expected 1 to 256; ${threads} are used\n`;
      assert.deepEqual(threadsWith(setting), { threads, stderr: expected });
    }
  });

  test('can be set to 1 to 256', () => {
    const { threads } = addon().info();
    try {
      for (const count of [1, 256]) {
        addon().setThreads(count);
        assert.equal(addon().info().threads, count);
      }
      for (const count of [0, 257, 1.5, NaN, -1]) assert.throws(() => addon().setThreads(count), RangeError);
      assert.equal(addon().info().threads, 256);
    } finally {
      addon().setThreads(threads);
    }
  });
});
