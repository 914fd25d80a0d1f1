import { breather, nextTurn, type Breathe } from '../../base/event-loop.js';
import { openCheckpoint } from '../../checkpoint/index.js';
import { storageArrays } from '../../matrix/index.js';
import type { Mode } from '../../matrix/storage.js';
import type { KVCache } from '../../model/kv-cache.js';
import { loadWeights } from '../../model/load-weights.js';
import { ModelDecoder } from '../../model/model-decoder.js';
import type { RunRecord } from '../../model/run-record.js';
import { LINEAR_NAMES, type LlamaWeights } from '../../model/weights.js';
import { OpenedModel } from '../../opened-model.js';
import { idTokenizer } from '../../tokenizer/id-tokenizer.js';
import { native } from '../../native/native.js';
import type { Contender } from './rounds.js';

/** Least duration of a burst, and the tokens that it decodes at least. */
const BURST_MS = 400;
const BURST_TOKENS = 4;

export interface DecodingOptions {
  /** Positions that the cache holds before the burst. */
  readonly context: number;
  /** Sequences decoded at once; 1 unless given. */
  readonly batch?: number;
  readonly signal?: AbortSignal;
}

/** A model whose weights are held once and run in both modes, without tokenizer and sampler. */
export class Subject {
  readonly #decoders: Readonly<Record<Mode, ModelDecoder>>;

  private constructor(readonly weights: LlamaWeights, private readonly source: { path: string; hash: string }) {
    this.#decoders = {
      exact: new ModelDecoder(weights, { source, mode: 'exact' }),
      fast: new ModelDecoder(weights, { source, mode: 'fast' }),
    };
  }

  static async open(path: string, signal?: AbortSignal): Promise<Subject> {
    const checkpoint = await openCheckpoint(path, { load: 'copy', signal });
    try {
      return new Subject(await loadWeights(checkpoint, { signal }), { path: checkpoint.path, hash: await checkpoint.hash() });
    } finally {
      await checkpoint.close();
    }
  }

  get contextLength(): number {
    return this.#decoders.exact.contextLength;
  }

  decoder(mode: Mode): ModelDecoder {
    return this.#decoders[mode];
  }

  /** The model as users hold it, for what goes through `generate`. */
  opened(mode: Mode): OpenedModel {
    const { vocabSize, bosTokenId } = this.weights.config;
    return OpenedModel.of(this.decoder(mode), idTokenizer(this.source.path, { vocabSize, bosId: bosTokenId }), this.source);
  }

  record(): RunRecord | null {
    return this.#decoders.exact.record();
  }

  /** Bytes of the weights that a token reads: all but the embedding, of which it is a row. */
  get weightBytes(): number {
    const { layers, norm, lm_head } = this.weights;
    const linears = [...layers.flatMap((layer) => LINEAR_NAMES.map((name) => layer[name])), lm_head];
    const arrays = [
      ...linears.flatMap(({ weight, bias }) => [...storageArrays(weight), bias]),
      ...layers.flatMap((layer) => [layer.input_layernorm, layer.post_attention_layernorm]),
      norm,
    ];
    return arrays.reduce((sum, array) => sum + (array?.byteLength ?? 0), 0);
  }

  /** Bytes of keys and values of one position, as float32. */
  get positionBytes(): number {
    const { numHiddenLayers, numKeyValueHeads, headDim } = this.weights.config;
    return numHiddenLayers * 2 * numKeyValueHeads * headDim * 4;
  }

  /** Bytes that decoding reads per token after about so many positions. */
  bytesPerToken(context: number): number {
    return this.weightBytes + context * this.positionBytes;
  }

  /** Decodes one token after another behind `context` positions, in each of `batch` sequences; tokens a second of all. */
  async decoding(mode: Mode, { context, batch = 1, signal }: DecodingOptions): Promise<Contender> {
    const decoder = this.decoder(mode);
    const first = await filledCache(decoder, context, breather(signal));
    const sequences = [first, ...Array.from({ length: batch - 1 }, () => first.fork())];
    const burst = async (): Promise<number> => {
      const breatheHere = breather(signal);
      const started = performance.now();
      let [tokens, ms] = [0, 0];
      for (; (ms < BURST_MS || tokens < BURST_TOKENS) && context + tokens < this.contextLength; tokens++) {
        await breatheHere();
        const id = Int32Array.of(tokens % decoder.vocabSize);
        await decoder.decode(sequences.map((sequence) => ({ sequence, ids: id })));
        ms = performance.now() - started;
      }
      for (const sequence of sequences) sequence.truncate(context);
      return (1000 * batch * tokens) / ms;
    };
    return { name: mode, burst };
  }

  /** The products of a token with all matrices, one after the other, without what is between them; tokens a second. */
  products(mode: Mode): Contender {
    const addon = native();
    const { layers, lm_head } = this.weights;
    const linears = [...layers.flatMap((layer) => LINEAR_NAMES.map((name) => layer[name])), lm_head];
    const inputs = new Map(linears.map(({ weight }) => [weight.inFeatures, new Float32Array(weight.inFeatures).fill(1)]));
    const outputs = new Map(linears.map(({ weight }) => [weight.outFeatures, new Float32Array(weight.outFeatures)]));
    const burst = async (): Promise<number> => {
      const started = performance.now();
      let [tokens, ms] = [0, 0];
      for (; ms < BURST_MS; tokens++) {
        for (const { weight, bias } of linears) {
          const [x, y] = [inputs.get(weight.inFeatures), outputs.get(weight.outFeatures)];
          if (addon && x && y) addon.matmul(x, 1, weight, bias, mode, y);
        }
        await nextTurn();
        ms = performance.now() - started;
      }
      return (1000 * tokens) / ms;
    };
    return { name: `products, ${mode}`, burst };
  }

  /** Runs a prompt of so many tokens; tokens a second. */
  prefill(mode: Mode, tokens: number): Contender {
    const decoder = this.decoder(mode);
    const ids = Int32Array.from({ length: tokens }, (_, i) => i % decoder.vocabSize);
    const burst = async (): Promise<number> => {
      const sequence = decoder.createSequence();
      const started = performance.now();
      await decoder.decode([{ sequence, ids }]);
      const ms = performance.now() - started;
      sequence.dispose();
      return (1000 * tokens) / ms;
    };
    return { name: mode, burst };
  }
}

/** A cache that holds so many positions without anything having been computed: what attention reads takes as long. */
async function filledCache(decoder: ModelDecoder, positions: number, breathe: Breathe): Promise<KVCache> {
  const cache = decoder.createSequence();
  cache.reserve(positions);
  for (const page of cache.native().pages) {
    await breathe();
    // memory that was never written is not read from memory
    page.fill(1 / 64);
  }
  cache.advance(positions);
  return cache;
}
