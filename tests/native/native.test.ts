import { availableParallelism } from 'node:os';
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import type { NativeAddon } from '../../src/native/native.js';
import { addon, withoutAddon } from './support.js';

type Info = ReturnType<NativeAddon['info']>;

/** What the addon says of itself in a fresh process, and what that wrote to standard error. */
function infoWith(setting: Record<string, string>): { info: Info; stderr: string } {
  const module = JSON.stringify(new URL('../../src/native/native.ts', import.meta.url).href);
  const code = `import(${module}).then(({ native }) => console.log(JSON.stringify(native()?.info())))`;
  const env = { ...process.env, ...setting };
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', '-e', code], { encoding: 'utf8', env });
  assert.equal(status, 0, stderr);
  return { info: JSON.parse(stdout) as Info, stderr };
}

/** Threads of a fresh process, and what it wrote to standard error. */
function threadsWith(setting: string): { threads: number; stderr: string } {
  const { info, stderr } = infoWith({ NIBBLELENS_THREADS: setting });
  return { threads: info.threads, stderr };
}

describe('threads of the addon', { skip: withoutAddon }, () => {
  test('are as many as NIBBLELENS_THREADS says; one that says nothing sensible is named and passed over', () => {
    assert.deepEqual(threadsWith('1'), { threads: 1, stderr: '' });
    const cores = availableParallelism();
    const capped = `nibblelens warn: NIBBLELENS_THREADS: found 256 on ${cores} cores; as many are used: more would wait for each other\n`;
    if (cores < 256) assert.deepEqual(threadsWith('256'), { threads: cores, stderr: capped });
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

describe('the instruction set of the addon', { skip: withoutAddon }, () => {
  const { available } = infoWith({ NIBBLELENS_ISA: '' }).info;

  test('is the best one, and portable kernels are always there; AVX-512 has to be asked for', () => {
    const { info, stderr } = infoWith({ NIBBLELENS_ISA: '' });
    assert.equal(stderr, '');
    assert.equal(info.isa, available[0]);
    assert.equal(available.at(-1), 'scalar');
    assert.ok(!available.includes('avx512vnni'));
  });

  test('is the one that NIBBLELENS_ISA names; a name that means nothing here is told and passed over', () => {
    for (const isa of available) {
      const { info, stderr } = infoWith({ NIBBLELENS_ISA: isa });
      assert.deepEqual({ isa: info.isa, available: info.available, stderr }, { isa, available, stderr: '' });
    }
    for (const name of ['AVX2', 'sse9', 'avx512vnni']) {
      const { info, stderr } = infoWith({ NIBBLELENS_ISA: name });
      if (info.isa === name) continue; // a processor that has it
      const expected = `NIBBLELENS_ISA: found ${name}, expected one that this machine has: ${available.join(', ')}; ${available[0]} is used`;
      assert.equal(info.isa, available[0]);
      assert.equal(stderr, `nibblelens warn: ${expected}\n`);
    }
  });
});
