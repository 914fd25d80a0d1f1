import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bundled } from '../../src/bundled.js';
import { openTokenizer, openTokenizerFile, type Tokenizer } from '../../src/tokenizer/index.js';
import { missing, sharedPath } from '../support/shared.js';
import { ODD_TEXTS } from './support.js';

const LLAMA = 'data/llama-tokenizer/tokenizer.model';

/** Strings of any UTF-16 code units, of prose, and of the signs that tokenizers treat apart. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)), maxLength: 40 }),
  fc.array(fc.constantFrom(' ', '▁', 'the', ' a', '\n', '<s>', '</s>', '<0x41>', 'é', '🙂', 'ing'), { maxLength: 20 })
    .map((parts) => parts.join('')),
);

const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd');

function checkText(tokenizer: Tokenizer, text: string): void {
  const { ids, offsets } = tokenizer.encodeWithOffsets(text, { parseSpecial: false });
  assert.deepEqual(tokenizer.encode(text, { parseSpecial: false }), ids);
  assert.ok(ids.every((id) => id >= 0 && id < tokenizer.vocabSize));
  assert.equal(tokenizer.decode(ids), wellFormed(text).replaceAll('▁', ' '));

  // offsets rise, leave no gap, and tokens other than bytes and the prefix are what they point at
  let done = 0;
  offsets.forEach(([start, end], i) => {
    assert.ok(start <= end && start <= done && end >= done, `offset ${i} of ${JSON.stringify(text)}`);
    done = end;
    const token = tokenizer.token(ids[i] as number);
    if (start === end || /^<0x..>$/.test(token)) return;
    const stretch = wellFormed(text).slice(start, end).replaceAll(' ', '▁');
    assert.ok(token === stretch || token === `▁${stretch}`, `${token} at ${JSON.stringify(stretch)}`);
  });
  assert.equal(done, text.length);
}

for (const prefer of ['tokenizer.json', 'tokenizer.model'] as const) {
  test(`any text comes back, with offsets that cover it, by ${prefer}`, async () => {
    const tokenizer = await openTokenizer(bundled.storyteller, { prefer });
    for (const text of ODD_TEXTS) checkText(tokenizer, text);
    fc.assert(fc.property(anyText, (text) => checkText(tokenizer, text)), { numRuns: 400 });
  });
}

test('any text comes back by the tokenizer of LLaMA-2', { skip: missing(LLAMA) }, async () => {
  const tokenizer = await openTokenizerFile(sharedPath(LLAMA) as string);
  for (const text of ODD_TEXTS) checkText(tokenizer, text);
  fc.assert(fc.property(anyText, (text) => checkText(tokenizer, text)), { numRuns: 400 });
});

test('the two files of one model give the same ids and offsets', async () => {
  const json = await openTokenizer(bundled.storyteller, { prefer: 'tokenizer.json' });
  const sentencePiece = await openTokenizer(bundled.storyteller, { prefer: 'tokenizer.model' });
  const check = (text: string): void =>
    assert.deepEqual(sentencePiece.encodeWithOffsets(text), json.encodeWithOffsets(text), JSON.stringify(text));
  ODD_TEXTS.forEach(check);
  fc.assert(fc.property(anyText, check), { numRuns: 400 });
});

test('pieces of a stream join to the decoded text, for any ids', async () => {
  for (const prefer of ['tokenizer.json', 'tokenizer.model'] as const) {
    const tokenizer = await openTokenizer(bundled.storyteller, { prefer });
    const bytes = fc.integer({ min: 3, max: 258 });
    const anyIds = fc.array(fc.oneof(bytes, fc.integer({ min: 0, max: 5000 })), { maxLength: 30 });
    fc.assert(
      fc.property(anyIds, fc.boolean(), (ids, skipSpecialTokens) => {
        const stream = tokenizer.stream({ skipSpecialTokens });
        const pieces = [...ids.map((id) => stream.push(id)), stream.end()];
        assert.equal(pieces.join(''), tokenizer.decode(ids, { skipSpecialTokens }));
      }),
      { numRuns: 400 },
    );
  }
});

test('a stream holds half characters back', async () => {
  const tokenizer = await openTokenizer(bundled.storyteller);
  const ids = tokenizer.encode('a🙂é', { addSpecialTokens: false });
  const stream = tokenizer.stream();
  assert.deepEqual([...ids].map((id) => stream.push(id)), ['a', '', '', '', '🙂', '', 'é']);
  assert.equal(stream.end(), '');

  const cut = tokenizer.stream();
  assert.equal([...ids].slice(0, 3).map((id) => cut.push(id)).join(''), 'a');
  assert.equal(cut.end(), '\ufffd');
  assert.equal(tokenizer.decode([...ids].slice(0, 3)), 'a\ufffd');
});

test('long texts take time in proportion', async () => {
  for (const prefer of ['tokenizer.json', 'tokenizer.model'] as const) {
    const tokenizer = await openTokenizer(bundled.storyteller, { prefer });
    for (const unit of ['a', 'ab cd ', '🙂', '\n', ' ']) {
      const text = unit.repeat(Math.floor(60_000 / unit.length));
      assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
    }
  }
});
