import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { openTokenizer, type Tokenizer } from '../../src/tokenizer/index.js';
import { sentencePieceFile, withFolder, type TestModel, type TestPiece } from './support.js';

const CONTROL: TestPiece[] = [
  { text: '<unk>', type: 2 },
  { text: '<s>', type: 3 },
  { text: '</s>', type: 3 },
];
const BYTES: TestPiece[] = Array.from({ length: 256 }, (_, byte) => ({
  text: `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
  type: 6,
}));

const open = (model: TestModel, settings: object = {}): Promise<Tokenizer> =>
  withFolder({ 'tokenizer.model': sentencePieceFile(model), 'tokenizer_config.json': settings }, (folder) =>
    openTokenizer(folder),
  );

const tokens = (tokenizer: Tokenizer, text: string): string[] =>
  [...tokenizer.encode(text, { addSpecialTokens: false })].map((id) => tokenizer.token(id));

/** The definition, read naively: again and again, merge the pair of best score, leftmost first. */
function naiveBpe(text: string, scores: ReadonlyMap<string, number>): string[] {
  const symbols = [...text];
  for (;;) {
    let best = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const score = scores.get(`${symbols[i]}${symbols[i + 1]}`);
      if (score === undefined) continue;
      const leader = best < 0 ? -Infinity : (scores.get(`${symbols[best]}${symbols[best + 1]}`) as number);
      if (score > leader) best = i;
    }
    if (best < 0) return symbols;
    symbols.splice(best, 2, `${symbols[best]}${symbols[best + 1]}`);
  }
}

describe('SentencePiece BPE', () => {
  test('merges as the definition says, equal scores and unknown characters included', async () => {
    const piece = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '▁'), minLength: 1, maxLength: 4 });
    const score = fc.integer({ min: -6, max: 0 });
    const vocabulary = fc.dictionary(piece, score, { minKeys: 1, maxKeys: 25 });
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'd', ' '), maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(vocabulary, fc.array(text, { minLength: 1, maxLength: 8 }), async (scores, texts) => {
        const pieces = Object.entries(scores).map(([each, value]) => ({ text: each, score: value }));
        const tokenizer = await open({ pieces: [...CONTROL, ...BYTES, ...pieces], trainer: { 3: 2, 35: 1 } });
        const map = new Map(Object.entries(scores));
        for (const each of texts) {
          const normalized = each === '' ? '' : `▁${each.replaceAll(' ', '▁')}`;
          const expected = naiveBpe(normalized, map).flatMap((symbol) =>
            map.has(symbol)
              ? [symbol]
              : [...new TextEncoder().encode(symbol)].map((byte) => (BYTES[byte] as TestPiece).text),
          );
          assert.deepEqual(tokens(tokenizer, each), expected, JSON.stringify(each));
        }
      }),
      { numRuns: 60 },
    );
  });

  test('without byte fallback, each run of unknown characters is one unknown token', async () => {
    const tokenizer = await open({ pieces: [...CONTROL, { text: '▁' }, { text: 'a' }] });
    const { ids, offsets } = tokenizer.encodeWithOffsets('aé🙂a', { addSpecialTokens: false });
    assert.deepEqual([...ids], [3, 4, 0, 4]);
    assert.deepEqual(offsets, [[0, 0], [0, 1], [1, 4], [4, 5]]);
  });

  test('user-defined pieces are taken whole, unused ones are taken apart again', async () => {
    const tokenizer = await open({
      pieces: [
        ...CONTROL,
        ...['▁', 'a', 'b', 'c'].map((text) => ({ text, score: -9 })),
        { text: 'ab', score: -1 },
        { text: 'abc', score: -2, type: 5 },
        { text: 'abb', score: 0 },
        { text: 'bb', type: 4 },
      ],
    });
    assert.deepEqual(tokens(tokenizer, 'abc'), ['▁', 'ab', 'c']);
    assert.deepEqual(tokens(tokenizer, 'abbc'), ['▁', 'a', 'bb', 'c']);
  });

  test('extra spaces go where the file says so, and offsets still cover the text', async () => {
    const pieces = [...CONTROL, { text: '▁a' }, { text: '▁' }, { text: 'a' }];
    const tokenizer = await open({ pieces, normalizer: { 3: 1, 4: 1 } });
    const { ids, offsets } = tokenizer.encodeWithOffsets('  a   a', { addSpecialTokens: false });
    assert.deepEqual([...ids], [3, 3]);
    assert.deepEqual(offsets, [[2, 3], [3, 7]]);
    assert.equal(tokenizer.decode(ids), 'a a');
    assert.deepEqual([...tokenizer.encode('   ', { addSpecialTokens: false })], []);
  });

  test('BOS and EOS are put as the settings say', async () => {
    const model = { pieces: [...CONTROL, { text: '▁a' }, { text: '▁' }, { text: 'a' }] };
    assert.deepEqual([...(await open(model)).encode('a')], [1, 3]);
    assert.deepEqual([...(await open(model, { add_bos_token: false, add_eos_token: true })).encode('a')], [3, 2]);
    const renamed = await open(model, { bos_token: { content: '</s>' }, eos_token: '<s>' });
    assert.deepEqual([renamed.bosId, renamed.eosId], [2, 1]);
    assert.deepEqual([...renamed.encode('a')], [2, 3]);
  });

  test('special tokens written in the text are parsed if asked, each stretch after them as legacy says', async () => {
    const model = { pieces: [...CONTROL, { text: '▁a' }, { text: '▁' }, { text: 'a' }, { text: '<' }] };
    const legacy = await open(model);
    assert.deepEqual([...legacy.encode('a</s>a', { addSpecialTokens: false })], [3, 2, 3]);
    const modern = await open(model, { legacy: false });
    assert.deepEqual([...modern.encode('a</s>a', { addSpecialTokens: false })], [3, 2, 5]);
    const literal = legacy.encodeWithOffsets('a</s>', { addSpecialTokens: false, parseSpecial: false });
    assert.deepEqual([...literal.ids], [3, 6, 0]);
    assert.equal(legacy.decode([3, 2, 3]), 'a a');
    assert.equal(legacy.decode([3, 2, 3], { skipSpecialTokens: false }), 'a</s> a');
  });

  test('added tokens beside the file extend the vocabulary', async () => {
    const files = {
      'tokenizer.model': sentencePieceFile({ pieces: [...CONTROL, { text: '▁' }, { text: 'a' }] }),
      'added_tokens.json': { '<tool>': 5 },
      'tokenizer_config.json': {
        added_tokens_decoder: { 6: { content: '<pad>', special: true, lstrip: true, rstrip: true } },
      },
    };
    const tokenizer = await withFolder(files, (folder) => openTokenizer(folder));
    assert.equal(tokenizer.vocabSize, 7);
    const { ids, offsets } = tokenizer.encodeWithOffsets('a<tool>a <pad> a', { addSpecialTokens: false });
    assert.deepEqual([...ids], [3, 4, 5, 3, 4, 6, 3, 4]);
    assert.deepEqual(offsets.slice(5), [[8, 15], [15, 15], [15, 16]]);
    assert.deepEqual([...tokenizer.specialIds].sort((a, b) => a - b), [0, 1, 2, 6]);
    assert.equal(tokenizer.decode(ids), 'a<tool> a a');
  });

  test('labels', async () => {
    const pieces = [...CONTROL, ...BYTES, { text: '▁a' }, { text: 'a\nb' }, { text: '\u200d' }];
    const tokenizer = await open({ pieces, trainer: { 3: 2, 35: 1 } });
    assert.equal(tokenizer.label(1), '<s>');
    assert.equal(tokenizer.label(3 + 10), '⏎');
    assert.equal(tokenizer.label(259), '·a');
    assert.equal(tokenizer.label(260), 'a⏎b');
    assert.equal(tokenizer.label(261), '⟨U+200D⟩');
    assert.equal(tokenizer.label(999), '⟨id 999⟩');
    assert.equal(tokenizer.token(999), '');
  });
});
