import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { table, type ColumnTable } from 'arquero';
import { DisposedError, nearest, OptionError, UnknownNameError } from './base/errors.js';
import { breather } from './base/event-loop.js';
import { log, warnOnce } from './base/logger.js';
import { checkIndex, checkOneOf, checkOptionNames } from './base/options.js';
import type { LlamaConfig } from './checkpoint/config.js';
import { GGUF_TOKENIZER, ggufTokenizerKind } from './checkpoint/gguf-tokenizer-file.js';
import { openCheckpoint, type Checkpoint } from './checkpoint/index.js';
import { generate, generateBatch, generateSamples, type GenerateOptions, type Generation } from './generation/index.js';
import { hookNames, type HookName } from './layers/hook-names.js';
import type { GradientOptions, GradientRun } from './lens/gradient-options.js';
import type { Metric } from './lens/metrics.js';
import type { ModelRun } from './lens/model-run.js';
import type { Roofline } from './lens/roofline.js';
import type { RooflineOptions } from './lens/roofline-options.js';
import type { RunOptions } from './lens/run-options.js';
import { dequantize } from './matrix/index.js';
import { MODES, type MatrixStorage, type Mode } from './matrix/storage.js';
import type { Graph } from './model/graph.js';
import { loadWeights } from './model/load-weights.js';
import { memoryOf } from './model/memory.js';
import { ModelDecoder } from './model/model-decoder.js';
import { runRecord, type RunRecord } from './model/run-record.js';
import { LINEAR_NAMES, type LinearName } from './model/weights.js';
import { CACHE_TYPES } from './native/cache-pages.js';
import { native, type CacheType } from './native/native.js';
import { withOuterTypes } from './quantization/outer-matrices.js';
import { OUTER_TYPES, type OuterType } from './quantization/outer-types.js';
import { idTokenizer } from './tokenizer/id-tokenizer.js';
import { openTokenizer, tokenizerFromGguf } from './tokenizer/index.js';
import type { Tokenizer } from './tokenizer/tokenizer.js';

/** How `loadModel` opens a checkpoint. */
export interface LoadOptions {
  /**
   * 'map' (default) leaves float weights in the file and lets the system page them in; the file must not shrink while
   * the model is open. 'copy' reads them into memory.
   */
  load?: 'map' | 'copy';
  /**
   * How activations meet low-bit weights: 'exact' (default) as float32, or 'fast', rounded to int8 with a scale for every
   * 32 inputs. Gradients need 'exact'.
   */
  mode?: Mode;
  /**
   * How KV caches hold keys and values: 'f32' (default) exactly; 'f16' in half the memory, within 2⁻¹¹ of each number;
   * 'int8' in about a quarter, each vector of d_head within max|x| / 253. They are rounded when they are written, and
   * attention reads them rounded in the pass that writes them too: prefill and token by token attend to the same.
   */
  cache?: CacheType;
  /**
   * Threads of the native kernels, 1 to 256, of which no more are used than the machine has cores; default:
   * `NIBBLELENS_THREADS`, or the cores, 8 at most. Process-wide.
   */
  threads?: number;
  /**
   * How lm_head is held: 'stored' (default) as in its file, or rounded when it is loaded to 'f16', or to 'int8' or
   * 'int4' in groups of 32: on models with a large vocabulary a fifth of what a token reads.
   */
  head?: OuterType;
  /** The same of the embedding, of which a token reads one row: this saves memory alone. */
  embedding?: OuterType;
  signal?: AbortSignal;
  /** Layers read, of all; then, where `head` or `embedding` is asked for, those two. */
  onProgress?: (done: number, total: number) => void;
}

/** Text (BOS is added as the tokenizer says), ids, or several of either for one batch of equal lengths. */
export type RunInput = string | Int32Array | readonly (string | Int32Array)[];

/**
 * Opens a LLaMA: a Hugging Face folder, float or AWQ, a GGUF file, or what `convertCheckpoint` made of either.
 * Where that was made of a GGUF file with SentencePiece's pieces, they are read when a text is first encoded: of 32,000
 * that takes some 50 ms, and what is wrong with one of them is a TokenizerError only then.
 * @throws CheckpointError or TokenizerError where files are missing or bad, OptionError and UnknownNameError for wrong
 * options, the signal's reason once it is aborted.
 */
export async function loadModel(path: string, options: LoadOptions = {}): Promise<OpenedModel> {
  checkOptionNames(options, ['load', 'mode', 'cache', 'threads', 'head', 'embedding', 'signal', 'onProgress'], 'option of loadModel');
  const { load = 'map', mode = 'exact', cache = 'f32', head = 'stored', embedding = 'stored' } = options;
  const { threads, signal, onProgress } = options;
  checkOneOf('mode', mode, MODES);
  checkOneOf('load', load, ['map', 'copy']);
  checkOneOf('cache', cache, CACHE_TYPES);
  checkOneOf('head', head, OUTER_TYPES);
  checkOneOf('embedding', embedding, OUTER_TYPES);
  if (threads !== undefined) setThreads(threads);
  const started = performance.now();
  const checkpoint = await openCheckpoint(path, { load, signal });
  const { numHiddenLayers: layers } = checkpoint.config;
  const steps = layers + (head === 'stored' && embedding === 'stored' ? 0 : 2);
  try {
    const [stored, tokenizer] = await Promise.all([
      loadWeights(checkpoint, { signal, onProgress: (done) => onProgress?.(done, steps) }),
      tokenizerOf(checkpoint, signal),
    ]);
    const weights = await withOuterTypes(stored, { head, embedding }, breather(signal), (done) => {
      if (steps > layers) onProgress?.(layers + done, steps);
    });
    const source = { path: checkpoint.path, hash: await checkpoint.hash() };
    const model = OpenedModel.of(new ModelDecoder(weights, { source, cache, mode }), tokenizer, source);
    const ms = Math.round(performance.now() - started);
    log('info', `opened ${model.path} in ${ms} ms`, { ms, layers: model.config.numHiddenLayers, hash: model.hash });
    return model;
  } finally {
    await checkpoint.close();
  }
}

/** The tokenizer of a folder or GGUF file; one that knows ids alone where it has none, as small test models do. */
async function tokenizerOf(checkpoint: Checkpoint, signal?: AbortSignal): Promise<Tokenizer> {
  const { path: folder, config, metadata } = checkpoint;
  if (metadata && ggufTokenizerKind(metadata) !== null) return tokenizerFromGguf(metadata, breather(signal));
  if (!metadata && ['tokenizer.json', 'tokenizer.model', GGUF_TOKENIZER].some((name) => existsSync(join(folder, name)))) {
    return openTokenizer(folder, { signal });
  }
  log('info', `${folder} has no tokenizer: prompts must be ids, and text is shown as ids`);
  return idTokenizer(folder, { vocabSize: config.vocabSize, bosId: config.bosTokenId });
}

function setThreads(threads: number): void {
  if (!Number.isInteger(threads) || threads < 1 || threads > 256) {
    throw new OptionError({ thing: 'threads', found: threads, expected: '1 to 256' });
  }
  const cores = availableParallelism();
  if (threads > cores) warnOnce(`threads: found ${threads} on ${cores} cores; as many are used: more would wait for each other`);
  native()?.setThreads(Math.min(threads, cores));
}

/** A model and its tokenizer, as `loadModel` opens them. */
export class OpenedModel {
  readonly path: string;
  /** Of the checkpoint's contents. */
  readonly hash: string;
  readonly config: LlamaConfig;
  readonly tokenizer: Tokenizer;
  #decoder: ModelDecoder | null;

  private constructor(decoder: ModelDecoder, tokenizer: Tokenizer, { path, hash }: { path: string; hash: string }) {
    this.path = path;
    this.hash = hash;
    this.config = decoder.weights.config;
    this.tokenizer = tokenizer;
    this.#decoder = decoder;
  }

  /** @internal What `loadModel` makes; kept out of the declarations, which would bring tfjs' types into every cell. */
  static of(decoder: ModelDecoder, tokenizer: Tokenizer, source: { path: string; hash: string }): OpenedModel {
    return new OpenedModel(decoder, tokenizer, source);
  }

  /**
   * Continues a prompt. `for await (const step of model.generate(…))` streams; `await model.generate(…)` gives the
   * whole result, with text, ids, stop reason and timings.
   */
  generate(prompt: string | Int32Array, options: GenerateOptions = {}): Generation {
    return generate(this.#open(), this.tokenizer, prompt, options);
  }

  /** Continues several prompts at once; each result equals that of its prompt alone (beyond eight, up to rounding). */
  generateBatch(
    prompts: readonly (string | Int32Array)[],
    options: GenerateOptions | readonly GenerateOptions[] = {},
  ): Generation[] {
    return generateBatch(this.#open(), this.tokenizer, prompts, options);
  }

  /** Several continuations of one prompt, which is run once. */
  generateSamples(prompt: string | Int32Array, count: number, options: GenerateOptions = {}): Generation[] {
    return generateSamples(this.#open(), this.tokenizer, prompt, count, options);
  }

  /** Runs whole texts through the model, and captures or replaces what flows through its named points. */
  async run(input: RunInput, options: RunOptions = {}): Promise<ModelRun> {
    const decoder = this.#open();
    const [{ run }, { ModelRun }] = await Promise.all([import('./lens/run.js'), import('./lens/model-run.js')]);
    const ids = this.#idsOf(input);
    const { logits, activations, path } = await run(decoder, ids, options);
    return new ModelRun(this.tokenizer, ids, logits, activations, runRecord(decoder, this, path));
  }

  /**
   * The gradients of a metric of the logits, such as `logitDifference` or `nextTokenLoss`, by what flows through named
   * points on a pass over whole texts. INT4 weights are taken as the numbers they stand for, keys and values exactly
   * whatever `cache` the model was opened with.
   */
  async gradients(input: RunInput, metric: Metric, options: GradientOptions = {}): Promise<GradientRun> {
    const decoder = this.#open();
    const { gradients } = await import('./lens/gradients.js');
    const ids = this.#idsOf(input);
    const output = await gradients(decoder, ids, metric, options);
    return { ids, ...output, record: { ...runRecord(decoder, this, 'composed'), cache: 'f32' } };
  }

  /** All named points of this model, in the order of a pass. */
  get hookNames(): HookName[] {
    return hookNames(this.config.numHiddenLayers);
  }

  /**
   * A layer's matrix as floats, dequantised: values [out, in]. Made in one go: the largest matrices of a model of 7
   * billion parameters take some tenths of a second; `dequantize` of the storage gives some rows alone.
   */
  weight(layer: number, name: LinearName): { shape: [number, number]; values: Float32Array; storage: MatrixStorage } {
    const storage = this.storage(layer, name);
    return { shape: [storage.outFeatures, storage.inFeatures], values: dequantize(storage), storage };
  }

  /** A layer's matrix as it is held. */
  storage(layer: number, name: LinearName): MatrixStorage {
    const { layers } = this.#open().weights;
    checkIndex('layer', layer, layers.length);
    if (!LINEAR_NAMES.includes(name)) {
      throw new UnknownNameError({ thing: 'matrix', found: name, expected: nearest(name, LINEAR_NAMES).join(', ') });
    }
    return layers[layer][name].weight;
  }

  /** The forward pass over `pos` fresh positions as data: kernels, shapes, weights and named points. */
  async graph(pos: number = 4): Promise<Graph> {
    const decoder = this.#open();
    if (!Number.isInteger(pos) || pos < 1 || pos > decoder.contextLength) {
      const expected = `1 to ${decoder.contextLength}, the context length`;
      throw new OptionError({ thing: 'positions', found: pos, expected });
    }
    const [model, { recordGraph }] = await Promise.all([decoder.composed(), import('./model/record-graph.js')]);
    const cache = decoder.createSequence();
    try {
      return await recordGraph(model, decoder.weights, new Int32Array(pos), [cache]);
    } finally {
      cache.dispose();
    }
  }

  /**
   * Measures each module's kernel by itself, with as many positions at once as `rows` says: bytes, operations and time by
   * the name of the point at which its output can be seen. Takes seconds on large models.
   * @throws NibbleLensError without the native addon.
   */
  async roofline(options: RooflineOptions = {}): Promise<Roofline> {
    const decoder = this.#open();
    const { roofline } = await import('./lens/roofline.js');
    return roofline(decoder, runRecord(decoder, this, 'fused'), options);
  }

  /**
   * What the model keeps, by kind: how it is held, how many matrices or vectors, bytes, megabytes (10⁶ bytes), and how many of the
   * bytes are mapped: those are read from the file as they are used, and the system may take their memory back.
   */
  memory(): ColumnTable {
    const { weights, rotary } = this.#open();
    const rows = memoryOf(weights, rotary);
    return table({
      kind: rows.map((row) => row.kind),
      stored: rows.map((row) => row.stored),
      matrices: rows.map((row) => row.count),
      bytes: rows.map((row) => row.bytes),
      megabytes: rows.map((row) => row.bytes / 1e6),
      mapped: rows.map((row) => row.mapped),
    });
  }

  /** How results of this model come about. */
  record(path: RunRecord['path'] = this.#open().fused ? 'fused' : 'composed', seed?: number): RunRecord {
    return runRecord(this.#open(), this, path, seed);
  }

  /** Lets go of the weights; work in flight keeps what it uses until it ends. Using the model later is a typed error. */
  dispose(): void {
    this.#decoder = null;
  }

  #idsOf(input: RunInput): Int32Array[] {
    const inputs = Array.isArray(input) ? (input as readonly (string | Int32Array)[]) : [input as string | Int32Array];
    return inputs.map((one) => (typeof one === 'string' ? this.tokenizer.encode(one) : one));
  }

  #open(): ModelDecoder {
    if (this.#decoder) return this.#decoder;
    throw new DisposedError({ thing: 'model', found: 'disposed', expected: 'open', where: this.path });
  }
}
