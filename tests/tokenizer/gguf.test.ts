import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { TokenizerError } from '../../src/base/errors.js';
import { bundled } from '../../src/bundled.js';
import { loadModel } from '../../src/index.js';
import { openTokenizer, openTokenizerFile } from '../../src/tokenizer/index.js';
import type { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import {
  bool,
  f32,
  floats,
  ggufFile,
  int32s,
  text,
  texts,
  tinyGguf,
  u32,
  type GgufParts,
  type GgufValue,
} from '../support/gguf-file.js';
import { missing, sharedPath } from '../support/shared.js';
import { ODD_TEXTS, withFolder } from './support.js';

const read = (path: string): string => readFileSync(sharedPath(path) ?? '', 'utf8');

/** llama.cpp's vectors: line i of `.out` holds the ids of piece i of `.inp`; a 47th input has no line. */
function ggmlVectors(path: string): { text: string; ids: number[] }[] {
  const inputs = read(`${path}.inp`).split('\n__ggml_vocab_test__\n');
  const lines = read(`${path}.out`).split('\n').slice(0, 46);
  return lines.map((line, i) => ({ text: inputs[i] ?? '', ids: line.split(' ').filter(Boolean).map(Number) }));
}

const withTokenizer = <T>(
  metadata: GgufParts['metadata'],
  use: (tokenizer: Tokenizer) => T | Promise<T>,
): Promise<T> =>
  withFolder({ 'vocabulary.gguf': ggufFile({ metadata, tensors: [] }) }, async (folder) => {
    return use(await openTokenizer(join(folder, 'vocabulary.gguf')));
  });

const LLAMA = 'data/llama-tokenizer';
const GPT2 = 'data/gpt2-tokenizer';

describe('vocabularies of llama.cpp', { skip: missing('data') }, () => {
  test('LLaMA-2: its ids, and in all things the tokenizer of the SentencePiece file', async () => {
    const tokenizer = await openTokenizer(sharedPath(`${LLAMA}/ggml-vocab-llama-spm.gguf`) ?? '');
    assert.deepEqual([tokenizer.vocabSize, tokenizer.bosId, tokenizer.eosId], [32_000, 1, 2]);
    for (const { text: input, ids } of ggmlVectors(`${LLAMA}/ggml-vocab-llama-spm.gguf`)) {
      assert.deepEqual([...tokenizer.encode(input, { addSpecialTokens: false })], ids, JSON.stringify(input));
    }
    const twin = await openTokenizerFile(sharedPath(`${LLAMA}/tokenizer.model`) ?? '');
    assert.deepEqual(tokenizer.specialIds, twin.specialIds);
    for (const input of [...ODD_TEXTS, 'a <s> b</s>c']) {
      for (const options of [{}, { parseSpecial: false }]) {
        const encoded = twin.encodeWithOffsets(input, options);
        assert.deepEqual(tokenizer.encodeWithOffsets(input, options), encoded, JSON.stringify(input));
        assert.equal(tokenizer.decode(encoded.ids), twin.decode(encoded.ids));
      }
    }
    for (let id = 0; id < 32_000; id += 7) assert.equal(tokenizer.token(id), twin.token(id));
  });

  test('GPT-2: its ids, and texts of them', async () => {
    const tokenizer = await openTokenizer(sharedPath(`${GPT2}/ggml-vocab-gpt-2.gguf`) ?? '');
    assert.deepEqual([tokenizer.vocabSize, tokenizer.bosId, tokenizer.eosId], [50_257, 50_256, 50_256]);
    for (const { text: input, ids } of ggmlVectors(`${GPT2}/ggml-vocab-gpt-2.gguf`)) {
      assert.deepEqual([...tokenizer.encode(input)], ids, JSON.stringify(input));
      assert.equal(tokenizer.decode(ids), input);
    }
    assert.deepEqual([...tokenizer.encode('a<|endoftext|>')].at(-1), 50_256);
    assert.ok(![...tokenizer.encode('a<|endoftext|>', { parseSpecial: false })].includes(50_256));
  });
});

/** The pieces of the bundled model as llama.cpp's converter writes them. */
function storyPieces(): Record<string, GgufValue> {
  const json = JSON.parse(readFileSync(join(bundled.storyteller, 'tokenizer.json'), 'utf8')) as {
    model: { vocab: Record<string, number> };
  };
  const pieces: string[] = [];
  for (const [piece, id] of Object.entries(json.model.vocab)) pieces[id] = piece;
  const types = pieces.map((piece, id) => (id === 0 ? 2 : id < 3 ? 3 : /^<0x[0-9A-F]{2}>$/.test(piece) ? 6 : 1));
  return {
    'general.architecture': text('llama'),
    'tokenizer.ggml.model': text('llama'),
    'tokenizer.ggml.tokens': texts(pieces),
    // pieces are in the order of their scores
    'tokenizer.ggml.scores': floats(pieces.map((_, id) => -id)),
    'tokenizer.ggml.token_type': int32s(types),
    'tokenizer.ggml.bos_token_id': u32(1),
    'tokenizer.ggml.eos_token_id': u32(2),
  };
}

describe('pieces', () => {
  test('the bundled model’s: the ids of SentencePiece', async () => {
    const golden = JSON.parse(readFileSync(join(bundled.storyteller, 'golden_tokens.json'), 'utf8')) as {
      text: string;
      ids: number[];
    }[];
    await withTokenizer(storyPieces(), (tokenizer) => {
      for (const { text: input, ids } of golden) {
        assert.deepEqual([...tokenizer.encode(input)], [1, ...ids], JSON.stringify(input));
        assert.equal(tokenizer.decode(ids), input);
      }
    });
  });

  test('what the file says of BOS, EOS and spaces', async () => {
    const pieces = storyPieces();
    const ids = await withTokenizer(pieces, (tokenizer) => [...tokenizer.encode('the end')]);
    const ends = { 'tokenizer.ggml.add_bos_token': bool(false), 'tokenizer.ggml.add_eos_token': bool(true) };
    await withTokenizer({ ...pieces, ...ends }, (tokenizer) => {
      assert.deepEqual([...tokenizer.encode('the end')], [...ids.slice(1), 2]);
    });
    await withTokenizer({ ...pieces, 'tokenizer.ggml.add_space_prefix': bool(false) }, (tokenizer) => {
      assert.deepEqual([...tokenizer.encode(' the end')], ids);
      assert.equal(tokenizer.decode(ids), ' the end');
    });
    await withTokenizer({ ...pieces, 'tokenizer.ggml.remove_extra_whitespaces': bool(true) }, (tokenizer) => {
      assert.deepEqual([...tokenizer.encode('  the   end ')], ids);
    });
    const { 'tokenizer.ggml.bos_token_id': _, 'tokenizer.ggml.eos_token_id': __, ...silent } = pieces;
    await withTokenizer(silent, (tokenizer) => assert.deepEqual([tokenizer.bosId, tokenizer.eosId], [1, 2]));
  });

  test('without all bytes, what is no piece is unknown', async () => {
    const metadata = {
      'tokenizer.ggml.model': text('llama'),
      'tokenizer.ggml.tokens': texts(['<unk>', '<s>', '</s>', '<0x21>', '▁', 'a', '▁a']),
      'tokenizer.ggml.token_type': int32s([2, 3, 3, 6, 1, 1, 1]),
    };
    await withTokenizer(metadata, (tokenizer) => {
      assert.deepEqual([...tokenizer.encode('a a!')], [1, 6, 6, 0]);
    });
  });
});

/** Characters that stand for bytes, and some merges. */
function byteLevel(pre: string, more: Record<string, GgufValue> = {}): Record<string, GgufValue> {
  const characters = ["'", ...'abcdefghijklmnopqrstuvwxyz0123456789.,Ġ'];
  const merges = ['Ġ a', 't h', 'th e', '1 2', '12 3', '3 4'];
  const merged = merges.map((merge) => merge.replace(' ', ''));
  const tokens = [...characters, ...merged, 'whole', '<|bos|>', '<|eot|>', '<|tool|>'];
  return {
    'general.architecture': text('llama'),
    'tokenizer.ggml.model': text('gpt2'),
    'tokenizer.ggml.pre': text(pre),
    'tokenizer.ggml.tokens': texts(tokens),
    'tokenizer.ggml.token_type': int32s(tokens.map((_, i) => [4, 3, 3][tokens.length - 1 - i] ?? 1)),
    'tokenizer.ggml.merges': texts(merges),
    'tokenizer.ggml.bos_token_id': u32(tokens.indexOf('<|bos|>')),
    'tokenizer.ggml.eos_token_id': u32(tokens.indexOf('<|eot|>')),
    ...more,
  };
}

describe('byte-level BPE', () => {
  const split = (pre: string, input: string, more: Record<string, GgufValue> = {}) =>
    withTokenizer(byteLevel(pre, more), (tokenizer) =>
      Array.from(tokenizer.encode(input), (id) => tokenizer.token(id)),
    );

  test('words are cut as the file names it', async () => {
    assert.deepEqual(await split('gpt-2', 'the1234'), ['the', '123', '4']);
    assert.deepEqual(await split('llama-bpe', 'the1234'), ['<|bos|>', 'the', '123', '4']);
    assert.deepEqual(await split('qwen2', 'the1234'), ['the', '1', '2', '3', '4']);
    assert.deepEqual(await split('smollm', 'the 1234 a'), ['the', 'Ġ', '1', '2', '3', '4', 'Ġa']);
    assert.deepEqual(await split('gpt-2', '234'), ['2', '34']);
    // groups of three digits, so that no merge reaches over them
    assert.deepEqual(await split('llama3', '00012'), ['<|bos|>', '0', '0', '0', '12']);
  });

  test('a word that is an entry is taken whole by LLaMA 3 alone', async () => {
    assert.deepEqual(await split('llama-bpe', 'whole'), ['<|bos|>', 'whole']);
    assert.deepEqual(await split('gpt-2', 'whole'), [...'whole']);
  });

  test('BOS and EOS as the file says, control tokens special, tools not', async () => {
    const ends = { 'tokenizer.ggml.add_bos_token': bool(true), 'tokenizer.ggml.add_eos_token': bool(true) };
    assert.deepEqual(await split('gpt-2', 'a', ends), ['<|bos|>', 'a', '<|eot|>']);
    assert.deepEqual(await split('llama-bpe', 'a', { 'tokenizer.ggml.add_bos_token': bool(false) }), ['a']);
    assert.deepEqual(await split('gpt-2', 'a<|tool|>b'), ['a', '<|tool|>', 'b']);
    await withTokenizer(byteLevel('gpt-2'), (tokenizer) => {
      const ids = tokenizer.encode('a<|tool|><|eot|>');
      assert.equal(tokenizer.decode(ids), 'a<|tool|>');
      assert.deepEqual([...tokenizer.specialIds].map((id) => tokenizer.token(id)).sort(), ['<|bos|>', '<|eot|>']);
    });
  });
});

describe('a model of a GGUF file', () => {
  const tiny = tinyGguf({ weights: 'F32' });

  test('brings its tokenizer', async () => {
    const pieces = ['<unk>', '<s>', '</s>', ...Array.from({ length: 21 }, (_, i) => `▁w${i}`)];
    const metadata = {
      ...tiny.metadata,
      'tokenizer.ggml.model': text('llama'),
      'tokenizer.ggml.tokens': texts(pieces),
      'tokenizer.ggml.token_type': int32s(pieces.map((_, id) => [2, 3, 3][id] ?? 4)),
      'tokenizer.ggml.eot_token_id': u32(7),
    };
    await withFolder({ 'm.gguf': ggufFile({ ...tiny, metadata }) }, async (folder) => {
      const model = await loadModel(join(folder, 'm.gguf'));
      assert.deepEqual([...model.tokenizer.encode('w3 w20')], [1, 6, 23]);
      assert.deepEqual(model.config.eosTokenIds, [2, 7]);
      const { text: continued, ids } = await model.generate('w3', { temperature: 0, maxTokens: 3, ignoreEos: true });
      assert.equal(continued, model.tokenizer.decode([6, ...ids]).slice('w3'.length));
      model.dispose();
    });
  });

  test('without one, prompts are ids', async () => {
    const kinds: GgufParts['metadata'][] = [{}, { 'tokenizer.ggml.model': text('none') }];
    for (const kind of kinds) {
      await withFolder({ 'm.gguf': ggufFile({ ...tiny, metadata: { ...tiny.metadata, ...kind } }) }, async (folder) => {
        const model = await loadModel(join(folder, 'm.gguf'));
        assert.equal(model.tokenizer.label(3), '⟨3⟩');
        assert.throws(() => model.tokenizer.encode('a'), TokenizerError);
        model.dispose();
      });
    }
  });
});

describe('a vocabulary that is read when it is used', () => {
  const key = (name: string) => `tokenizer.ggml.${name}`;
  const withFile = <T>(file: Uint8Array, use: (folder: string) => Promise<T>): Promise<T> =>
    withFolder({ 'tokenizer.gguf': file, 'v.gguf': file }, use);

  test('is in all things the one that is read at once', async () => {
    await withFile(ggufFile({ metadata: storyPieces(), tensors: [] }), async (folder) => {
      const expected = await openTokenizer(join(folder, 'v.gguf'));
      const open = () => openTokenizer(folder);
      const first = await open();
      assert.deepEqual(
        [first.vocabSize, first.bosId, first.eosId, first.specialIds],
        [expected.vocabSize, expected.bosId, expected.eosId, expected.specialIds],
      );
      for (const input of ODD_TEXTS) {
        const { ids, offsets } = expected.encodeWithOffsets(input);
        const tokenizer = await open();
        assert.equal(tokenizer.decode(ids), expected.decode(ids), JSON.stringify(input));
        assert.deepEqual(tokenizer.encodeWithOffsets(input), { ids, offsets }, JSON.stringify(input));
      }
      for (let id = 0; id <= expected.vocabSize; id++) assert.equal(first.token(id), expected.token(id));
      assert.equal(first.id(expected.token(300)), 300);
    });
  });

  test('tells of a bad entry whenever it is used, and goes on for the others', async () => {
    const pieces = ['<unk>', 'a', 'bb', 'a', ''];
    const metadata = {
      [key('model')]: text('llama'),
      [key('tokens')]: texts(pieces),
      [key('token_type')]: int32s([2, 1, 1, 1, 1]),
    };
    const file = ggufFile({ metadata, tensors: [] });
    await withFile(file, async (folder) => {
      const tokenizer = await openTokenizer(folder);
      const twice = { name: 'TokenizerError', thing: key('tokens[3]'), found: '"a"', where: join(folder, 'tokenizer.gguf') };
      for (let time = 0; time < 2; time++) {
        assert.throws(() => tokenizer.encode('a'), { ...twice, expected: 'a text other than that of entry 1' });
        assert.throws(() => tokenizer.id('bb'), twice);
        assert.equal(tokenizer.decode([1, 2]), 'abb');
      }
      await assert.rejects(openTokenizer(join(folder, 'v.gguf')), { ...twice, where: join(folder, 'v.gguf') });
    });
    await withFile(file.with(Buffer.from(file).indexOf('bb'), 0xff), async (folder) => {
      const tokenizer = await openTokenizer(folder);
      assert.throws(() => tokenizer.token(2), /ggml\.tokens: found "?bytes that are not UTF-8/);
      assert.equal(tokenizer.token(1), 'a');
    });
  });
});

describe('tokenizers that cannot be', () => {
  const spm = storyPieces();
  const bpe = byteLevel('gpt-2');
  const key = (name: string) => `tokenizer.ggml.${name}`;
  const cases: Record<string, [metadata: Record<string, GgufValue>, thing: string, found: string, expected: string]> = {
    'none at all': [{ 'general.architecture': text('llama') }, 'model', 'null', '"llama" or "gpt2"'],
    'another kind': [{ ...spm, [key('model')]: text('bert') }, 'model', '"bert"', '"llama" or "gpt2"'],
    'no vocabulary': [{ [key('model')]: text('llama') }, 'tokens', 'nothing', 'a vocabulary'],
    'an empty vocabulary': [{ ...spm, [key('tokens')]: texts([]) }, 'tokens', 'an array of 0', 'a vocabulary'],
    'an empty entry': [{ ...bpe, [key('tokens')]: texts(['a', '']) }, 'tokens[1]', '""', 'some text'],
    'an entry twice': [{ ...bpe, [key('tokens')]: texts(['a', 'b', 'a']) }, 'tokens[2]', '"a"', 'that of entry 0'],
    'scores of another number': [{ ...spm, [key('scores')]: floats([0, 1]) }, 'scores', '2 numbers', '4096'],
    'a score that is no number': [
      { [key('model')]: text('llama'), [key('tokens')]: texts(['<unk>', 'a']), [key('scores')]: floats([0, NaN]) },
      'scores[1]',
      'NaN',
      'a finite number',
    ],
    'a type that there is none of': [
      { ...bpe, [key('tokens')]: texts(['a', 'b']), [key('token_type')]: int32s([1, 7]) },
      'token_type[1]',
      '7',
      '1 to 6',
    ],
    'a byte without its name': [
      { [key('model')]: text('llama'), [key('tokens')]: texts(['<unk>', 'a']), [key('token_type')]: int32s([2, 6]) },
      'tokens[1]',
      '"a"',
      '<0x00> to <0xFF>',
    ],
    'nothing for what is unknown': [
      { [key('model')]: text('llama'), [key('tokens')]: texts(['a', 'b']) },
      'unknown_token_id',
      'nothing',
      'a piece for each byte',
    ],
    'an id beyond the vocabulary': [{ ...spm, [key('bos_token_id')]: u32(4096) }, 'bos_token_id', '4096', 'below 4096'],
    'an id that is no whole number': [{ ...spm, [key('eos_token_id')]: f32(0.5) }, 'eos_token_id', '0.5', 'an id'],
    'a flag that is a number': [{ ...spm, [key('add_bos_token')]: u32(1) }, 'add_bos_token', '1', 'true or false'],
    'no name of how words are cut': [
      Object.fromEntries(Object.entries(bpe).filter(([name]) => name !== key('pre'))),
      'pre',
      'nothing',
      'gpt-2, olmo, llama-bpe',
    ],
    'an unknown way to cut words': [{ ...bpe, [key('pre')]: text('viking') }, 'pre', '"viking"', 'smollm'],
    'a way named as a prototype is': [{ ...bpe, [key('pre')]: text('constructor') }, 'pre', '"constructor"', 'qwen2'],
    'no merges': [
      Object.fromEntries(Object.entries(bpe).filter(([name]) => name !== key('merges'))),
      'merges',
      'nothing',
      'an array of texts',
    ],
    'a merge of no entries': [{ ...bpe, [key('merges')]: texts(['a ß']) }, 'merges[0]', '"a ß"', 'two entries'],
  };
  for (const [what, [metadata, thing, found, expected]] of Object.entries(cases)) {
    test(what, async () => {
      await withFolder({ 'v.gguf': ggufFile({ metadata, tensors: [] }) }, async (folder) => {
        const path = join(folder, 'v.gguf');
        await assert.rejects(openTokenizer(path), (error) => {
          assert.ok(error instanceof TokenizerError, String(error));
          assert.ok(error.thing.startsWith('tokenizer.ggml.') && error.thing.endsWith(thing), error.message);
          assert.ok(String(error.found).includes(found) && String(error.expected).includes(expected), error.message);
          assert.equal(error.where, path);
          return true;
        });
      });
    });
  }

  test('texts that are not UTF-8, numbers where texts are', async () => {
    const file = ggufFile({ metadata: { ...bpe, [key('tokens')]: texts(['a', 'bb']) }, tensors: [] });
    const at = Buffer.from(file).indexOf('bb');
    const numbers = ggufFile({ metadata: { ...bpe, [key('tokens')]: floats([1]) }, tensors: [] });
    await withFolder({ 'v.gguf': file.with(at, 0xff), 'w.gguf': numbers }, async (folder) => {
      await assert.rejects(openTokenizer(join(folder, 'v.gguf')), /ggml\.tokens: found "?bytes that are not UTF-8/);
      await assert.rejects(openTokenizer(join(folder, 'w.gguf')), /ggml\.tokens: found "?an array of others/);
    });
  });
});
