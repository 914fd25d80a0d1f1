import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tinyFolder, withFolder, writeFiles } from '../support/tiny-checkpoint.js';
import { sentencePieceFile } from '../tokenizer/support.js';
import { nibblelens } from './nibblelens.js';

const PIECES = [{ text: '<unk>', type: 2 }, { text: '<s>', type: 3 }, { text: '</s>', type: 3 }, { text: '▁' }];
const TOKENIZER = sentencePieceFile({ pieces: [...PIECES, ...[...'abcdefgh'].map((text) => ({ text }))] });

test('compare prints a line for each model, or JSON, and refuses what it cannot read', async () => {
  await withFolder({}, async (folder) => {
    const [a, b, text] = ['a', 'b', 'text'].map((name) => join(folder, name));
    await writeFiles(a, { ...tinyFolder({ weights: 'F32' }), 'tokenizer.model': TOKENIZER });
    await writeFiles(b, { ...tinyFolder({ weights: 'BF16' }), 'tokenizer.model': TOKENIZER });
    writeFileSync(text, 'a bad cab had a dad '.repeat(8));
    const said = await nibblelens(['compare', a, b, '--text', text, '--window', '16', '--windows', '3']);
    assert.equal(said.status, 0, said.stderr);
    assert.match(said.stdout, /^model +precision +mode +cache .*\na +f32 +exact +f32 +[\d.]+ +[\d.]+ +0\.00000 +100\.00 %\nb +bf16 /);
    assert.match(said.stdout, /3 windows of 16 tokens/);

    const modes = await nibblelens(['compare', a, '--modes', 'exact', 'fast', '--caches', 'f32', 'int8', '--text', text, '--window', '16']);
    assert.equal(modes.status, 0, modes.stderr);
    assert.match(modes.stdout, /exact +f32.*\na +f32 +exact +int8.*\na +f32 +fast +f32.*\na +f32 +fast +int8/);

    const json = await nibblelens(['compare', a, '--text', text, '--window', '16', '--json']);
    const { windows, windowLength, models } = JSON.parse(json.stdout);
    assert.deepEqual([windows, windowLength, models.length, models[0].meanKl], [10, 16, 1, 0]);

    for (const [args, says] of [
      [['compare', a], /--text <file>' not specified/],
      [['compare', a, '--text', join(folder, 'none')], /none: no such file or folder/],
      [['compare', a, '--text', text, '--modes', 'quick'], /'quick' is invalid. Allowed choices are exact, fast/],
      [['compare', a, '--text', text, '--window', '0'], /--window: found "0"/],
      [['compare', a, '--text', text, '--window', '5000'], /windows of the text: found/],
      [['compare', join(folder, 'none'), '--text', text], /none/],
    ] as const) {
      const { status, stderr } = await nibblelens([...args]);
      assert.equal(status, 2, stderr);
      assert.match(stderr, says);
    }
  });
});
