import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const START = fileURLToPath(new URL('../../scripts/start.mjs', import.meta.url));

test('npm start with a wrong option says so in one line, and runs nothing', () => {
  for (const args of [['--bogus'], ['a prompt', '--top-p', '2']]) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [START, ...args], { encoding: 'utf8' });
    assert.equal(stdout, '');
    assert.match(stderr, /^nibblelens error: (unknown option '--bogus'|--top-p: found "2", expected a number above 0 to 1)[^\n]*\n$/m);
    assert.equal(status, 2);
  }
});
