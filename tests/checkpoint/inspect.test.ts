import assert from 'node:assert/strict';
import { statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'node:test';
import { inspectCheckpoint, openCheckpoint } from '../../src/checkpoint/index.js';
import { storageBytes } from '../../src/matrix/index.js';
import { loadWeights } from '../../src/model/load-weights.js';
import { LINEAR_NAMES } from '../../src/model/weights.js';
import { nibblelens } from '../cli/nibblelens.js';
import { readGolden } from '../support/golden.js';
import { sharded, TINY, tinyCheckpoint, tinyFolder, withFolder, type TinyOptions } from '../support/tiny-checkpoint.js';

const STORY = fileURLToPath(new URL('../../data/storyteller-int4', import.meta.url));

/** Bytes of all arrays of the model once it is loaded. */
async function loadedBytes(folder: string): Promise<number> {
  const checkpoint = await openCheckpoint(folder);
  const weights = await loadWeights(checkpoint);
  await checkpoint.close();
  const linears = weights.layers.flatMap((layer) => LINEAR_NAMES.map((name) => layer[name]));
  const heads = weights.lm_head.weight === weights.embed_tokens ? [] : [weights.lm_head];
  const matrices = [weights.embed_tokens, ...[...linears, ...heads].map(({ weight }) => weight)];
  const vectors = [
    weights.norm,
    ...weights.layers.flatMap((layer) => [layer.input_layernorm, layer.post_attention_layernorm]),
    ...linears.flatMap(({ bias }) => bias ?? []),
  ];
  return [...matrices.map(storageBytes), ...vectors.map(({ byteLength }) => byteLength)].reduce((a, b) => a + b, 0);
}

describe('inspect', () => {
  test('the bundled INT4 model, against its file read plainly', async () => {
    const summary = await inspectCheckpoint(STORY);
    const tensors = readGolden(join(STORY, 'model.safetensors'));
    assert.deepEqual(summary.tensors.map(({ name }) => name).sort(), [...tensors.keys()].sort());
    for (const { name, shape, bytes } of summary.tensors) {
      assert.deepEqual(shape, tensors.get(name)?.shape, name);
      const elements = shape.reduce((a, b) => a * b, 1);
      assert.ok([2, 4].includes(bytes / elements), name);
    }
    const { hiddenSize: d, intermediateSize: ff, numHiddenLayers: layers, vocabSize } = summary.config;
    const { numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim, quantization } = summary.config;
    const [q, kv] = [heads * headDim, kvHeads * headDim];
    const perLayer = 2 * d + d * q + 2 * kv * d + q * d + 3 * ff * d;
    assert.equal(summary.totals.parameters, layers * perLayer + d + 2 * vocabSize * d);
    const bytes = summary.tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
    assert.equal(summary.totals.bytes, bytes);
    assert.equal(summary.totals.bitsPerWeight, (8 * bytes) / summary.totals.parameters);
    const packed = summary.matrices.filter(({ precision }) => precision === `int4 g${quantization?.groupSize}`);
    assert.equal(packed.length, 7 * layers);
    // Of 64 weights: 64 codes and a zero point of 4 bits, a scale of 16.
    for (const { bitsPerWeight } of packed) assert.equal(bitsPerWeight, 4 + 20 / 64);
    assert.equal(summary.memory.weights, await loadedBytes(STORY));
    assert.equal(summary.memory.kvCachePer1000Tokens, 1000 * layers * 2 * kv * 4);
    assert.ok(summary.files[0].bytes <= statSync(join(STORY, 'model.safetensors')).size);
  });

  const formats: TinyOptions[] = [
    { weights: 'F64', floats: 'F64', bias: true },
    { weights: 'BF16', floats: 'BF16', tied: true },
    { weights: 'gemm', floats: 'F16', bias: true },
    { weights: 'gemv' },
    { weights: 'gemv_fast', tied: true },
  ];
  for (const options of formats) {
    test(`memory needed is what is held: ${JSON.stringify(options)}`, async () => {
      await withFolder(tinyFolder(options), async (folder) => {
        const summary = await inspectCheckpoint(folder);
        assert.equal(summary.memory.weights, await loadedBytes(folder));
        const { config, tensors } = tinyCheckpoint(options);
        assert.equal(summary.config.vocabSize, config.vocab_size);
        assert.equal(
          summary.totals.bytes,
          Object.values(tensors).reduce((sum, { data }) => sum + data.byteLength, 0),
        );
      });
    });
  }

  test('files of shards, and matrices in the order of a pass', async () => {
    const { config, tensors } = tinyCheckpoint({ weights: 'gemm' });
    await withFolder({ 'config.json': config, ...sharded(tensors) }, async (folder) => {
      const { files, matrices } = await inspectCheckpoint(folder);
      assert.deepEqual(files.map(({ name }) => name).sort(), [
        'model-00001-of-00002.safetensors',
        'model-00002-of-00002.safetensors',
      ]);
      assert.deepEqual(
        matrices.map(({ name }) => name.split('.').at(-1)),
        ['embed_tokens', ...Array.from({ length: TINY.layers }, () => LINEAR_NAMES).flat(), 'lm_head'],
      );
      assert.deepEqual([matrices[1].precision, matrices[0].precision], ['int4 g32', 'f32']);
      assert.deepEqual(matrices[2].shape, [TINY.kvHeads * TINY.headDim, TINY.hidden]);
    });
  });
});

describe('nibblelens inspect', () => {
  test('prints config, bits per weight, memory, matrices and tensors', async () => {
    const { status, stdout, stderr } = await nibblelens(['inspect', STORY]);
    assert.equal(status, 0, stderr);
    const summary = await inspectCheckpoint(STORY);
    const lines = stdout.split('\n');
    const row = (...cells: (string | RegExp)[]) =>
      assert.ok(
        lines.some((line) => cells.every((cell) => (typeof cell === 'string' ? line.includes(cell) : cell.test(line)))),
        `${cells.join(' … ')} in:\n${stdout}`,
      );
    row('architecture', 'LlamaForCausalLM');
    row('layers', String(summary.config.numHiddenLayers));
    row('quantisation', 'awq, 4 bits, groups of 64');
    row('bits per weight', summary.totals.bitsPerWeight.toFixed(2));
    row('memory needed', /\d MB for weights/);
    row('parameters', summary.totals.parameters.toLocaleString('en'));
    row('model.layers.0.mlp.down_proj', '256 × 768', 'int4 g64', '4.31');
    row('model.layers.5.self_attn.k_proj.qzeros', 'i32', '4 × 8', 'model.safetensors');
  });

  test('--json gives the same as data', async () => {
    const { status, stdout } = await nibblelens(['inspect', STORY, '--json']);
    assert.equal(status, 0);
    assert.deepEqual(JSON.parse(stdout), JSON.parse(JSON.stringify(await inspectCheckpoint(STORY))));
  });

  test('a bad file gets one line and status 2', async () => {
    await withFolder(tinyFolder({ weights: 'F32' }), async (folder) => {
      const path = join(folder, 'model.safetensors');
      truncateSync(path, statSync(path).size - 1);
      const { status, stdout, stderr } = await nibblelens(['inspect', folder]);
      assert.equal(status, 2);
      assert.equal(stdout, '');
      assert.match(
        stderr,
        /^nibblelens[^\n]*data_offsets: found \[\d+, \d+\], expected .*model\.safetensors, tensor "[^\n]*\n$/,
      );
    });
  });
});
