import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gguf } from '@huggingface/gguf';
import { OptionError, UnknownNameError } from '../../src/base/errors.js';
import { openCheckpoint } from '../../src/checkpoint/index.js';
import { makeWeights, WEIGHT_FORMATS, type MakeWeightsOptions } from '../../src/checkpoint/random/make-weights.js';
import { randomPacked } from '../../src/checkpoint/random/random-matrix.js';
import { RandomWords } from '../../src/checkpoint/random/random-words.js';
import { dequantize, formName, formOf, groupSlot, groupsPerRow, packMatrix, storageArrays, unpackCodes, type MatrixStorage } from '../../src/matrix/index.js';
import { loadWeights } from '../../src/model/load-weights.js';
import { LINEAR_NAMES, type LlamaWeights } from '../../src/model/weights.js';
import { loadModel } from '../../src/opened-model.js';
import { withFolder } from '../support/tiny-checkpoint.js';

async function weightsOf(path: string): Promise<LlamaWeights> {
  const checkpoint = await openCheckpoint(path);
  return loadWeights(checkpoint).finally(() => checkpoint.close());
}

/** Mean and variance of a matrix's weights. */
function moments(matrix: MatrixStorage): { mean: number; variance: number } {
  const weights = dequantize(matrix);
  const mean = weights.reduce((sum, weight) => sum + weight, 0) / weights.length;
  return { mean, variance: weights.reduce((sum, weight) => sum + (weight - mean) ** 2, 0) / weights.length };
}

/** Of dim 288, 6 layers, ffn 768, vocabulary 32000: matrices and gains. */
const PARAMETERS = 2 * 32000 * 288 + 6 * (4 * 288 * 288 + 3 * 288 * 768 + 2 * 288) + 288;

/** What the matrices of each format are, and about how many bits a weight of all has. */
const EXPECTED: Readonly<Record<MakeWeightsOptions['format'], { embedding: string; head: string; layers: string[]; bits: number }>> = {
  gguf: { embedding: 'int4 g32', head: 'int4 g32', layers: ['int4 g32'], bits: 4.5 },
  int4: { embedding: 'f16', head: 'int4 g32', layers: ['int4 g128'], bits: (9216 * 16 + 9216 * 4.5 + 5972 * 4.2) / 24404 },
  mixed: { embedding: 'f16', head: 'int4 g32', layers: ['int4 g128', 'int3 g128'], bits: (9216 * 16 + 9216 * 4.5 + 5972 * 3.8) / 24404 },
  bf16: { embedding: 'bf16', head: 'bf16', layers: ['bf16'], bits: 16 },
};

describe('makeWeights', () => {
  for (const format of WEIGHT_FORMATS) {
    test(`${format}: what it says, of the variance that keeps activations of order 1, and it runs`, async () => {
      await withFolder({}, async (folder) => {
        const path = join(folder, format === 'gguf' ? 'model.gguf' : 'model');
        const seen: number[] = [];
        const made = await makeWeights(path, { shape: '24m', format, seed: 5, onProgress: (done, total) => seen.push(done / total) });
        const file = format === 'gguf' ? path : join(path, 'model.safetensors');
        assert.deepEqual(made, { path, shape: '24m', format, seed: 5, parameters: PARAMETERS, bytes: (await stat(file)).size });
        assert.equal(seen.at(-1), 1);
        const { embedding, head, layers, bits } = EXPECTED[format];
        const foundBits = (8 * made.bytes) / made.parameters;
        assert.ok(Math.abs(foundBits / bits - 1) < 0.05, `${foundBits} bits`);

        const { config, ...weights } = await weightsOf(path);
        const nameOf = (matrix: MatrixStorage) => formName(formOf(matrix));
        assert.equal(nameOf(weights.embed_tokens), embedding);
        assert.equal(nameOf(weights.lm_head.weight), head);
        const linears = weights.layers.flatMap((layer) => LINEAR_NAMES.map((name) => layer[name].weight));
        assert.deepEqual([...new Set(linears.map(nameOf))].sort(), [...layers].sort());
        for (const form of layers) assert.equal(linears.filter((one) => nameOf(one) === form).length, 42 / layers.length);
        for (const matrix of [weights.embed_tokens, weights.lm_head.weight, ...linears]) {
          const { mean, variance } = moments(matrix);
          const expected = matrix === weights.embed_tokens ? 1 : 1 / matrix.inFeatures;
          // squares of scales deviate from their mean by 0.54 of it; five standard errors of that
          const scales = matrix.kind === 'packed' ? matrix.outFeatures * groupsPerRow(matrix.inFeatures, matrix.groupSize) : Infinity;
          const deviation = (5 * 0.54) / Math.sqrt(scales);
          assert.ok(Math.abs(variance / expected - 1) < 0.01 + deviation, `variance ${variance}, expected ${expected}`);
          assert.ok(Math.abs(mean) < 0.02 * Math.sqrt(expected), `mean ${mean}`);
        }
        assert.ok([weights.norm, ...weights.layers.map((layer) => layer.input_layernorm)].every((gain) => gain.every((one) => one === 1)));

        const model = await loadModel(path);
        const { logits } = await model.run(Int32Array.of(1, 300, 4000));
        const spread = Math.sqrt(logits.reduce((sum, logit) => sum + logit * logit, 0) / logits.length);
        assert.ok(spread > 0.5 && spread < 2, `logits of ${spread}`);
      });
    });
  }

  test('the same seed gives the same bytes, another one others, and tensors differ', async () => {
    await withFolder({}, async (folder) => {
      for (const format of ['gguf', 'mixed'] as const) {
        const bytesOf = async (name: string, seed?: number) => {
          const path = join(folder, `${format}-${name}`);
          await makeWeights(path, { shape: '24m', format, seed });
          return readFile(format === 'gguf' ? path : join(path, 'model.safetensors'));
        };
        const [first, again, other, unnamed] = [await bytesOf('a', 0), await bytesOf('b', 0), await bytesOf('c', 1), await bytesOf('d')];
        assert.ok(first.equals(again));
        assert.ok(first.equals(unnamed));
        assert.ok(!first.equals(other));
      }
      const { layers } = await weightsOf(join(folder, 'gguf-a'));
      const codes = layers.flatMap(({ q_proj, k_proj, v_proj }) => [q_proj, k_proj, v_proj].map(({ weight }) => storageArrays(weight)[0]));
      assert.equal(new Set(codes.map((array) => Buffer.from(array.buffer, array.byteOffset, 64).toString('hex'))).size, codes.length);
    });
  });

  test('a GGUF file has what llama.cpp asks for, as another reader sees it', async () => {
    await withFolder({}, async (folder) => {
      const path = join(folder, 'model.gguf');
      await makeWeights(path, { shape: '24m', format: 'gguf' });
      const { metadata, tensorInfos } = await gguf(path, { allowLocalFile: true });
      const values = new Map<string, unknown>(Object.entries(metadata));
      const sizes = { embedding_length: 288, block_count: 6, feed_forward_length: 768, 'attention.head_count': 6, 'attention.head_count_kv': 6, vocab_size: 32000 };
      for (const [key, value] of Object.entries(sizes)) assert.equal(values.get(`llama.${key}`), value, key);
      assert.equal(values.get('general.architecture'), 'llama');
      const [tokens, scores, types] = ['tokens', 'scores', 'token_type'].map((key) => values.get(`tokenizer.ggml.${key}`));
      assert.ok(Array.isArray(tokens) && Array.isArray(scores) && Array.isArray(types));
      assert.deepEqual([tokens.length, scores.length, types.length], [32000, 32000, 32000]);
      assert.equal(new Set(tokens).size, 32000);
      assert.deepEqual([...tokens.slice(0, 4), tokens[258]], ['<unk>', '<s>', '</s>', '<0x00>', '<0xFF>']);
      const names = ['attn_norm', 'attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_norm', 'ffn_gate', 'ffn_up', 'ffn_down'];
      const layers = Array.from({ length: 6 }, (_, i) => names.map((name) => `blk.${i}.${name}.weight`));
      assert.deepEqual(tensorInfos.map(({ name }) => name), ['token_embd.weight', ...layers.flat(), 'output_norm.weight', 'output.weight']);
      for (const { name, dtype } of tensorInfos) assert.equal(dtype, /norm/.test(name) ? 0 : 2, name);
      const { tokenizer } = await loadModel(path);
      for (const text of ['hello there', 'Fünf + 7!\n']) assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
    });
  });

  test('what cannot be is refused, and leaves nothing behind', async () => {
    await withFolder({}, async (folder) => {
      const options: MakeWeightsOptions = { shape: '24m', format: 'gguf' };
      const make = (name: string, change: object = {}) => makeWeights(join(folder, name), { ...options, ...change });
      await writeFile(join(folder, 'file'), 'kept');
      await mkdir(join(folder, 'taken'));
      await writeFile(join(folder, 'taken', 'file'), '');
      await assert.rejects(make('new', { shape: '7b' }), /shape: found 7b, expected 24m, 1\.1b, 3b/);
      await assert.rejects(make('new', { format: 'int5' }), OptionError);
      for (const seed of [-1, 0.5, 2 ** 32, NaN]) await assert.rejects(make('new', { seed }), OptionError);
      await assert.rejects(make('new', { sead: 1 }), UnknownNameError);
      await assert.rejects(make('file'), /output file: found a file, expected a name that is not taken/);
      await assert.rejects(make('taken'), /output file: found a folder/);
      await assert.rejects(make('taken', { format: 'int4' }), OptionError);
      await assert.rejects(make('new', { signal: AbortSignal.abort() }), { name: 'AbortError' });
      for (const format of WEIGHT_FORMATS) {
        const controller = new AbortController();
        const onProgress = () => controller.abort();
        await assert.rejects(make('new', { format, signal: controller.signal, onProgress }), { name: 'AbortError' });
      }
      assert.deepEqual((await readdir(folder)).sort(), ['file', 'taken']);
      assert.equal(await readFile(join(folder, 'file'), 'utf8'), 'kept');
    });
  });
});

test('a random matrix has zeros where it is filled up, and the same numbers otherwise as one that is packed', async () => {
  for (const [outFeatures, inFeatures] of [[32, 64], [32, 70], [7, 64], [35, 33]]) {
    for (const bits of [3, 4, 8] as const) {
      for (const zeros of [true, false]) {
        const form = { kind: 'packed', bits, groupSize: 32, scales: 'f16', zeros, offsets: false } as const;
        const matrix = await randomPacked(new RandomWords(1, 'a'), form, { outFeatures, inFeatures }, async () => {});
        const groups = groupsPerRow(inFeatures, 32);
        const slots = Array.from({ length: outFeatures * groups }, (_, i) => groupSlot(Math.floor(i / groups), i % groups, groups));
        const scales = Uint16Array.from(slots, (slot) => matrix.scales[slot]);
        const points = matrix.zeros && Uint8Array.from(slots, (slot) => matrix.zeros?.[slot] ?? 0);
        assert.ok(scales.every((scale) => (scale & 0x7fff) !== 0));
        assert.deepEqual(matrix, packMatrix({ ...matrix, codes: unpackCodes(matrix), scales, zeros: points }));
      }
    }
  }
});

describe('RandomWords', () => {
  test('bits are even, streams of other names and seeds differ, and pieces continue each other', () => {
    const words = new RandomWords(1, 'a').bytes(2 ** 18);
    for (let bit = 0; bit < 8; bit++) {
      const ones = words.reduce((sum, byte) => sum + ((byte >> bit) & 1), 0);
      // five standard deviations of a fair coin
      assert.ok(Math.abs(ones - 2 ** 17) < 5 * Math.sqrt(2 ** 16), `bit ${bit}: ${ones}`);
    }
    const start = (seed: number, name: string) => Buffer.from(new RandomWords(seed, name).bytes(64)).toString('hex');
    assert.equal(new Set([start(1, 'a'), start(2, 'a'), start(1, 'b'), start(0, ''), start(2 ** 32 - 1, 'a')]).size, 5);
    const pieces = new RandomWords(1, 'a');
    assert.deepEqual(Buffer.concat([pieces.bytes(8), pieces.bytes(100)]), Buffer.from(words.subarray(0, 108)));
    assert.equal(pieces.halves(3).length, 3);
  });
});
