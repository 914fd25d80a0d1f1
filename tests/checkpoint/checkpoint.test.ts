import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { CheckpointError, DisposedError } from '../../src/base/errors.js';
import { openCheckpoint, type Checkpoint } from '../../src/checkpoint/index.js';
import { loadModel } from '../../src/index.js';
import { dequantize } from '../../src/matrix/index.js';
import { loadWeights } from '../../src/model/load-weights.js';
import { isMapped } from '../../src/native/mapped-files.js';
import { native } from '../../src/native/native.js';
import { LINEAR_NAMES, type LlamaWeights } from '../../src/model/weights.js';
import { readGolden } from '../support/golden.js';
import { missing, sharedPath } from '../support/shared.js';
import {
  bytesOf,
  prefixed,
  safetensorsFile,
  sharded,
  tinyCheckpoint,
  tinyFolder,
  withFolder,
  type FolderFiles,
  type Tensors,
  type TinyOptions,
  denseValues,
} from '../support/tiny-checkpoint.js';

const FILE = 'model.safetensors';
const FORMATS: readonly TinyOptions[] = [
  { weights: 'F64', floats: 'F64' },
  { weights: 'F32', bias: true },
  { weights: 'F16', floats: 'F16', bias: true },
  { weights: 'BF16', floats: 'BF16', tied: true },
  { weights: 'gemm', floats: 'F16', bias: true },
  { weights: 'gemv', floats: 'BF16' },
  { weights: 'gemv_fast' },
];

async function weightsOf(folder: string, load?: 'map' | 'copy'): Promise<LlamaWeights> {
  const checkpoint = await openCheckpoint(folder, { load });
  try {
    return await loadWeights(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

/** The folder as one file and as two. */
const bothWays = (options: TinyOptions): [one: FolderFiles, two: FolderFiles] => {
  const { config, tensors } = tinyCheckpoint(options);
  return [
    { 'config.json': config, [FILE]: safetensorsFile(tensors) },
    { 'config.json': config, ...sharded(tensors) },
  ];
};

describe('the same weights', () => {
  for (const options of FORMATS) {
    const name = Object.entries(options)
      .map(([key, value]) => (value === true ? key : value))
      .join(', ');
    test(`mapped or copied, in one file or two: ${name}`, async () => {
      const [one, two] = bothWays(options);
      await withFolder(one, async (single) => {
        const weights = await weightsOf(single, 'map');
        assert.deepEqual(await weightsOf(single, 'copy'), weights);
        await withFolder(two, async (folder) => {
          assert.deepEqual(await weightsOf(folder, 'map'), weights);
          assert.deepEqual(await weightsOf(folder, 'copy'), weights);
        });
      });
    });
  }

  test('of any format, by their values', async () => {
    const exact = await withFolder(tinyFolder({ weights: 'F32', bias: true }), (folder) => weightsOf(folder, 'copy'));
    for (const dtype of ['F64', 'F16', 'BF16'] as const) {
      const step = dtype === 'F64' ? 0 : dtype === 'F16' ? 2 ** -11 : 2 ** -8;
      const weights = await withFolder(tinyFolder({ weights: dtype, floats: dtype, bias: true }), (folder) =>
        weightsOf(folder, 'copy'),
      );
      const pairs: [Float32Array, Float32Array][] = [[weights.norm, exact.norm]];
      for (const [i, layer] of weights.layers.entries()) {
        pairs.push([layer.input_layernorm, exact.layers[i].input_layernorm]);
        for (const linear of LINEAR_NAMES) {
          const [mine, its] = [layer[linear], exact.layers[i][linear]];
          assert.equal(
            mine.weight.kind === 'dense' && mine.weight.dtype,
            dtype === 'F64' ? 'f32' : dtype.toLowerCase(),
          );
          pairs.push([dequantize(mine.weight), dequantize(its.weight)]);
          assert.ok(mine.bias && its.bias);
          pairs.push([mine.bias, its.bias]);
        }
      }
      for (const [values, expected] of pairs) {
        assert.equal(values.length, expected.length);
        values.forEach((value, i) => {
          assert.ok(Math.abs(value - expected[i]) <= step * Math.abs(expected[i]) + (step && 2 ** -25), dtype);
        });
      }
    }
    const [gemm, gemv] = await Promise.all(
      (['gemm', 'gemv'] as const).map((weights) =>
        withFolder(tinyFolder({ weights }), (folder) => weightsOf(folder, 'copy')),
      ),
    );
    assert.deepEqual(gemv.layers, gemm.layers);
  });

  test('of a sharded checkpoint of transformers', { skip: missing('models/tiny') }, async () => {
    const folder = sharedPath('models/tiny/llama-sharded') ?? '';
    const shards = (await readdir(folder)).filter((name) => /^model-.*safetensors$/.test(name));
    assert.equal(shards.length, 3);
    const tensors: Tensors = {};
    for (const shard of shards) {
      for (const [name, { shape, values }] of readGolden(join(folder, shard)))
        tensors[name] = { dtype: 'F32', shape, data: values };
    }
    const config = await readFile(join(folder, 'config.json'));
    await withFolder({ 'config.json': config, [FILE]: safetensorsFile(tensors) }, async (single) => {
      assert.deepEqual(await weightsOf(single), await weightsOf(folder));
    });
  });

  test('by the names that other tools give them', async () => {
    const { config, tensors } = tinyCheckpoint({ weights: 'gemv_fast' });
    const renamed = (rename: (name: string) => string): FolderFiles => {
      const entries = Object.entries(tensors).map(([name, tensor]) => [rename(name), tensor]);
      return { 'config.json': config, [FILE]: safetensorsFile(Object.fromEntries(entries)) };
    };
    const expected = await withFolder(
      renamed((name) => name),
      (folder) => weightsOf(folder, 'copy'),
    );
    const spellings = [
      (name: string) => `language_model.${name}`,
      (name: string) => name.replace(/^model\./, ''),
      (name: string) => name.replace(/\.qzeros$/, '.scaled_zeros'),
    ];
    for (const rename of spellings) {
      await withFolder(renamed(rename), async (folder) => assert.deepEqual(await weightsOf(folder, 'copy'), expected));
    }
    const twice = { ...tensors, ...prefixed('language_model.', { 'model.norm.weight': tensors['model.norm.weight'] }) };
    await withFolder({ 'config.json': config, [FILE]: safetensorsFile(twice) }, async (folder) => {
      await assert.rejects(openCheckpoint(folder), (error) => {
        return (
          error instanceof CheckpointError &&
          /"model\.norm\.weight" and "language_model\.model\.norm\.weight"/.test(error.message)
        );
      });
    });
  });
});

test('float weights stay in the mapped file, packed ones are ordered anew', async () => {
  const mapped = native() !== null;
  await withFolder(tinyFolder({ weights: 'gemv', floats: 'BF16' }), async (folder) => {
    for (const load of ['map', 'copy'] as const) {
      const { embed_tokens, layers } = await weightsOf(folder, load);
      assert.equal(isMapped(denseValues(embed_tokens)), mapped && load === 'map');
      const { weight } = layers[0].q_proj;
      assert.ok(weight.kind === 'packed');
      assert.equal(isMapped(weight.codes), false);
    }
  });
});

describe('what a file may leave out or add', () => {
  const opened = async (
    config: object,
    tensors: Tensors,
    use: (checkpoint: Checkpoint) => Promise<void>,
  ): Promise<void> => {
    await withFolder({ 'config.json': config, [FILE]: safetensorsFile(tensors) }, async (folder) => {
      const checkpoint = await openCheckpoint(folder);
      await use(checkpoint).finally(() => checkpoint.close());
    });
  };

  test('tied matrices under either name, or under both', async () => {
    const { config, tensors } = tinyCheckpoint({ weights: 'F32', tied: true });
    const { 'model.embed_tokens.weight': embedding, ...rest } = tensors;
    const spellings: Tensors[] = [
      { 'model.embed_tokens.weight': embedding },
      { 'lm_head.weight': embedding },
      {
        'model.embed_tokens.weight': embedding,
        'lm_head.weight': { ...embedding, data: new Float32Array(embedding.data.byteLength / 4) },
      },
    ];
    for (const own of spellings) {
      await opened(config, { ...rest, ...own }, async (checkpoint) => {
        const weights = await loadWeights(checkpoint);
        assert.deepEqual(denseValues(weights.embed_tokens), embedding.data);
        assert.equal(weights.lm_head.weight, weights.embed_tokens);
      });
    }
    const untied = { ...config, tie_word_embeddings: false };
    for (const own of spellings.slice(0, 2)) {
      await assert.rejects(
        opened(untied, { ...rest, ...own }, async () => {}),
        /tensor (lm_head|model\.embed_tokens)\.weight: found nothing/,
      );
    }
    await opened(untied, { ...rest, ...spellings[2] }, async (checkpoint) => {
      assert.notDeepEqual((await checkpoint.lmHead())?.weight, await checkpoint.embedding());
    });
  });

  test('biases that the config does not promise are used; those that it does must be there', async () => {
    const { config, tensors } = tinyCheckpoint({ weights: 'gemm', bias: true });
    const silent = { ...config, attention_bias: false, mlp_bias: false };
    await opened(silent, tensors, async (checkpoint) => {
      const { bias } = await checkpoint.linear('model.layers.0.mlp.down_proj');
      assert.deepEqual(bias, tensors['model.layers.0.mlp.down_proj.bias'].data);
    });
    const { 'model.layers.1.self_attn.o_proj.bias': _, ...rest } = tensors;
    await assert.rejects(
      opened(config, rest, async () => {}),
      /tensor model\.layers\.1\.self_attn\.o_proj\.bias: found nothing/,
    );
  });

  test('layers that were not quantised, whatever modules_to_not_convert says', async () => {
    const { config, tensors } = tinyCheckpoint({ weights: 'gemm' });
    const float = tinyCheckpoint({ weights: 'F16' }).tensors;
    const name = 'model.layers.1.mlp.gate_proj';
    const mixed = Object.fromEntries(Object.entries(tensors).filter(([tensor]) => !tensor.startsWith(name)));
    mixed[`${name}.weight`] = float[`${name}.weight`];
    for (const modules of [null, ['gate_proj'], ['something_else']]) {
      const quantization_config = { ...(config.quantization_config as object), modules_to_not_convert: modules };
      await opened({ ...config, quantization_config }, mixed, async (checkpoint) => {
        assert.equal(checkpoint.isPacked(name), false);
        assert.equal(checkpoint.isPacked('model.layers.0.mlp.gate_proj'), true);
        const { weight } = await checkpoint.linear(name);
        assert.ok(weight.kind === 'dense' && weight.dtype === 'f16');
        assert.deepEqual(weight.values, float[`${name}.weight`].data);
      });
    }
  });

  test('tensors that no one asked for, and no zero points', async () => {
    const { config, tensors } = tinyCheckpoint({ weights: 'gemm' });
    const extra: Tensors = {
      'model.layers.0.self_attn.rotary_emb.inv_freq': { dtype: 'F32', shape: [8], data: new Float32Array(8) },
      'model.layers.2.input_layernorm.weight': { dtype: 'F8_E4M3', shape: [4], data: new Uint8Array(4) },
    };
    await opened(config, { ...tensors, ...extra }, async (checkpoint) => void (await loadWeights(checkpoint)));
    const symmetric = {
      ...config,
      quantization_config: { ...(config.quantization_config as object), zero_point: false },
    };
    const withoutZeros = Object.fromEntries(Object.entries(tensors).filter(([name]) => !name.endsWith('.qzeros')));
    await opened(symmetric, withoutZeros, async (checkpoint) => {
      const { weight } = await checkpoint.linear('model.layers.0.mlp.up_proj');
      assert.ok(weight.kind === 'packed' && weight.zeros === null);
    });
    await assert.rejects(
      opened(config, withoutZeros, async () => {}),
      /tensor: found no qzeros/,
    );
  });

  test('a weight file by its path, or a single one of another name', async () => {
    const files = tinyFolder({ weights: 'F32' });
    await withFolder({ 'config.json': files['config.json'], 'other.safetensors': files[FILE] }, async (folder) => {
      const expected = await weightsOf(folder);
      assert.deepEqual(await weightsOf(join(folder, 'other.safetensors')), expected);
    });
  });
});

describe('an open checkpoint', () => {
  test('gives modules in the order of a pass, and nearest names for wrong ones', async () => {
    await withFolder(tinyFolder({ weights: 'F32' }), async (folder) => {
      const checkpoint = await openCheckpoint(folder);
      const names = checkpoint.modules.map(({ name }) => name);
      assert.equal(names.length, 1 + 2 * 9 + 2);
      assert.deepEqual(
        [names[0], names[1], names.at(-1)],
        ['model.embed_tokens', 'model.layers.0.input_layernorm', 'lm_head'],
      );
      await assert.rejects(
        checkpoint.linear('model.layers.0.mlp.up'),
        /linear layer: found model\.layers\.0\.mlp\.up, expected such as model\.layers\.0\.mlp\.up_proj/,
      );
      await assert.rejects(checkpoint.linear('model.norm'), /linear layer/);
      await assert.rejects(checkpoint.vector('lm_head.weight'), /^CheckpointError: norm: found lm_head/);
      const [tensor] = checkpoint.tensorsOf('model.norm');
      assert.deepEqual(await checkpoint.bytesOf(tensor), bytesOf(await checkpoint.vector('model.norm.weight')));
      await checkpoint.close();
    });
  });

  test('is of no use after it was closed', async () => {
    await withFolder(tinyFolder({ weights: 'F32' }), async (folder) => {
      const checkpoint = await openCheckpoint(folder);
      const embedding = await checkpoint.embedding();
      const [tensor] = checkpoint.tensors;
      await checkpoint.close();
      await checkpoint.close();
      assert.ok(embedding.kind === 'dense' && Number.isFinite(embedding.values[0]));
      const uses = [
        () => checkpoint.linear('lm_head'),
        () => checkpoint.vector('model.norm.weight'),
        () => checkpoint.embedding(),
        () => checkpoint.hash(),
        () => checkpoint.bytesOf(tensor),
      ];
      for (const use of uses) await assert.rejects(use(), DisposedError);
    });
  });

  test('stops when it is told to', async () => {
    await withFolder(bothWays({ weights: 'gemm' })[1], async (folder) => {
      const controller = new AbortController();
      const progress: [number, number][] = [];
      const checkpoint = await openCheckpoint(folder, {
        signal: controller.signal,
        onProgress: (...part) => void progress.push(part),
      });
      assert.deepEqual(progress, [
        [1, 2],
        [2, 2],
      ]);
      controller.abort();
      await assert.rejects(loadWeights(checkpoint, { signal: controller.signal }), { name: 'AbortError' });
      await assert.rejects(openCheckpoint(folder, { signal: controller.signal }), { name: 'AbortError' });
      await checkpoint.close();
    });
  });

  test('has a hash that tells contents apart, and not the way they are read', async () => {
    const options: TinyOptions = { weights: 'gemm' };
    const hashOf = async (folder: string, load?: 'map' | 'copy'): Promise<string> => {
      const checkpoint = await openCheckpoint(folder, { load });
      return checkpoint.hash().finally(() => checkpoint.close());
    };
    await withFolder(tinyFolder(options), async (folder) => {
      const hash = await hashOf(folder);
      assert.match(hash, /^[0-9a-f]{64}$/);
      assert.equal(await hashOf(folder, 'copy'), hash);
      assert.equal(await withFolder(tinyFolder(options), (other) => hashOf(other)), hash);
      const bytes = await readFile(join(folder, FILE));
      bytes[bytes.length - 1] ^= 1;
      await writeFile(join(folder, FILE), bytes);
      const changed = await hashOf(folder);
      assert.notEqual(changed, hash);
      await writeFile(join(folder, 'config.json'), `${await readFile(join(folder, 'config.json'), 'utf8')}\n`);
      assert.notEqual(await hashOf(folder), changed);
    });
  });

  test('leaves the folder as it was', async () => {
    const state = async (folder: string): Promise<string[]> => {
      const names = (await readdir(folder)).sort();
      return Promise.all(
        [folder, ...names.map((name) => join(folder, name))].map(async (path) => {
          const { mtimeMs, ctimeMs, size, mode } = await stat(path);
          const content = path === folder ? names.join() : await readFile(path);
          return [path, mtimeMs, ctimeMs, size, mode, createHash('sha256').update(content).digest('hex')].join(' ');
        }),
      );
    };
    for (const weights of ['F16', 'gemm', 'gemv'] as const) {
      await withFolder(bothWays({ weights })[1], async (folder) => {
        for (const name of await readdir(folder)) await chmod(join(folder, name), 0o444);
        await chmod(folder, 0o555);
        try {
          const before = await state(folder);
          for (const load of ['map', 'copy'] as const) {
            const model = await loadModel(folder, { load });
            await model.generate(Int32Array.of(1, 2, 3), { maxTokens: 2, temperature: 0 });
            const { storage } = model.weight(0, 'q_proj');
            // Even what should not be written to is the process's own.
            if (storage.kind === 'packed') storage.codes[0] ^= 1;
            else storage.values[0] = 0;
            model.dispose();
          }
          assert.deepEqual(await state(folder), before);
        } finally {
          await chmod(folder, 0o755);
        }
      });
    }
  });
});
