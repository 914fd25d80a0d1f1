import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { NibbleLensError, OptionError } from '../../src/base/errors.js';
import { readTokenFile, writeTokenFile } from '../../src/generation/index.js';
import { withFolder } from '../tokenizer/support.js';

test('token files keep ids, in the bytes that are documented', async () => {
  await withFolder({}, async (folder) => {
    const path = join(folder, 'tokens.bin');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: 31999 })), async (ids) => {
        await writeTokenFile(path, ids, 32000);
        const file = await readTokenFile(path, 32000);
        assert.deepEqual([[...file.ids], file.vocabSize], [ids, 32000]);
      }),
      { numRuns: 50 },
    );
    await writeTokenFile(path, [1, 258], 300);
    const bytes = [...(await readFile(path))];
    assert.deepEqual(bytes, [0x4e, 0x4c, 0x54, 0x4b, 1, 0, 0, 0, 2, 0, 0, 0, 44, 1, 0, 0, 1, 0, 0, 0, 2, 1, 0, 0]);
  });
});

test('bad token files and ids are typed errors', async () => {
  await withFolder({}, async (folder) => {
    const path = join(folder, 'tokens.bin');
    await assert.rejects(readTokenFile(path), NibbleLensError);
    await assert.rejects(writeTokenFile(path, [5], 5), OptionError);
    await assert.rejects(writeTokenFile(path, [-1], 5), OptionError);
    await assert.rejects(writeTokenFile(path, [1], 0), OptionError);
    await writeTokenFile(path, [1, 2, 3], 5);
    const good = [...(await readFile(path))];
    await assert.rejects(readTokenFile(path, 6), /vocabulary size/);
    const changes: [bytes: number[], message: RegExp][] = [
      [good.slice(0, 10), /length of the token file/],
      [good.slice(0, -1), /length of the token file/],
      [[...good, 0], /length of the token file/],
      [good.with(0, 0), /first bytes/],
      [good.with(4, 2), /version/],
      [good.with(11, 0xff), /length/],
      [good.with(16, 5), /id 0 .*byte 16/],
      [good.with(12, 0), /vocabulary size/],
    ];
    for (const [bytes, message] of changes) {
      await writeFile(path, Uint8Array.from(bytes));
      await assert.rejects(readTokenFile(path), (error) => {
        assert.ok(error instanceof NibbleLensError);
        assert.match(error.message, message);
        return true;
      });
    }
  });
});
