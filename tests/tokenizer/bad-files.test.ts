import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { OptionError, TokenizerError } from '../../src/base/errors.js';
import { openTokenizer, openTokenizerFile } from '../../src/tokenizer/index.js';
import { ODD_TEXTS, sentencePieceFile, withFolder, type TestPiece } from './support.js';

const PIECES: TestPiece[] = [
  { text: '<unk>', type: 2 },
  { text: '<s>', type: 3 },
  { text: '</s>', type: 3 },
  ...['▁', 'a', 'b', '▁a', 'ab', '▁ab'].map((text, i) => ({ text, score: -i })),
];
const MODEL = sentencePieceFile({ pieces: PIECES, trainer: { 3: 2, 40: 0, 41: 1, 42: 2, 43: -1 } });

const BASE = {
  added_tokens: [{ id: 0, content: '<s>', special: true, normalized: false }],
  normalizer: { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, { type: 'NFC' }] },
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>' } }, { Sequence: { id: 'A' } }],
    special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
  },
  decoder: { type: 'Sequence', decoders: [{ type: 'Fuse' }, { type: 'Strip', content: ' ', start: 1, stop: 0 }] },
  model: { type: 'BPE', unk_token: '?', vocab: { '<s>': 0, '▁': 1, a: 2, b: 3, ab: 4, '?': 5 }, merges: ['a b'] },
};

const openJson = (json: unknown): Promise<unknown> =>
  withFolder({ 'tokenizer.json': JSON.stringify(json) }, (folder) => openTokenizer(folder));

const names = (thing: RegExp, found: RegExp) => (error: unknown) => {
  assert.ok(error instanceof TokenizerError, String(error));
  assert.match(error.thing, thing);
  assert.match(String(error.found), found);
  assert.match(error.where ?? '', /nibblelens-tokenizer-/);
  return true;
};

describe('bad tokenizer files', () => {
  test('a folder without a tokenizer, or with another kind', async () => {
    await withFolder({}, (folder) => assert.rejects(openTokenizer(folder), names(/^tokenizer$/, /neither/)));
    await withFolder({ 'merges.txt': 'a b' }, (folder) =>
      assert.rejects(openTokenizer(folder), names(/^tokenizer$/, /merges/)),
    );
    await withFolder({}, (folder) => assert.rejects(openTokenizer(join(folder, 'no')), names(/^tok/, /no such/)));
    await withFolder({}, (folder) => assert.rejects(openTokenizerFile(join(folder, 'x')), names(/file/, /ENOENT/)));
    await withFolder({ 'tokenizer.model': 'IQ== 0\nIg== 1\n' }, (folder) =>
      assert.rejects(openTokenizer(folder), names(/kind/, /tiktoken/)),
    );
  });

  test('JSON that says something else', async () => {
    const cases: [change: object, thing: RegExp, found: RegExp][] = [
      [{ model: { type: 'Unigram', vocab: [] } }, /model\.type/, /Unigram/],
      [{ model: { type: 'WordPiece', vocab: {} } }, /model\.type/, /WordPiece/],
      [{ model: { ...BASE.model, vocab: { a: 2 ** 40 } } }, /vocab\.a/, /1099511627776/],
      [{ model: { ...BASE.model, vocab: { a: -1 } } }, /vocab\.a/, /-1/],
      [{ model: { ...BASE.model, vocab: { a: 0, b: 0, '?': 1 } } }, /vocab\.b/, /0/],
      [{ model: { ...BASE.model, vocab: {} } }, /vocab/, /0 keys/],
      [{ model: { ...BASE.model, vocab: [] } }, /vocab/, /array/],
      [{ model: { ...BASE.model, merges: ['a x'] } }, /merges\[0\]/, /a x/],
      [{ model: { ...BASE.model, merges: [['a', 'b', 'c']] } }, /merges\[0\]/, /a/],
      [{ model: { ...BASE.model, unk_token: 'none' } }, /unk_token/, /none/],
      [{ model: { ...BASE.model, end_of_word_suffix: '</w>' } }, /suffix/, /<\/w>/],
      [{ normalizer: { type: 'Whatever' } }, /tokenizer/, /Whatever/],
      [{ normalizer: { type: 'Replace', pattern: {}, content: '' } }, /pattern/, /0 keys/],
      [{ pre_tokenizer: { type: 'UnicodeScripts' } }, /pre_tokenizer\.type/, /UnicodeScripts/],
      [{ pre_tokenizer: { type: 'Split', pattern: { Regex: '(' } } }, /tokenizer/, /./],
      [{ pre_tokenizer: { type: 'Split', pattern: { String: '-' }, behavior: 'Contiguous' } }, /behavior/, /Contig/],
      [{ decoder: { type: 'WordPiece' } }, /decoder\.type/, /WordPiece/],
      [{ decoder: null }, /decoder/, /null/],
      [{ post_processor: { type: 'TemplateProcessing', single: [] } }, /single/, /0/],
      [{ added_tokens: [{ id: 1e12, content: 'x' }] }, /added_tokens\[0\]\.id/, /1000000000000/],
      [{ added_tokens: [{ id: 7, content: '' }] }, /content/, /""/],
    ];
    await openJson(BASE);
    for (const [change, thing, found] of cases) {
      await assert.rejects(openJson({ ...BASE, ...change }), names(thing, found), JSON.stringify(change));
    }
    for (const other of [null, [], 7, 'text', {}]) await assert.rejects(openJson(other), TokenizerError);
    await withFolder({ 'tokenizer.json': '{' }, (folder) =>
      assert.rejects(openTokenizer(folder), names(/content/, /JSON/)),
    );
    const nested = `${'{"type":"Sequence","normalizers":['.repeat(20_000)}${']}'.repeat(20_000)}`;
    const deep = JSON.stringify({ ...BASE, normalizer: 0 }).replace('"normalizer":0', `"normalizer":${nested}`);
    await withFolder({ 'tokenizer.json': deep }, (folder) => assert.rejects(openTokenizer(folder), TokenizerError));
  });

  test('SentencePiece files that say something else', async () => {
    const cases: [file: Uint8Array, thing: RegExp, found: RegExp][] = [
      [new Uint8Array(0), /SentencePiece/, /no pieces/],
      [MODEL.subarray(0, 100), /length of a protobuf field/, /./],
      [Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), /length of a protobuf/, /72057594037927/],
      [Uint8Array.of(0x0b), /wire type/, /3/],
      [Uint8Array.of(8, ...new Array<number>(11).fill(0xff)), /varint/, /more than/],
      [sentencePieceFile({ pieces: PIECES, trainer: { 3: 1 } }), /kind/, /unigram/],
      [sentencePieceFile({ pieces: PIECES, trainer: { 3: 2, 24: 1 } }), /suffix/, /true/],
      [sentencePieceFile({ pieces: PIECES, trainer: { 3: 2, 35: 1 } }), /byte pieces/, /0/],
      [sentencePieceFile({ pieces: PIECES, normalizer: { 2: new Uint8Array(9) } }), /normaliser/, /9 bytes/],
      [sentencePieceFile({ pieces: [...PIECES, { text: 'a' }] }), /piece 9/, /piece 4/],
      [sentencePieceFile({ pieces: [...PIECES, { text: '' }] }), /piece 9/, /empty/],
      [sentencePieceFile({ pieces: [...PIECES, { text: 'x', score: NaN }] }), /score/, /NaN/],
      [sentencePieceFile({ pieces: [...PIECES, { text: 'x', type: 9 }] }), /type/, /9/],
      [sentencePieceFile({ pieces: [...PIECES, { text: 'x', type: 6 }] }), /byte piece/, /x/],
      [sentencePieceFile({ pieces: PIECES.slice(1) }), /UNKNOWN/, /0/],
    ];
    for (const [file, thing, found] of cases) {
      await withFolder({ 'tokenizer.model': file }, (folder) =>
        assert.rejects(openTokenizer(folder), names(thing, found), String(thing)),
      );
    }
  });

  test('settings that say something else', async () => {
    const bad: Record<string, unknown>[] = [
      { 'tokenizer_config.json': '{"add_bos_token": "yes"}' },
      { 'tokenizer_config.json': '[]' },
      { 'tokenizer_config.json': '{"bos_token": 7}' },
      { 'tokenizer_config.json': '{"added_tokens_decoder": {"x": {"content": "y"}}}' },
      { 'special_tokens_map.json': '{"eos_token": {"content": []}}' },
      { 'added_tokens.json': '{"<x>": 1e300}' },
      { 'config.json': '{"bos_token_id": -4}' },
      { 'generation_config.json': 'nonsense' },
    ];
    for (const files of bad) {
      await withFolder({ 'tokenizer.model': MODEL, ...(files as Record<string, string>) }, (folder) =>
        assert.rejects(openTokenizer(folder), TokenizerError, JSON.stringify(files)),
      );
    }
    await assert.rejects(openTokenizer('.', { prefer: 'other' as 'tokenizer.json' }), OptionError);
  });

  const files = { 'tokenizer.model': MODEL, 'tokenizer.json': Buffer.from(JSON.stringify(BASE)) };
  for (const [name, bytes] of Object.entries(files)) {
    test(`mutations of ${name} give typed errors or a tokenizer that works`, async () => {
      await withFolder({}, async (folder) => {
        const path = join(folder, name);
        const edit = fc.record({
          at: fc.nat({ max: bytes.length - 1 }),
          kind: fc.constantFrom('set', 'insert', 'delete', 'cut', 'copy'),
          byte: fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(...Buffer.from('0129{}[]",:-e'))),
        });
        let opened = 0;
        await fc.assert(
          fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
            await writeFile(path, Uint8Array.from(edits.reduce(applyEdit, [...bytes])));
            try {
              const tokenizer = await openTokenizerFile(path);
              opened++;
              for (const text of ['', ' ab <s> ba', ODD_TEXTS[6] as string]) {
                const { ids, offsets } = tokenizer.encodeWithOffsets(text);
                assert.ok(ids.every((id) => id >= 0 && id < tokenizer.vocabSize));
                assert.ok(offsets.every(([start, end]) => 0 <= start && start <= end && end <= text.length));
                tokenizer.decode(ids);
              }
            } catch (error) {
              assert.ok(error instanceof TokenizerError, error instanceof Error ? error.stack : String(error));
            }
          }),
          { numRuns: 1500 },
        );
        assert.ok(opened > 20, `${opened} of 1500 opened`);
      });
    });
  }
});

function applyEdit(bytes: number[], edit: { at: number; kind: string; byte: number }): number[] {
  const at = Math.min(edit.at, bytes.length);
  if (edit.kind === 'set') return bytes.toSpliced(at, 1, edit.byte);
  if (edit.kind === 'insert') return bytes.toSpliced(at, 0, edit.byte);
  if (edit.kind === 'delete') return bytes.toSpliced(at, 1 + (edit.byte % 8));
  if (edit.kind === 'cut') return bytes.slice(0, at);
  return bytes.toSpliced(at, 0, ...bytes.slice(at, at + edit.byte));
}
