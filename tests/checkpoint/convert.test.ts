import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import { CheckpointError, OptionError, UnknownNameError } from '../../src/base/errors.js';
import { bundled } from '../../src/bundled.js';
import { convertCheckpoint, type ConvertOptions } from '../../src/checkpoint/convert-checkpoint.js';
import { inspectCheckpoint, openCheckpoint } from '../../src/checkpoint/index.js';
import { storageArrays } from '../../src/matrix/index.js';
import { loadWeights } from '../../src/model/load-weights.js';
import { LINEAR_NAMES, type LlamaWeights } from '../../src/model/weights.js';
import { isMapped } from '../../src/native/mapped-files.js';
import { native } from '../../src/native/native.js';
import { loadModel } from '../../src/opened-model.js';
import { quantizeCheckpoint } from '../../src/quantization/index.js';
import { blockGguf, floats, ggufFile, int32s, text, texts, tinyGguf, u32, type GgufParts } from '../support/gguf-file.js';
import { bytesOf, tinyFolder, withFolder, type FolderFiles, type TinyOptions } from '../support/tiny-checkpoint.js';

const FILE = 'model.safetensors';

async function weightsOf(path: string, load?: 'map' | 'copy'): Promise<LlamaWeights> {
  const checkpoint = await openCheckpoint(path, { load });
  return loadWeights(checkpoint).finally(() => checkpoint.close());
}

/** Everything but the configuration: of a converted folder it is that of Hugging Face. */
const modulesOf = ({ config, ...modules }: LlamaWeights): object => modules;

function arraysOf({ embed_tokens, layers, norm, lm_head }: LlamaWeights): ArrayBufferView[] {
  const linears = layers.flatMap((layer) => LINEAR_NAMES.map((name) => layer[name]));
  const matrices = [embed_tokens, ...[...linears, lm_head].map(({ weight }) => weight)];
  const gains = layers.flatMap((layer) => [layer.input_layernorm, layer.post_attention_layernorm]);
  return [norm, ...gains, ...matrices.flatMap(storageArrays), ...linears.flatMap(({ bias }) => bias ?? [])];
}

/** The logits of a text, as bits. */
async function logitsOf(path: string, ids: Int32Array): Promise<string> {
  const model = await loadModel(path);
  const { logits } = await model.run(ids);
  model.dispose();
  return Buffer.from(bytesOf(logits)).toString('hex');
}

/** A vocabulary of 24, as the tiny models have. */
const VOCABULARY = {
  'tokenizer.ggml.model': text('llama'),
  'tokenizer.ggml.tokens': texts(['<unk>', '<s>', '</s>', '▁', ...'abcdefghijklmnopqrst']),
  'tokenizer.ggml.scores': floats(Array.from({ length: 24 }, (_, i) => -i)),
  'tokenizer.ggml.token_type': int32s([2, 3, 3, ...Array<number>(21).fill(1)]),
  'tokenizer.ggml.bos_token_id': u32(1),
  'tokenizer.ggml.eos_token_id': u32(2),
};

const withVocabulary = ({ metadata, tensors }: GgufParts): FolderFiles => ({
  'model.gguf': ggufFile({ metadata: { ...metadata, ...VOCABULARY }, tensors }),
});

const FOLDERS: readonly TinyOptions[] = [
  { weights: 'F32', bias: true },
  { weights: 'F64', floats: 'F64' },
  { weights: 'BF16', floats: 'BF16', tied: true },
  { weights: 'F16', floats: 'F16' },
  { weights: 'gemm', floats: 'F16', bias: true },
  { weights: 'gemv', tied: true },
  { weights: 'gemv_fast' },
];

const SOURCES: readonly (readonly [name: string, path: string, files: FolderFiles])[] = [
  ...FOLDERS.map((options) => [JSON.stringify(options), '.', tinyFolder(options)] as const),
  ['a float GGUF file', 'model.gguf', withVocabulary(tinyGguf({ weights: 'F32' }))],
  ...(['Q4_0', 'Q4_1', 'Q8_0', 'Q4_K', 'Q6_K'] as const).map(
    (type) => [`GGUF, ${type}`, 'model.gguf', withVocabulary(blockGguf(type))] as const,
  ),
];

describe('convertCheckpoint', () => {
  for (const [name, path, files] of SOURCES) {
    test(`keeps every number: ${name}`, async () => {
      await withFolder(files, async (folder) => {
        const [from, to] = [join(folder, path), join(folder, 'converted')];
        const seen: number[] = [];
        const result = await convertCheckpoint(from, to, { onProgress: (done, total) => seen.push(done / total) });
        const source = await weightsOf(from);
        for (const load of ['map', 'copy'] as const) {
          const weights = await weightsOf(to, load);
          assert.deepEqual(modulesOf(weights), modulesOf(source));
          assert.deepEqual(weights.config, { ...source.config, quantization: weights.config.quantization });
          assert.ok(arraysOf(weights).every((array) => isMapped(array) === (load === 'map' && native() !== null)));
        }
        const ids = Int32Array.of(1, 5, 7, 3);
        assert.equal(await logitsOf(to, ids), await logitsOf(from, ids));

        assert.equal(result.path, to);
        assert.equal(result.bytes, (await readFile(join(to, FILE))).length);
        assert.equal(result.record.model, basename(from));
        assert.equal(seen.at(-1), 1);
        const checkpoint = await openCheckpoint(from);
        assert.equal(result.record.hash, await checkpoint.hash());
        await checkpoint.close();
      });
    });
  }

  test('the bundled models: the same logits, bit by bit, the same text, the same files beside', async () => {
    for (const from of [bundled.storyteller, bundled.storytellerInt4]) {
      await withFolder({}, async (folder) => {
        const to = join(folder, 'converted');
        await convertCheckpoint(from, to);
        const ids = Int32Array.from({ length: 40 }, (_, i) => (i * 97) % 4096);
        assert.equal(await logitsOf(to, ids), await logitsOf(from, ids));
        const [before, after] = [await loadModel(from), await loadModel(to)];
        const options = { maxTokens: 12, seed: 3 };
        assert.equal((await after.generate('Once upon', options)).text, (await before.generate('Once upon', options)).text);
        assert.deepEqual({ ...after.record(), model: '', hash: '' }, { ...before.record(), model: '', hash: '' });
        for (const name of await readdir(to)) {
          if (name !== FILE) assert.deepEqual(await readFile(join(to, name)), await readFile(join(from, name)), name);
        }
        const names = (await readdir(to)).sort();
        assert.deepEqual(names, (await readdir(from)).filter((name) => /\.(json|model|safetensors)$/.test(name) && !name.startsWith('golden')).sort());
      });
    }
  });

  test('a GGUF file keeps its tokenizer', async () => {
    await withFolder(withVocabulary(blockGguf('Q4_0')), async (folder) => {
      const [from, to] = [join(folder, 'model.gguf'), join(folder, 'converted')];
      await convertCheckpoint(from, to);
      assert.deepEqual((await readdir(to)).sort(), ['config.json', FILE, 'tokenizer.gguf']);
      const again = join(folder, 'again');
      await convertCheckpoint(to, again);
      const ids = [];
      for (const path of [from, to, again]) {
        const { tokenizer } = await loadModel(path);
        ids.push([...tokenizer.encode('abc fed')]);
        assert.equal(tokenizer.decode(tokenizer.encode('abc fed')), 'abc fed');
      }
      assert.deepEqual(ids[1], ids[0]);
      assert.deepEqual(ids[2], ids[0]);
    });
    await withFolder({ 'model.gguf': ggufFile(blockGguf('Q4_0')) }, async (folder) => {
      const to = join(folder, 'converted');
      await convertCheckpoint(join(folder, 'model.gguf'), to);
      assert.deepEqual((await readdir(to)).sort(), ['config.json', FILE]);
    });
  });

  test('what it writes is told by inspect, and equal input gives equal bytes', async () => {
    await withFolder(tinyFolder({ weights: 'gemm', bias: true }), async (folder) => {
      const [once, twice] = ['once', 'twice'].map((name) => join(folder, name));
      const { matrices } = await convertCheckpoint(folder, once);
      await convertCheckpoint(folder, twice);
      assert.deepEqual(matrices, { f32: 2, 'int4 g32': 14 });
      assert.deepEqual(await readFile(join(once, FILE)), await readFile(join(twice, FILE)));
      const [before, after] = [await inspectCheckpoint(folder), await inspectCheckpoint(once)];
      assert.deepEqual(after.memory, before.memory);
      assert.equal(after.totals.parameters, before.totals.parameters);
      assert.deepEqual(after.matrices.map(({ name, shape, precision }) => [name, shape, precision]), before.matrices.map(({ name, shape, precision }) => [name, shape, precision]));
    });
  });

  test('has a hash of its own, which tells when a byte is changed', async () => {
    await withFolder(tinyFolder({ weights: 'gemm' }), async (folder) => {
      const to = join(folder, 'converted');
      const { record } = await convertCheckpoint(folder, to);
      const hashOf = async (path: string) => {
        const checkpoint = await openCheckpoint(path);
        return checkpoint.hash().finally(() => checkpoint.close());
      };
      const hash = await hashOf(to);
      assert.notEqual(hash, record.hash);
      const file = await readFile(join(to, FILE));
      assert.ok(file.includes(`"nibblelens.source_hash":"${record.hash}"`));
      file[file.length - 1] ^= 1;
      await writeFile(join(to, FILE), file);
      assert.notEqual(await hashOf(to), hash);
    });
  });

  test('what cannot be is refused, and leaves nothing behind', async () => {
    await withFolder(tinyFolder({ weights: 'F32' }), async (folder) => {
      const convert = (to: string, options?: ConvertOptions) => convertCheckpoint(folder, join(folder, to), options);
      await mkdir(join(folder, 'taken'));
      await writeFile(join(folder, 'taken', 'file'), '');
      await assert.rejects(convert('taken'), OptionError);
      await assert.rejects(convert('to', { signal: AbortSignal.abort() }), { name: 'AbortError' });
      const controller = new AbortController();
      await assert.rejects(convert('to', { signal: controller.signal, onProgress: () => controller.abort() }), { name: 'AbortError' });
      await assert.rejects(convert('to', { bits: 4 } as ConvertOptions), UnknownNameError);
      await assert.rejects(convertCheckpoint(join(folder, 'taken'), join(folder, 'to')), CheckpointError);
      assert.deepEqual((await readdir(folder)).sort(), ['config.json', FILE, 'taken']);
    });
  });

  test('is no input for quantizeCheckpoint', async () => {
    await withFolder(tinyFolder({ weights: 'F32' }), async (folder) => {
      const to = join(folder, 'converted');
      await convertCheckpoint(folder, to);
      await assert.rejects(quantizeCheckpoint(to, join(folder, 'out'), { groupSize: 32 }), /checkpoint: found one in compute layout/);
    });
  });

  test('a file cut short, or of another layout, says so', async () => {
    await withFolder(tinyFolder({ weights: 'gemm' }), async (folder) => {
      const to = join(folder, 'converted');
      await convertCheckpoint(folder, to);
      const file = await readFile(join(to, FILE));
      await writeFile(join(to, FILE), file.subarray(0, -64));
      await assert.rejects(openCheckpoint(to), /data_offsets: found .*model\.safetensors/);
      await writeFile(join(to, FILE), Buffer.from(file.toString('latin1').replace('"nibblelens.layout":"3"', '"nibblelens.layout":"2"'), 'latin1'));
      await assert.rejects(openCheckpoint(to), /compute layout: found "2", expected 3; "nibblelens convert" writes it anew/);
    });
  });
});
