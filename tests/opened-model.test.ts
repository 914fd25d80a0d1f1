import { availableParallelism } from 'node:os';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  bundled,
  CheckpointError,
  ContextFullError,
  dequantize,
  DisposedError,
  loadModel,
  OptionError,
  TokenizerError,
  UnknownNameError,
  type GenerateOptions,
  type GenerationResult,
  type GenerationStep,
  type LinearName,
  type LoadOptions,
  type OpenedModel,
} from '../src/index.js';
import { openCheckpoint } from '../src/checkpoint/index.js';
import { native } from '../src/native/native.js';
import { readGolden } from './support/golden.js';
import { TINY, tinyFolder, withFolder, type FolderFiles, type TinyOptions } from './support/tiny-checkpoint.js';

const addon = native();
const withAddon = { skip: addon ? false : 'the native addon is not built' } as const;

const withModel = (options: TinyOptions, use: (model: OpenedModel, folder: string) => Promise<void>): Promise<void> =>
  withFolder(tinyFolder(options), async (folder) => use(await loadModel(folder), folder));

/** What is the same however long things took. */
const timeless = ({ timings, steps, ...rest }: GenerationResult) => ({
  ...rest,
  counts: [timings.promptTokens, timings.generatedTokens],
  steps: steps.map(({ ms, ...step }) => (assert.ok(ms >= 0), step)),
});

describe('loadModel', () => {
  test('opens what its options ask for', async () => {
    for (const load of ['map', 'copy'] as const) {
      const progress: [number, number][] = [];
      const onProgress = (done: number, total: number) => void progress.push([done, total]);
      const model = await loadModel(bundled.storytellerInt4, {
        load,
        onProgress,
        signal: new AbortController().signal,
      });
      assert.deepEqual(
        progress,
        [1, 2, 3, 4, 5, 6].map((done) => [done, 6]),
      );
      assert.equal(model.path, bundled.storytellerInt4);
      assert.match(model.hash, /^[0-9a-f]{64}$/);
      assert.deepEqual([model.config.numHiddenLayers, model.tokenizer.vocabSize], [6, 4096]);
    }
  });

  test('mapped and copied weights are the same, and so are two openings of one folder', async () => {
    const [mapped, copied] = [
      await loadModel(bundled.storyteller),
      await loadModel(bundled.storyteller, { load: 'copy' }),
    ];
    assert.equal(mapped.hash, copied.hash);
    const runs = await Promise.all([mapped, copied].map((model) => model.run('Once upon a time', { capture: 'all' })));
    assert.deepEqual(runs[0].logits, runs[1].logits);
    for (const { name, values } of runs[0].activations)
      assert.deepEqual(values, runs[1].activations.get(name).values, name);
  });

  test('sets the threads of the kernels', withAddon, async () => {
    const before = addon?.info().threads ?? 1;
    await withFolder(tinyFolder({ weights: 'F32' }), async (folder) => {
      for (const threads of [1, 256, 2]) {
        await loadModel(folder, { threads });
        // more than the cores would wait for each other
        assert.equal(addon?.info().threads, Math.min(threads, availableParallelism()));
      }
    });
    addon?.setThreads(before);
  });

  test('refuses wrong options by name', async () => {
    await withFolder(tinyFolder({ weights: 'F32' }), async (folder) => {
      const bad: object[] = [{ load: 'mmap' }, { cache: 'f64' }, { threads: 0 }, { threads: 257 }, { threads: 1.5 }, { threads: '2' }];
      for (const options of bad) await assert.rejects(loadModel(folder, options), OptionError, JSON.stringify(options));
      await assert.rejects(loadModel(folder, { thread: 2 } as LoadOptions), (error) => {
        return error instanceof UnknownNameError && /thread.*expected threads/.test(error.message);
      });
    });
  });

  test('names what is missing or bad', async () => {
    const files = tinyFolder({ weights: 'F32' });
    const rejects = (change: FolderFiles, kind: typeof CheckpointError, message: RegExp) =>
      withFolder({ ...files, ...change }, (folder) =>
        assert.rejects(
          loadModel(folder),
          (error) => error instanceof kind && message.test(error.message),
          String(message),
        ),
      );
    await assert.rejects(loadModel(join(bundled.storyteller, 'nowhere')), CheckpointError);
    await withFolder({}, (folder) => assert.rejects(loadModel(folder), CheckpointError));
    await rejects({ 'config.json': '{' }, CheckpointError, /config\.json/);
    await rejects({ 'model.safetensors': new Uint8Array(3) }, CheckpointError, /model\.safetensors/);
    await rejects({ 'tokenizer.json': '{}' }, TokenizerError, /tokenizer\.json/);
    await rejects({ 'tokenizer.json': '{', 'tokenizer.model': new Uint8Array(0) }, TokenizerError, /tokenizer\.json/);
  });

  test('ends at an abort', async () => {
    await assert.rejects(loadModel(bundled.storyteller, { signal: AbortSignal.abort() }), { name: 'AbortError' });
    const controller = new AbortController();
    const options = { signal: controller.signal, onProgress: (done: number) => done === 2 && controller.abort() };
    await assert.rejects(loadModel(bundled.storyteller, options), { name: 'AbortError' });
  });

  test('a folder without a tokenizer takes ids, and says so when given text', async () => {
    await withModel({ weights: 'gemm' }, async (model) => {
      const { text, ids } = await model.generate(Int32Array.of(1, 7), { maxTokens: 3, ignoreEos: true, seed: 1 });
      assert.equal(text, [...ids].map((id) => `⟨${id}⟩`).join(''));
      assert.throws(() => model.generate('text'), TokenizerError);
      await assert.rejects(model.run('text'), TokenizerError);
    });
  });
});

describe('an opened model', () => {
  test('gives each matrix of a layer as floats', async () => {
    const names: LinearName[] = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
    for (const weights of ['BF16', 'gemm', 'gemv', 'gemv_fast'] as const) {
      await withModel({ weights }, async (model, folder) => {
        const checkpoint = await openCheckpoint(folder);
        for (let layer = 0; layer < TINY.layers; layer++) {
          for (const name of names) {
            const block = ['gate_proj', 'up_proj', 'down_proj'].includes(name) ? 'mlp' : 'self_attn';
            const module = `model.layers.${layer}.${block}.${name}`;
            const { weight } = await checkpoint.linear(module);
            const { shape, values, storage } = model.weight(layer, name);
            assert.deepEqual(shape, [weight.outFeatures, weight.inFeatures]);
            assert.deepEqual(values, dequantize(weight), module);
            assert.equal(storage.kind, weights === 'BF16' ? 'dense' : 'packed');
          }
        }
        await checkpoint.close();
        for (const layer of [-1, TINY.layers, 0.5, NaN])
          assert.throws(() => model.weight(layer, 'q_proj'), OptionError);
        assert.throws(
          () => model.weight(0, 'w_proj' as LinearName),
          (error) => {
            return error instanceof UnknownNameError && /w_proj.*q_proj/.test(error.message);
          },
        );
      });
    }
  });

  test('tells its memory by kind, what is mapped and what is not', async () => {
    // the rotary table is made as far as positions are reached, some hundreds at once
    const table = async (model: OpenedModel) => {
      await model.run(Int32Array.of(1));
      const rows = model.memory().objects() as {
        kind: string;
        matrices: number;
        bytes: number;
        megabytes: number;
        mapped: number;
      }[];
      for (const { bytes, megabytes } of rows) assert.equal(megabytes, bytes / 1e6);
      return rows.map(({ kind, matrices, bytes, mapped }) => [kind, matrices, bytes, mapped]);
    };
    for (const [load, share] of [
      ['map', addon ? 1 : 0],
      ['copy', 0],
    ] as const) {
      const model = await loadModel(bundled.storyteller, { load });
      const { hiddenSize, intermediateSize, numHiddenLayers: layers, vocabSize, headDim, ...config } = model.config;
      const attention = 2 * hiddenSize * headDim * (config.numAttentionHeads + config.numKeyValueHeads);
      const linears = 2 * layers * (attention + 3 * hiddenSize * intermediateSize);
      const outer = 2 * vocabSize * hiddenSize;
      assert.deepEqual(await table(model), [
        ['layers, float', 7 * layers, linears, share * linears],
        ['embedding', 1, outer, share * outer],
        ['lm_head', 1, outer, share * outer],
        ['norms and biases', 2 * layers + 1, 4 * hiddenSize * (2 * layers + 1), 0],
        ['rotary table', 2, 4 * config.maxPositionEmbeddings * headDim, 0],
      ]);
    }
    await withFolder(tinyFolder({ weights: 'gemm', tied: true, bias: true }), async (folder) => {
      const { hidden, vocab, layers, headDim, group } = TINY;
      const weights = 6 * hidden * hidden; // of a layer: q and o, k and v of half the width, gate, up and down
      const vectors = hidden * (2 * layers + 1) + layers * 6 * hidden;
      assert.deepEqual(await table(await loadModel(folder, { load: 'copy' })), [
        ['layers, int4', 7 * layers, layers * (weights / 2 + (3 * weights) / group), 0],
        ['embedding and lm_head (tied)', 1, 4 * vocab * hidden, 0],
        ['norms and biases', 9 * layers + 1, 4 * vectors, 0],
        ['rotary table', 2, 4 * 128 * headDim, 0],
      ]);
    });
  });

  test('records how results come about', async () => {
    await withModel({ weights: 'gemm' }, async (model, folder) => {
      const { versions, kernels, ...record } = model.record();
      assert.deepEqual(record, {
        model: folder.split('/').at(-1),
        hash: model.hash,
        precision: 'int4 g32',
        head: 'f32',
        path: addon ? 'fused' : 'composed',
        mode: 'exact',
        cache: 'f32',
      });
      assert.match(kernels, addon ? /^native / : /^typescript$/);
      assert.equal(versions.node, process.versions.node);
      assert.equal(model.record('composed', 5).seed, 5);
      const result = await model.generate(Int32Array.of(1), { maxTokens: 1, seed: 9 });
      assert.deepEqual(result.record, { ...model.record(), seed: 9 });
      assert.deepEqual((await model.run(Int32Array.of(1))).record, model.record());
    });
  });

  test('gives the pass as data, for as many positions as the context holds', async () => {
    await withModel({ weights: 'F32' }, async (model) => {
      const graph = await model.graph(3);
      assert.deepEqual([graph.batch, graph.pos], [1, 3]);
      assert.deepEqual(graph.nodes.at(-1)?.shape, [1, 3, TINY.vocab]);
      assert.ok(graph.nodes.some(({ weights }) => weights.includes('layers.1.down_proj.weight')));
      for (const pos of [0, -1, 1.5, NaN, 129]) await assert.rejects(model.graph(pos), OptionError, String(pos));
    });
  });

  test('once disposed refuses all that needs weights, while work in flight goes on', async () => {
    const model = await loadModel(bundled.storytellerInt4);
    const running = model.run('Once upon a time');
    const generating = model.generate('Once upon a time', { maxTokens: 5, seed: 1, ignoreEos: true });
    model.dispose();
    model.dispose();
    const uses: (() => unknown)[] = [
      () => model.generate('a'),
      () => model.generateBatch(['a']),
      () => model.generateSamples('a', 2),
      () => model.weight(0, 'q_proj'),
      () => model.memory(),
      () => model.record(),
    ];
    for (const use of uses) assert.throws(use, DisposedError, String(use));
    for (const use of [() => model.run('a'), () => model.graph()])
      await assert.rejects(use, DisposedError, String(use));
    assert.equal((await running).record.hash, model.hash);
    assert.equal((await generating).ids.length, 5);
  });
});

describe('generation by a real model', () => {
  const PROMPTS = ['Once upon a time', 'The', 'There was a very old house in the wood, and in it lived', ''];
  const EACH: GenerateOptions[] = [
    { seed: 1, maxTokens: 12 },
    { seed: 2, maxTokens: 20, topK: 20, repetitionPenalty: 1.2, ignoreEos: true },
    { seed: 3, maxTokens: 15, temperature: 0, stop: ['the'] },
    { seed: 4, maxTokens: 9, alternatives: 3, ignoreEos: true },
  ];

  test('a batch equals its prompts one at a time; samples of one prefill equal their seeds alone', async () => {
    const model = await loadModel(bundled.storytellerInt4);
    const batch = await Promise.all(model.generateBatch(PROMPTS, EACH));
    for (const [i, prompt] of PROMPTS.entries()) {
      assert.deepEqual(timeless(batch[i]), timeless(await model.generate(prompt, EACH[i])), `prompt ${i}`);
    }
    const options = { seed: 11, maxTokens: 12, ignoreEos: true };
    const samples = await Promise.all(model.generateSamples(PROMPTS[2], 3, options));
    for (const [i, sample] of samples.entries()) {
      assert.deepEqual(timeless(sample), timeless(await model.generate(PROMPTS[2], { ...options, seed: 11 + i })));
    }
    assert.notEqual(samples[0].text, samples[1].text);
  });

  test('steps stream, and await to the whole; log-probabilities are those of a whole pass', async () => {
    const model = await loadModel(bundled.storytellerInt4);
    const generation = model.generate('Once upon a time', { seed: 5, maxTokens: 8, alternatives: 2, ignoreEos: true });
    const steps: GenerationStep[] = [];
    for await (const step of generation) steps.push(step);
    const result = await generation;
    assert.deepEqual(result.steps, steps);
    const all = Int32Array.from([...result.promptIds, ...result.ids]);
    const run = await model.run(all);
    for (const { index, id, logProbability, alternatives } of steps) {
      const expected = run.logProbabilities(result.promptIds.length - 1 + index);
      assert.ok(Math.abs((logProbability ?? NaN) - expected[id]) < 1e-5);
      for (const each of alternatives) assert.ok(Math.abs(each.logProbability - expected[each.id]) < 1e-5);
      assert.equal(alternatives[0].logProbability.toFixed(4), Math.max(...expected).toFixed(4));
    }
    const table = result.toTable();
    assert.deepEqual(
      table.array('token'),
      steps.map(({ id }) => model.tokenizer.label(id)),
    );
    const probabilities = table.array('probability') as number[];
    probabilities.forEach((p, i) => assert.ok(Math.abs(p - Math.exp(steps[i].logProbability ?? NaN)) < 1e-12));
    const { timings } = result;
    assert.ok(timings.prefillMs > 0 && timings.timeToFirstTokenMs >= timings.prefillMs);
    assert.ok(timings.totalMs >= timings.timeToFirstTokenMs);
  });

  test('a long prompt tells its progress, can be aborted in its midst, and must fit', async () => {
    const model = await loadModel(bundled.storytellerInt4);
    const ids = Int32Array.from({ length: 512 }, (_, i) => 300 + (i % 50));
    const told: [number, number][] = [];
    const onProgress = (done: number, total: number) => void told.push([done, total]);
    const full = await model.generate(ids, { onProgress, seed: 1, ignoreEos: true });
    assert.deepEqual([full.stopReason, full.ids.length], ['context-full', 1]);
    assert.ok(told.length > 1 && told.every(([, total]) => total === 512));
    assert.deepEqual(told.at(-1), [512, 512]);

    const one: [number, number][] = [];
    await model.generate(Int32Array.of(1), { maxTokens: 2, onProgress: (...progress) => void one.push(progress) });
    assert.deepEqual(one, [[1, 1]]);

    const controller = new AbortController();
    const aborted = await model.generate(ids, { signal: controller.signal, onProgress: () => controller.abort() });
    assert.deepEqual([aborted.stopReason, aborted.text, aborted.ids.length], ['cancelled', '', 0]);
    assert.throws(() => model.generate(Int32Array.from([...ids, 5])), ContextFullError);
    assert.throws(() => model.generate(Int32Array.of(4096)), OptionError);
    assert.throws(() => model.generate(Int32Array.of(-1)), OptionError);
  });

  test('sliding goes on past the end of the context, from what stopping would have given', async () => {
    await withModel({ weights: 'F32', seed: 4 }, async (model) => {
      const prompt = Int32Array.from({ length: 125 }, (_, i) => 1 + (i % 20));
      const options = { contextOverflow: 'slide', keepFirst: 4, maxTokens: 90, seed: 2, ignoreEos: true } as const;
      const slid = await model.generate(prompt, options);
      assert.deepEqual([slid.stopReason, slid.ids.length], ['max-tokens', 90]);
      const stopped = await model.generate(prompt, { ...options, contextOverflow: 'stop' });
      assert.deepEqual([stopped.stopReason, [...slid.ids.subarray(0, 4)]], ['context-full', [...stopped.ids]]);
    });
  });

  test('a tokenizer with more entries than the model is refused where an id is too large', async () => {
    const vocab = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [String.fromCharCode(97 + i), i]));
    const tokenizer = { decoder: { type: 'Fuse' }, model: { type: 'BPE', vocab, merges: [] } };
    await withFolder({ ...tinyFolder({ weights: 'F32' }), 'tokenizer.json': tokenizer }, async (folder) => {
      const model = await loadModel(folder);
      assert.deepEqual([model.tokenizer.vocabSize, model.config.vocabSize], [30, TINY.vocab]);
      assert.equal((await model.generate('abc', { maxTokens: 2, ignoreEos: true })).ids.length, 2);
      assert.throws(() => model.generate('abz'), /id 2 of the prompt: found 25, expected 0 to 23/);
      await assert.rejects(model.run('abz'), OptionError);
    });
  });
});

test('the bundled float model is the one that its golden file was made of', async () => {
  const golden = readGolden(join(bundled.storyteller, 'golden.safetensors'));
  const model = await loadModel(bundled.storyteller);
  const ids = golden.get('a.input_ids')?.values as Int32Array;
  assert.equal((await model.run(ids)).logits.length, golden.get('a.logits')?.values.length);
});
