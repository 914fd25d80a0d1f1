import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../scripts/build-native.mjs', import.meta.url));

test('the C++ tests pass under address, undefined-behaviour and thread sanitizers', (t) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, '--sanitize'], { encoding: 'utf8' });
  assert.equal(status, 0, `${stdout}${stderr}`);
  for (const line of stdout.split('\n')) if (line !== '') t.diagnostic(line);
  const missing = stdout.split('\n').filter((line) => line.startsWith('skipped: '));
  if (missing.length > 0) t.skip(missing.join('; '));
});
