import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemErrorInWords } from '../../src/base/system-error.js';

/** What `call` throws. */
function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return assert.fail('nothing was thrown');
}

test('says in words what a system call failed of, and nothing of other errors', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nibblelens-base-'));
  const missing = join(folder, 'missing');
  assert.equal(systemErrorInWords(thrownBy(() => readFileSync(missing))), 'no such file or folder');
  assert.equal(systemErrorInWords(thrownBy(() => readFileSync(folder))), 'a folder, not a file');
  rmdirSync(folder);
  assert.equal(systemErrorInWords(thrownBy(() => JSON.parse('{'))), null);
  assert.equal(systemErrorInWords(Object.assign(new Error('x'), { code: 'EOTHER' })), null);
  assert.equal(systemErrorInWords('ENOENT'), null);
});
