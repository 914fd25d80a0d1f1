import { OptionError, ShapeError } from '../base/errors.js';
import { breather } from '../base/event-loop.js';
import { warnOnce } from '../base/logger.js';
import type { MatrixStorage, Mode } from '../matrix/storage.js';
import { native, nativeAbsence, type CacheType } from '../native/native.js';
import { growingRotaryTable, inverseFrequencies } from '../layers/rotary-table.js';
import type { RotaryTable } from '../ops/rope.js';
import { FusedRunner } from './fused-runner.js';
import { KVCache, type CacheShape } from './kv-cache.js';
import type { LlamaModel } from './llama-model.js';
import { queued } from './run-queue.js';
import { runRecord, type RunRecord } from './run-record.js';
import { LINEAR_NAMES, type LlamaWeights } from './weights.js';

/** Rows of one native pass: enough to reuse each weight well, few enough to stop soon. */
const FUSED_ROWS = 256;
/** Multiply-adds of about 40 ms of one thread, the native kernels' and the TypeScript reference's. */
const HELD_WORK = { native: 6e8, reference: 1e7 };

/** One sequence to go on with. */
export interface CacheItem {
  readonly sequence: KVCache;
  readonly ids: Int32Array;
}

export interface DecodeSettings {
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** What a decoder may be given beside its weights. */
export interface DecoderParts {
  /** A rotary table in place of the config's own. */
  readonly rotary?: RotaryTable;
  /** How KV caches hold their numbers; default 'f32'. */
  readonly cache?: CacheType;
  /** How activations meet packed weights; default 'exact'. */
  readonly mode?: Mode;
  /** Where the weights are from, for run records. */
  readonly source?: { readonly path: string; readonly hash: string };
}

/**
 * Runs a model by its two ways: fused where the addon is there, composed otherwise (and for taps). Loading tfjs is left
 * until a composed pass is asked for.
 */
export class ModelDecoder {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly eosIds: readonly number[];
  readonly cacheShape: CacheShape;
  readonly fused: FusedRunner | null;
  readonly rotary: RotaryTable;
  readonly mode: Mode;
  readonly #source: DecoderParts['source'];
  #composed: Promise<LlamaModel> | null = null;

  constructor(readonly weights: LlamaWeights, { rotary, source, cache = 'f32', mode = 'exact' }: DecoderParts = {}) {
    const { config } = weights;
    this.#source = source;
    this.mode = mode;
    this.vocabSize = config.vocabSize;
    this.contextLength = config.maxPositionEmbeddings;
    this.eosIds = config.eosTokenIds;
    this.rotary = rotary ?? growingRotaryTable(config.rope, config.headDim, this.contextLength);
    this.cacheShape = {
      type: cache,
      layers: config.numHiddenLayers,
      kvHeads: config.numKeyValueHeads,
      dHead: config.headDim,
      contextLength: this.contextLength,
      frequencies: inverseFrequencies(config.rope, config.headDim),
    };
    const addon = native();
    this.fused = addon && new FusedRunner(addon, weights, this.rotary, mode);
    if (!addon) {
      warnOnce(`no native addon: models run on TypeScript kernels, tens of times slower; ${nativeAbsence()}`);
    }
  }

  /** The model as layers on tfjs, for taps. */
  composed(): Promise<LlamaModel> {
    this.#composed ??= (async () => {
      const [{ ready }, { LlamaModel }] = await Promise.all([import('../kernels/backend.js'), import('./llama-model.js')]);
      await ready();
      return new LlamaModel(this.weights, this.rotary, this.mode);
    })();
    return this.#composed;
  }

  /** How what is generated comes about; null for weights of no known source. */
  record(seed?: number): RunRecord | null {
    return this.#source ? runRecord(this, this.#source, this.fused ? 'fused' : 'composed', seed) : null;
  }

  createSequence(): KVCache {
    return new KVCache(this.cacheShape);
  }

  /** See `TokenDecoder.decode` of the generation room. */
  decode(items: readonly CacheItem[], settings: DecodeSettings = {}): Float32Array[] | Promise<Float32Array[]> {
    for (const { ids } of items) this.checkIds(ids);
    const rows = items.reduce((sum, { ids }) => sum + ids.length, 0);
    const oneEach = items.every(({ ids }) => ids.length === 1);
    if (oneEach) return this.#step(items, settings);
    return this.#prefill(items, rows, settings);
  }

  /** One id for each sequence, as one batch. */
  #step(items: readonly CacheItem[], settings: DecodeSettings): Float32Array[] | Promise<Float32Array[]> {
    const caches = items.map(({ sequence }) => sequence);
    const ids = new Int32Array(items.length);
    items.forEach((item, i) => (ids[i] = item.ids[0]));
    const done = (all: Float32Array) => {
      settings.onProgress?.(items.length, items.length);
      return this.#split(all);
    };
    const pass = () => this.#pass(ids, 1, caches, settings.signal);
    if (items.length > 1) return this.#roomForOneEach(caches).then(pass).then(done);
    const logits = pass();
    return logits instanceof Promise ? logits.then(done) : done(logits);
  }

  /** Forks of a large model copy tens of megabytes each before they write for the first time. */
  async #roomForOneEach(caches: readonly KVCache[]): Promise<void> {
    const breathe = breather();
    for (const cache of caches) {
      await breathe();
      cache.reserve(1);
    }
  }

  /** Each prompt by itself, in chunks of rows. */
  async #prefill(items: readonly CacheItem[], total: number, settings: DecodeSettings): Promise<Float32Array[]> {
    const breathe = breather(settings.signal);
    const results: Float32Array[] = [];
    let done = 0;
    for (const { sequence, ids } of items) {
      let logits: Float32Array = new Float32Array(0);
      for (let start = 0; start < ids.length; start += this.chunkRows) {
        await breathe();
        const chunk = ids.subarray(start, start + this.chunkRows);
        logits = await this.#pass(chunk, chunk.length, [sequence], settings.signal);
        settings.onProgress?.((done += chunk.length), total);
      }
      results.push(logits);
    }
    return results;
  }

  /** One pass over `pos` ids per sequence; the caches have grown when it is done. */
  #pass(ids: Int32Array, pos: number, caches: KVCache[], signal?: AbortSignal): Float32Array | Promise<Float32Array> {
    for (const cache of caches) cache.reserve(pos);
    const grown = (logits: Float32Array) => {
      for (const cache of caches) cache.advance(pos);
      return logits;
    };
    const pass = { ids, pos, caches, logits: 'last' as const, signal };
    if (this.fused) {
      const logits = this.fused.forward(pass);
      return logits instanceof Promise ? logits.then(grown) : grown(logits);
    }
    return this.composed()
      .then((model) => queued(() => model.forward({ ...pass, tap: null })))
      .then(grown);
  }

  /** Positions per pass, so that the event loop is never held for long. */
  get chunkRows(): number {
    if (this.fused) return FUSED_ROWS;
    return this.composedRows(1, 'last');
  }

  /**
   * Positions per composed pass of `batch` sequences: what holds the event loop, a layer or the lm_head, takes about
   * 40 ms of one thread on them, or what it takes on one position.
   */
  composedRows(batch: number, logits: 'all' | 'last'): number {
    const { layers, lm_head } = this.weights;
    const perLayer = layers.map((layer) => LINEAR_NAMES.reduce((sum, name) => sum + elements(layer[name].weight), 0));
    const perRow = Math.max(...perLayer, logits === 'all' ? elements(lm_head.weight) : 0);
    const rows = Math.floor((native() ? HELD_WORK.native : HELD_WORK.reference) / (batch * perRow));
    if (rows < 1) warnOnce('one position of this model holds the event loop for more than 40 ms, where a pass is composed');
    return Math.min(Math.max(rows, 1), FUSED_ROWS);
  }

  #split(logits: Float32Array): Float32Array[] {
    return Array.from({ length: logits.length / this.vocabSize }, (_, i) => {
      return logits.subarray(i * this.vocabSize, (i + 1) * this.vocabSize);
    });
  }

  /** Throws unless there are ids, all in the vocabulary. */
  checkIds(ids: Int32Array): void {
    if (ids.length === 0) throw new ShapeError({ thing: 'token ids', found: 'none', expected: 'at least one' });
    const wrong = ids.findIndex((id) => id < 0 || id >= this.vocabSize);
    if (wrong >= 0) {
      throw new OptionError({ thing: `token id at ${wrong}`, found: ids[wrong], expected: `0 to ${this.vocabSize - 1}` });
    }
  }
}

const elements = ({ outFeatures, inFeatures }: MatrixStorage): number => outFeatures * inFeatures;
