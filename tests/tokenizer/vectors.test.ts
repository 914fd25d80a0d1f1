import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bundled } from '../../src/bundled.js';
import { openTokenizer, openTokenizerFile } from '../../src/tokenizer/index.js';
import { missing, sharedPath } from '../support/shared.js';
import { withFolder } from './support.js';

interface GoldenCase {
  name: string;
  text: string;
  ids: number[];
  decoded: string;
}

const read = (path: string): string => readFileSync(sharedPath(path) as string, 'utf8');
const SEPARATOR = '\n__ggml_vocab_test__\n';

/** llama.cpp's vectors: line i of `.out` holds the ids of piece i of `.inp`; a 47th input has no line. */
function ggmlVectors(path: string): { text: string; ids: number[] }[] {
  const texts = read(`${path}.inp`).split(SEPARATOR);
  const lines = read(`${path}.out`).split('\n').slice(0, 46);
  return lines.map((line, i) => ({ text: texts[i] as string, ids: line.split(' ').filter(Boolean).map(Number) }));
}

const LLAMA = 'data/llama-tokenizer';

test('LLaMA-2: the ids of llama.cpp', { skip: missing(LLAMA) }, async () => {
  const tokenizer = await openTokenizerFile(sharedPath(`${LLAMA}/tokenizer.model`) as string);
  const vectors = ggmlVectors(`${LLAMA}/ggml-vocab-llama-spm.gguf`);
  assert.equal(vectors.length, 46);
  for (const { text, ids } of vectors) {
    assert.deepEqual([...tokenizer.encode(text, { addSpecialTokens: false })], ids, JSON.stringify(text));
  }
});

test('LLaMA-2: the ids of llama2.c, BOS first', { skip: missing(LLAMA) }, async () => {
  const tokenizer = await openTokenizerFile(sharedPath(`${LLAMA}/tokenizer.model`) as string);
  const { cases }: { cases: GoldenCase[] } = JSON.parse(read(`${LLAMA}/llama2c_encodings.json`));
  for (const { text, ids } of cases) assert.deepEqual([...tokenizer.encode(text)], ids, JSON.stringify(text));
});

test('LLaMA-2: ids and texts of transformers.js', { skip: missing(LLAMA) }, async () => {
  const tokenizer = await openTokenizerFile(sharedPath(`${LLAMA}/tokenizer.model`) as string);
  const golden: Record<string, GoldenCase[]> = JSON.parse(read('data/golden/tokenization/llama.json'));
  const cases = golden['Xenova/llama-tokenizer'] as GoldenCase[];
  assert.equal(cases.length, 37);
  for (const { name, text, ids, decoded } of cases) {
    assert.deepEqual([...tokenizer.encode(text)], ids, name);
    assert.equal(tokenizer.decode(ids, { skipSpecialTokens: false }), decoded, name);
  }
});

for (const prefer of ['tokenizer.json', 'tokenizer.model'] as const) {
  test(`storyteller: the ids of SentencePiece, by ${prefer}`, async () => {
    const tokenizer = await openTokenizer(bundled.storyteller, { prefer });
    assert.deepEqual([tokenizer.vocabSize, tokenizer.bosId, tokenizer.eosId], [4096, 1, 2]);
    const golden: GoldenCase[] = JSON.parse(readFileSync(join(bundled.storyteller, 'golden_tokens.json'), 'utf8'));
    for (const { text, ids } of golden) {
      assert.deepEqual([...tokenizer.encode(text, { addSpecialTokens: false })], ids, JSON.stringify(text));
      assert.deepEqual([...tokenizer.encode(text)], [1, ...ids]);
      assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
    }
  });
}

const GPT2 = 'data/gpt2-tokenizer';

/** A tokenizer.json as transformers converts GPT-2's two files. */
function gpt2Json(): object {
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: true, special: true };
  return {
    added_tokens: [{ id: 50256, content: '<|endoftext|>', ...special }],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true },
    post_processor: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true },
    model: {
      type: 'BPE',
      vocab: JSON.parse(read(`${GPT2}/gpt2_vocab.json`)),
      merges: read(`${GPT2}/gpt2_merges.txt`).split('\n').filter((line) => line !== '' && !line.startsWith('#version')),
    },
  };
}

test('GPT-2, a byte-level BPE: ids of llama.cpp and transformers.js', { skip: missing(GPT2) }, async () => {
  await withFolder({ 'tokenizer.json': gpt2Json() }, async (folder) => {
    const tokenizer = await openTokenizer(folder);
    for (const { text, ids } of ggmlVectors(`${GPT2}/ggml-vocab-gpt-2.gguf`)) {
      assert.deepEqual([...tokenizer.encode(text)], ids, JSON.stringify(text));
    }
    const golden: Record<string, GoldenCase[]> = JSON.parse(read('data/golden/tokenization/gpt2.json'));
    for (const { name, text, ids } of golden['Xenova/gpt2'] as GoldenCase[]) {
      assert.deepEqual([...tokenizer.encode(text)], ids, name);
      // the golden texts are also cleaned of spaces before punctuation, which is not decoding
      assert.equal(tokenizer.decode(ids), text, name);
    }
    const { ids, offsets } = tokenizer.encodeWithOffsets('The 🦙 of Großbritannien.');
    assert.deepEqual(offsets.map(([start, end]) => 'The 🦙 of Großbritannien.'.slice(start, end)).slice(0, 4), [
      'The',
      ' 🦙',
      '🦙',
      '🦙',
    ]);
    assert.equal(tokenizer.label(ids[0] as number), 'The');
    assert.equal(tokenizer.label(tokenizer.id('Ġof') as number), '·of');
    assert.equal(tokenizer.label(tokenizer.id('Ċ') as number), '⏎');
    assert.equal(tokenizer.eosId, null);
  });
});
