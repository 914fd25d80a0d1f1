import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openTokenizer, type Tokenizer } from '../../src/tokenizer/index.js';
import { withFolder } from './support.js';

const vocabulary = (...tokens: string[]): Record<string, number> =>
  Object.fromEntries(tokens.map((token, id) => [token, id]));

const FUSED = { type: 'Sequence', decoders: [{ type: 'Fuse' }] };

const open = (json: object, files: Record<string, object> = {}): Promise<Tokenizer> =>
  withFolder({ 'tokenizer.json': json, ...files }, (folder) => openTokenizer(folder));

const tokens = (tokenizer: Tokenizer, text: string): string[] =>
  [...tokenizer.encode(text, { addSpecialTokens: false })].map((id) => tokenizer.token(id));

describe('tokenizer.json', () => {
  test('Metaspace puts a space sign first as its scheme says, and none where there is one', async () => {
    const json = (scheme: string) => ({
      added_tokens: [{ id: 4, content: '<s>', special: true }],
      pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: scheme, split: false },
      decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: scheme },
      model: { type: 'BPE', vocab: vocabulary('▁', 'a', '▁a', 'b', '<s>'), merges: [['▁', 'a']] },
    });
    assert.deepEqual(tokens(await open(json('first')), 'a<s>a'), ['▁a', '<s>', 'a']);
    assert.deepEqual(tokens(await open(json('always')), 'a<s>a'), ['▁a', '<s>', '▁a']);
    assert.deepEqual(tokens(await open(json('never')), 'a<s> a'), ['a', '<s>', '▁a']);
    const first = await open(json('first'));
    assert.deepEqual(tokens(first, ' a'), ['▁a']);
    assert.equal(first.decode(first.encode('a a')), 'a a');
    assert.deepEqual(first.encodeWithOffsets('a a').offsets, [[0, 1], [1, 3]]);
  });

  test('Metaspace with split keeps merges inside words', async () => {
    const json = (split: boolean) => ({
      pre_tokenizer: { type: 'Metaspace', prepend_scheme: 'never', split },
      decoder: { type: 'Metaspace', prepend_scheme: 'never' },
      model: { type: 'BPE', vocab: vocabulary('▁', 'a', 'a▁', 'b'), merges: ['a ▁'] },
    });
    assert.deepEqual(tokens(await open(json(true)), 'a b'), ['a', '▁', 'b']);
    assert.deepEqual(tokens(await open(json(false)), 'a b'), ['a▁', 'b']);
  });

  test('a normaliser of the engine keeps offsets exact', async () => {
    const tokenizer = await open({
      normalizer: { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Lowercase' }] },
      decoder: FUSED,
      model: { type: 'BPE', unk_token: '?', vocab: vocabulary('?', 'é', 'a', 'b'), merges: [] },
    });
    const text = 'AE\u0301b';
    const { ids, offsets } = tokenizer.encodeWithOffsets(text);
    assert.deepEqual([...ids], [2, 1, 3]);
    assert.deepEqual(offsets, [[0, 1], [1, 3], [3, 4]]);
    assert.equal(tokenizer.decode(ids), 'aéb');
  });

  test('unknown characters: one token each, or one for a run if the file says fuse_unk', async () => {
    const json = (fuse: boolean) => ({
      decoder: FUSED,
      model: { type: 'BPE', unk_token: '?', fuse_unk: fuse, vocab: vocabulary('?', 'a'), merges: [] },
    });
    assert.deepEqual((await open(json(false))).encodeWithOffsets('x🙂a').offsets, [[0, 1], [1, 3], [3, 4]]);
    assert.deepEqual((await open(json(true))).encodeWithOffsets('x🙂a').offsets, [[0, 3], [3, 4]]);
  });

  test('added tokens: longest first, white space taken along, not inside words', async () => {
    const tokenizer = await open({
      added_tokens: [
        { id: 10, content: '<x>' },
        { id: 11, content: '<x><x>', special: true },
        { id: 12, content: '<m>', lstrip: true, rstrip: true, normalized: false },
        { id: 13, content: 'ab', single_word: true, normalized: false },
      ],
      decoder: FUSED,
      model: { type: 'BPE', vocab: vocabulary('a', 'b', ' ', '<', 'x', '>'), merges: [] },
    });
    assert.deepEqual([...tokenizer.encode('<x><x><x>')], [11, 10]);
    assert.deepEqual([...tokenizer.encode('<x><x><x>', { parseSpecial: false })], [10, 10, 10]);
    assert.deepEqual(tokenizer.encodeWithOffsets('a <m> b').offsets, [[0, 1], [1, 6], [6, 7]]);
    assert.deepEqual([...tokenizer.encode('ab aba ab')], [13, 2, 0, 1, 0, 2, 13]);
    assert.equal(tokenizer.decode([0, 11, 10, 1]), 'a<x>b');
    assert.deepEqual([tokenizer.vocabSize, tokenizer.id('<m>'), tokenizer.token(9)], [14, 12, '']);
  });

  test('the template comes from the file; a LLaMA tokenizer makes it anew from its settings', async () => {
    const json = {
      added_tokens: [{ id: 1, content: '<s>', special: true }, { id: 2, content: '</s>', special: true }],
      post_processor: {
        type: 'Sequence',
        processors: [
          { type: 'ByteLevel' },
          {
            type: 'TemplateProcessing',
            single: [{ SpecialToken: { id: '<s>' } }, { Sequence: { id: 'A' } }, { SpecialToken: { id: '</s>' } }],
            special_tokens: { '<s>': { ids: [1] }, '</s>': { ids: [2] } },
          },
        ],
      },
      decoder: FUSED,
      model: { type: 'BPE', vocab: vocabulary('a'), merges: [] },
    };
    const settings = { bos_token: '<s>', eos_token: '</s>', add_bos_token: false };
    const ofFile = await open(json, { 'tokenizer_config.json': settings });
    assert.deepEqual([...ofFile.encode('a')], [1, 0, 2]);
    const llama = await open(json, { 'tokenizer_config.json': { ...settings, tokenizer_class: 'LlamaTokenizerFast' } });
    assert.deepEqual([...llama.encode('a')], [0]);
    const { offsets } = ofFile.encodeWithOffsets('a');
    assert.deepEqual(offsets, [[0, 0], [0, 1], [1, 1]]);
  });

  test('BOS and EOS: by name, else from the special tokens map, else by the model’s config', async () => {
    const json = { decoder: FUSED, model: { type: 'BPE', vocab: vocabulary('a', '<s>', '</s>'), merges: [] } };
    const map = { 'special_tokens_map.json': { bos_token: '<s>', eos_token: { content: '</s>' } } };
    const ids = async (files: Record<string, object>) => {
      const { bosId, eosId } = await open(json, files);
      return [bosId, eosId];
    };
    assert.deepEqual(await ids({}), [null, null]);
    assert.deepEqual(await ids(map), [1, 2]);
    assert.deepEqual(await ids({ ...map, 'tokenizer_config.json': { bos_token: '</s>' } }), [2, 2]);
    assert.deepEqual(await ids({ 'config.json': { bos_token_id: 1, eos_token_id: [2, 0] } }), [1, 2]);
    assert.deepEqual(await ids({ 'generation_config.json': { eos_token_id: 2 }, 'config.json': {} }), [null, 2]);
    assert.deepEqual(await ids({ 'config.json': { eos_token_id: 77 } }), [null, null]);
  });

  test('a byte-level file with patterns: offsets in code units, a prefix space that stands for nothing', async () => {
    const tokenizer = await open({
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Split', pattern: { Regex: '\\d' }, behavior: 'Isolated' },
          { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
        ],
      },
      decoder: { type: 'ByteLevel' },
      model: { type: 'BPE', vocab: vocabulary('a', '1', '2', 'Ã', '©', 'Ġ', 'Ġa'), merges: ['Ġ a'] },
    });
    assert.deepEqual(tokens(tokenizer, 'a12 aé'), ['a', '1', '2', 'Ġa', 'Ã', '©']);
    assert.deepEqual(tokenizer.encodeWithOffsets(' aé1').offsets, [[0, 2], [2, 3], [2, 3], [3, 4]]);
    assert.equal(tokenizer.label(3), '⟨C3⟩');
    assert.equal(tokenizer.decode([3, 4, 6]), 'é a');
    const byteOrderMark = await open({
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false },
      decoder: { type: 'ByteLevel' },
      model: { type: 'BPE', vocab: vocabulary('ï', '»', '¿'), merges: [] },
    });
    assert.equal(byteOrderMark.decode(byteOrderMark.encode('\ufeff\ufeff')), '\ufeff\ufeff');
    const prefixed = await open({
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: true },
      decoder: { type: 'ByteLevel' },
      model: { type: 'BPE', vocab: vocabulary('a', 'Ġ', 'Ġa'), merges: ['Ġ a'] },
    });
    assert.deepEqual(prefixed.encodeWithOffsets('a').offsets, [[0, 1]]);
    assert.deepEqual([...prefixed.encode('a')], [2]);
  });
});
