import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { DisposedError } from '../../src/base/errors.js';
import { inspectCheckpoint, openCheckpoint, type Checkpoint } from '../../src/checkpoint/index.js';
import { loadModel } from '../../src/index.js';
import { formOf } from '../../src/matrix/form.js';
import {
  dequantize,
  groupSlot,
  packMatrix,
  storageArrays,
  storageBytes,
  unpackCodes,
  type MatrixStorage,
} from '../../src/matrix/index.js';
import { loadWeights } from '../../src/model/load-weights.js';
import { LINEAR_NAMES } from '../../src/model/weights.js';
import { isMapped } from '../../src/native/mapped-files.js';
import { native } from '../../src/native/native.js';
import { nibblelens } from '../cli/nibblelens.js';
import {
  blockGguf,
  BLOCKS,
  ggufFile,
  llamaMetadata,
  tinyGguf,
  u32,
  type BlockType,
  type GgufParts,
  type GgufTestTensor,
} from '../support/gguf-file.js';
import { readGolden, worstExcess } from '../support/golden.js';
import { missing, sharedPath } from '../support/shared.js';
import { bytesOf, tinyFolder, withFolder, type TinyOptions } from '../support/tiny-checkpoint.js';

const FILE = 'model.gguf';
const MODES = ['map', 'copy'] as const;
const PATHS = native() ? (['fused', 'composed'] as const) : (['composed'] as const);
const GGUF = 'models/gguf';
const shared = (path: string): string => sharedPath(path) ?? '';

/** Runs `use` with the path of a GGUF file. */
const withGguf = <T>(parts: GgufParts, use: (path: string, folder: string) => Promise<T>): Promise<T> =>
  withFolder({ [FILE]: ggufFile(parts) }, (folder) => use(join(folder, FILE), folder));

/** Every matrix of a model, in the order of a pass. */
async function matricesOf(checkpoint: Checkpoint): Promise<[name: string, matrix: MatrixStorage][]> {
  const matrices: [string, MatrixStorage][] = [];
  for (const { name, kind } of checkpoint.modules) {
    if (kind === 'embedding') matrices.push([name, await checkpoint.embedding()]);
    if (kind === 'linear') matrices.push([name, (await checkpoint.linear(name)).weight]);
  }
  return matrices;
}

/** Compares bytes alone: a difference of long arrays, written out, takes minutes. */
function assertSameBytes(actual: ArrayBufferView, expected: ArrayBufferView, what: string): void {
  assert.ok(Buffer.compare(bytesOf(actual), bytesOf(expected)) === 0, what);
}

function assertSameMatrix(actual: MatrixStorage, expected: MatrixStorage, what: string): void {
  assert.deepEqual(formOf(actual), formOf(expected), what);
  for (const [i, array] of storageArrays(expected).entries()) assertSameBytes(storageArrays(actual)[i], array, what);
}

describe('blocks', { skip: missing(GGUF) }, () => {
  const vectors = readGolden(shared(`${GGUF}/dequant-vectors.safetensors`));
  const types = (Object.keys(BLOCKS) as BlockType[]).filter((type) => vectors.has(`${type}.blocks`));

  test('there are vectors of every type of blocks', () => {
    assert.deepEqual(types, ['Q4_0', 'Q4_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K']);
  });

  for (const type of types) {
    test(`${type}: the values of ggml's own decoder, exactly`, async () => {
      const blocks = vectors.get(`${type}.blocks`);
      const values = vectors.get(`${type}.values`);
      assert.ok(blocks && values);
      const [rows, size] = values.shape;
      // rows of one block, of two, and all in one
      for (const perRow of [1, 2, rows]) {
        const parts = embeddingOf(type, [rows / perRow, size * perRow], bytesOf(blocks.values));
        await withGguf(parts, async (path) => {
          for (const load of MODES) {
            const checkpoint = await openCheckpoint(path, { load });
            const embedding = await checkpoint.embedding();
            assert.equal(embedding.kind, 'packed');
            // but for the sign of zeros
            assert.equal(worstExcess(dequantize(embedding), values.values), 0);
            await checkpoint.close();
          }
        });
      }
    });
  }
});

describe('matrices of blocks', () => {
  for (const type of ['Q4_0', 'Q4_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K'] as const) {
    const { metadata, tensors } = blockGguf(type);
    test(`${type}: rows of q and k change places with their scales`, async () => {
      const asQ = tensors.find(({ name }) => name === 'blk.0.attn_output.weight')?.data ?? assert.fail();
      const changed = tensors.map((tensor) => (tensor.name === 'blk.0.attn_q.weight' ? { ...tensor, data: asQ } : tensor));
      await withGguf({ metadata, tensors: changed }, async (path) => {
        const checkpoint = await openCheckpoint(path);
        const { hiddenSize, headDim } = checkpoint.config;
        const valuesOf = async (name: string) =>
          dequantize((await checkpoint.linear(`model.layers.0.self_attn.${name}`)).weight);
        const [q, inOrder] = [await valuesOf('q_proj'), await valuesOf('o_proj')];
        const rowOf = (values: Float32Array, row: number) => values.subarray(row * hiddenSize, (row + 1) * hiddenSize);
        for (let head = 0; head < hiddenSize; head += headDim) {
          for (let i = 0; i < headDim / 2; i++) {
            assertSameBytes(rowOf(q, head + i), rowOf(inOrder, head + 2 * i), `head at ${head}, ${i}`);
            assertSameBytes(rowOf(q, head + headDim / 2 + i), rowOf(inOrder, head + 2 * i + 1), `head at ${head}, ${i}`);
          }
        }
        await checkpoint.close();
      });
    });

    test(`${type}: 24 outputs, and what fills up their last panel, are as packing makes them`, async () => {
      await withGguf({ metadata, tensors }, async (path) => {
        const checkpoint = await openCheckpoint(path);
        const embedding = await checkpoint.embedding();
        await checkpoint.close();
        assert(embedding.kind === 'packed' && embedding.outFeatures === 24);
        const { scales, offsets, outFeatures, inFeatures, groupSize } = embedding;
        const groups = inFeatures / groupSize;
        const inRows = (values: Uint16Array | Float32Array) =>
          values.slice(0, outFeatures * groups).map((_, i) => values[groupSlot(Math.floor(i / groups), i % groups, groups)]);
        const rows = { codes: unpackCodes(embedding), scales: inRows(scales), offsets: offsets && inRows(offsets) };
        assertSameMatrix(packMatrix({ ...embedding, ...rows }), embedding, type);
      });
    });
  }
});

/** A model of no layers' worth: one whose embedding, and head, are the given blocks. */
function embeddingOf(type: BlockType, shape: [vocab: number, hidden: number], data: Uint8Array): GgufParts {
  const [, hidden] = shape;
  const { metadata, tensors } = blockGguf('Q4_0');
  const sizes = { layers: 1, hidden, ffn: 32, heads: 1, kvHeads: 1 };
  const shapeOf = (name: string): number[] => {
    if (/norm/.test(name)) return [hidden];
    return [/ffn_(gate|up)/.test(name) ? 32 : hidden, /ffn_down/.test(name) ? 32 : hidden];
  };
  const zeros = tensors.slice(1).map(({ name }): GgufTestTensor => {
    const dims = shapeOf(name);
    const elements = dims.reduce((a, b) => a * b, 1);
    return { name, type: 'F16', shape: dims, data: new Uint8Array(2 * elements) };
  });
  return {
    metadata: { ...metadata, ...llamaMetadata(sizes) },
    tensors: [{ name: 'token_embd.weight', type, shape, data }, ...zeros],
  };
}

describe('llama-gqa', { skip: missing(GGUF) }, () => {
  test('the float32 file gives the weights of the checkpoint that it was made of, bit for bit', async () => {
    const expected = await openCheckpoint(shared('models/tiny/llama-gqa'));
    for (const load of MODES) {
      const checkpoint = await openCheckpoint(shared(`${GGUF}/llama-gqa-F32.gguf`), { load });
      assert.deepEqual(checkpoint.modules, expected.modules);
      const { rmsNormEps, ...config } = checkpoint.config;
      assert.deepEqual({ ...config, rmsNormEps: 1e-6 }, expected.config);
      assert.equal(rmsNormEps, Math.fround(1e-6));
      const matrices = await matricesOf(expected);
      for (const [i, [name, matrix]] of (await matricesOf(checkpoint)).entries()) {
        assert.equal(name, matrices[i][0]);
        assertSameMatrix(matrix, matrices[i][1], name);
      }
      for (const { name, kind } of checkpoint.modules) {
        if (kind !== 'norm') continue;
        assert.deepEqual(await checkpoint.vector(`${name}.weight`), await expected.vector(`${name}.weight`));
      }
      await checkpoint.close();
    }
    await expected.close();
  });

  for (const type of ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1']) {
    for (const path of PATHS) {
      test(`${type}: golden logits and greedy ids, ${path}`, async () => {
        const model = await loadModel(shared(`${GGUF}/llama-gqa-${type}.gguf`));
        const golden = readGolden(shared(`${GGUF}/llama-gqa-${type}.golden.safetensors`));
        const values = (key: string) => golden.get(key)?.values ?? assert.fail(key);
        for (const prompt of ['short', 'long']) {
          const ids = Int32Array.from(values(`${prompt}.input_ids`));
          const { logits, record } = await model.run(ids, { path });
          assert.equal(record.path, path);
          const excess = worstExcess(logits, values(`${prompt}.logits`), 1e-5);
          assert.ok(excess <= 1e-4, `${prompt}: off by ${excess}`);
          const greedy = [...values(`${prompt}.greedy`)];
          const options = { temperature: 0, maxTokens: greedy.length, ignoreEos: true };
          assert.deepEqual([...(await model.generate(ids, options)).ids], greedy);
        }
        model.dispose();
      });
    }
  }
});

test('stories260K: the text of llama2.c, by the file’s tokenizer', { skip: missing('data/stories260K') }, async () => {
  const expected = JSON.parse(readFileSync(shared('data/stories260K/greedy.json'), 'utf8'));
  const model = await loadModel(shared('data/stories260K/stories260K.gguf'));
  const [bos, ...steps] = expected.greedy_ids as number[];
  assert.deepEqual([...model.tokenizer.encode('')], [bos]);
  const { ids } = await model.generate('', { temperature: 0, maxTokens: steps.length, ignoreEos: true });
  assert.deepEqual([...ids], steps);
  assert.equal(model.tokenizer.decode(ids), expected.text_256);
});

describe('a tiny model', () => {
  const formats: TinyOptions[] = [
    { weights: 'F32', bias: true },
    { weights: 'F16', floats: 'F16', tied: true },
    { weights: 'BF16', floats: 'BF16', bias: true },
  ];
  for (const options of formats) {
    test(`is the model of its checkpoint: ${JSON.stringify(options)}`, async () => {
      await withFolder({ ...tinyFolder(options), [FILE]: ggufFile(tinyGguf(options)) }, async (folder) => {
        const expected = await loadModel(folder);
        const ids = Int32Array.of(3, 1, 20, 7, 7, 0, 11);
        const { logits } = await expected.run(ids);
        for (const load of MODES) {
          const model = await loadModel(join(folder, FILE), { load });
          assert.equal(model.config.tieWordEmbeddings, options.tied ?? false);
          // epsilon is a float32 in one file and a decimal number in the other
          assert.ok(worstExcess((await model.run(ids)).logits, logits, 1e-6) < 1e-6);
          for (const name of LINEAR_NAMES) {
            assertSameMatrix(model.weight(1, name).storage, expected.weight(1, name).storage, name);
          }
          assert.equal(model.tokenizer.label(5), '⟨5⟩');
          model.dispose();
        }
      });
    });
  }

  test('biases of q and k are turned back with their rows', async () => {
    const options: TinyOptions = { weights: 'F32', bias: true };
    await withFolder({ ...tinyFolder(options), [FILE]: ggufFile(tinyGguf(options)) }, async (folder) => {
      const [checkpoint, expected] = [await openCheckpoint(join(folder, FILE)), await openCheckpoint(folder)];
      for (const { name, kind } of expected.modules) {
        if (kind !== 'linear') continue;
        assert.deepEqual((await checkpoint.linear(name)).bias, (await expected.linear(name)).bias);
      }
      await Promise.all([checkpoint.close(), expected.close()]);
    });
  });

  test('float matrices are mapped where no rows change places', async (t) => {
    if (!native()) return t.skip('the native addon is not built');
    await withGguf(tinyGguf({ weights: 'F16', floats: 'F32' }), async (path) => {
      for (const load of MODES) {
        const checkpoint = await openCheckpoint(path, { load });
        for (const [name, storage] of await matricesOf(checkpoint)) {
          const isInPlace = !/[qk]_proj/.test(name);
          assert.equal(isMapped(storageArrays(storage)[0]), load === 'map' && isInPlace, name);
        }
        await checkpoint.close();
      }
    });
  });

  test('any alignment of the data', async () => {
    const { metadata, tensors } = tinyGguf({ weights: 'F16', floats: 'F32' });
    const plain = await withGguf({ metadata, tensors }, allValues);
    for (const alignment of [1, 2, 8, 64, 4096]) {
      const parts = { metadata: { ...metadata, 'general.alignment': u32(alignment) }, tensors };
      await withFolder({ [FILE]: ggufFile(parts, { alignment }) }, async (folder) => {
        const values = await allValues(join(folder, FILE));
        for (const [i, each] of values.entries()) assertSameBytes(each, plain[i], `alignment ${alignment}`);
      });
    }
  });

  test('bytes of tensors as they are in the file', async () => {
    const parts = blockGguf('Q6_K');
    await withGguf(parts, async (path) => {
      for (const load of MODES) {
        const checkpoint = await openCheckpoint(path, { load });
        for (const [i, tensor] of checkpoint.tensors.entries()) {
          assert.deepEqual([tensor.name, tensor.dtype], [parts.tensors[i].name, parts.tensors[i].type]);
          assertSameBytes(await checkpoint.bytesOf(tensor), parts.tensors[i].data, tensor.name);
        }
        await checkpoint.close();
        await assert.rejects(checkpoint.linear('model.layers.0.mlp.up_proj'), DisposedError);
      }
    });
  });

  test('its hash is that of the contents, however they are loaded', async () => {
    const parts = tinyGguf({ weights: 'F32' });
    await withGguf(parts, async (path) => {
      const hashes = new Set<string>();
      for (const load of MODES) {
        const checkpoint = await openCheckpoint(path, { load });
        hashes.add(await checkpoint.hash());
        await checkpoint.close();
      }
      assert.equal(hashes.size, 1);
      const bytes = await readFile(path);
      bytes[bytes.length - 40] ^= 1;
      await writeFile(path, bytes);
      const checkpoint = await openCheckpoint(path);
      hashes.add(await checkpoint.hash());
      await checkpoint.close();
      assert.equal(hashes.size, 2);
    });
  });

  test('opening and loading stop when they are told to', async () => {
    await withGguf(blockGguf('Q4_K'), async (path) => {
      await assert.rejects(openCheckpoint(path, { signal: AbortSignal.abort() }), { name: 'AbortError' });
      const controller = new AbortController();
      const loading = loadModel(path, { signal: controller.signal, onProgress: () => controller.abort() });
      await assert.rejects(loading, { name: 'AbortError' });
    });
  });

  test('a file that is cut after it was opened is a typed error', async () => {
    await withGguf(blockGguf('Q4_0'), async (path) => {
      const checkpoint = await openCheckpoint(path, { load: 'copy' });
      await truncate(path, 5000);
      await assert.rejects(checkpoint.linear('model.layers.0.mlp.down_proj'), /its end at byte/);
      await checkpoint.close();
    });
  });

  test('a GGUF file of any name is told by its start', async () => {
    await withFolder({ 'sha256-abc': ggufFile(tinyGguf({ weights: 'F32' })) }, async (folder) => {
      const checkpoint = await openCheckpoint(join(folder, 'sha256-abc'));
      assert.equal(checkpoint.path, join(folder, 'sha256-abc'));
      await checkpoint.close();
      await assert.rejects(openCheckpoint(folder), /model\.safetensors/);
    });
  });
});

async function allValues(path: string): Promise<Float32Array[]> {
  const checkpoint = await openCheckpoint(path);
  const values = (await matricesOf(checkpoint)).map(([, storage]) => dequantize(storage));
  await checkpoint.close();
  return values;
}

describe('inspect', () => {
  const files: [name: string, parts: GgufParts][] = [
    ['F32', tinyGguf({ weights: 'F32', bias: true })],
    ['BF16, tied', tinyGguf({ weights: 'BF16', floats: 'F16', tied: true })],
    ...(['Q4_0', 'Q4_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K'] as const).map((type): [string, GgufParts] => {
      return [type, blockGguf(type)];
    }),
  ];
  for (const [name, parts] of files) {
    test(`memory needed is what is held: ${name}`, async () => {
      await withGguf(parts, async (path) => {
        const summary = await inspectCheckpoint(path);
        const bytes = parts.tensors.reduce((sum, { data }) => sum + data.length, 0);
        assert.equal(summary.totals.bytes, bytes);
        const checkpoint = await openCheckpoint(path);
        const weights = await loadWeights(checkpoint);
        const stored = (await matricesOf(checkpoint)).reduce((sum, [, storage]) => sum + storageBytes(storage), 0);
        const norms = weights.layers.flatMap((layer) => [layer.input_layernorm, layer.post_attention_layernorm]);
        const biases = weights.layers.flatMap((layer) => LINEAR_NAMES.flatMap((linear) => layer[linear].bias ?? []));
        const rest = [weights.norm, ...norms, ...biases].reduce((sum, vector) => sum + vector.byteLength, 0);
        assert.equal(summary.memory.weights, stored + rest);
        await checkpoint.close();
      });
    });
  }

  test('nibblelens inspect prints types and bits of the file', async () => {
    await withGguf(blockGguf('Q6_K'), async (path) => {
      const { status, stdout, stderr } = await nibblelens(['inspect', path]);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /model\.layers\.0\.mlp\.down_proj +256 × 256 +q6_k .* 6\.56/);
      assert.match(stdout, /blk\.0\.ffn_down\.weight +q6_k +256 × 256 .*model\.gguf/);
    });
  });
});

test('nibblelens generate continues a prompt', { skip: missing('data/stories260K') }, async () => {
  const model = shared('data/stories260K/stories260K.gguf');
  const asked = ['--prompt', 'Once upon a time', '--temperature', '0', '--max-tokens', '9'];
  const { status, stdout, stderr } = await nibblelens(['generate', '--model', model, ...asked]);
  assert.equal(status, 0, stderr);
  assert.equal(stdout.trim(), ', there was a little girl named');
});
