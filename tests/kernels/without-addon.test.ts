import assert from 'node:assert/strict';
import { test } from 'node:test';
import { native } from '../../src/native/native.js';
import { runNode } from '../support/process.js';

const FILES = ['forward', 'gradients', 'matmul', 'sharing'];

// The same tests as with the addon, in one process: what they ask of a kernel, they ask of its TypeScript reference.
test(
  'without the addon, kernels pass their tests on tfjs',
  { skip: native() ? false : 'there is none: the files themselves show it' },
  async () => {
    const code = FILES.map((file) => `import './tests/kernels/${file}.test.ts';`).join('\n');
    const { stdout } = await runNode(['--test-reporter=tap', '--input-type=module', '-e', code], {
      NIBBLELENS_NATIVE: 'off',
    });
    const count = (what: string) => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(stdout)?.[1]);
    assert.equal(count('fail'), 0);
    assert.equal(count('cancelled'), 0);
    for (const suite of [
      'TypeScript kernels on cpu',
      'gradients of TypeScript kernels on cpu',
      'TypeScript INT4 matmul on cpu',
    ]) {
      assert.match(stdout, new RegExp(`^ok \\d+ - ${suite}$`, 'm'));
    }
    assert.doesNotMatch(stdout, /- (gradients of |arrays between )?native /);
  },
);
