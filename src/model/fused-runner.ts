import type { Mode } from '../matrix/storage.js';
import type { RotaryTable } from '../ops/rope.js';
import type { NativeAddon, NativeCapture, NativeDecoder } from '../native/native.js';
import type { KVCache } from './kv-cache.js';
import type { LlamaWeights } from './weights.js';

/** Steps expected to take longer than this, in milliseconds, leave the main thread; a hop there and back costs 0.1. */
const ON_THREAD_MS = 2;

/** What one fused pass works on; see `Pass` of llama-model.ts. */
export interface FusedPass {
  readonly ids: Int32Array; // [batch, pos]
  readonly pos: number;
  readonly caches: readonly KVCache[];
  readonly logits: 'all' | 'last';
  readonly captures?: readonly NativeCapture[];
  readonly signal?: AbortSignal;
}

/** The forward pass as one native call: the same primitives in the same order as `LlamaModel`, hence the same bits. */
export class FusedRunner {
  readonly #decoder: NativeDecoder;
  readonly #vocabSize: number;
  readonly #rotary: RotaryTable;
  /** Milliseconds per row of activations, measured at the last pass; at first a guess from the bytes of the weights. */
  #rowMs: number;

  constructor(addon: NativeAddon, weights: LlamaWeights, rotary: RotaryTable, mode: Mode) {
    const { config } = weights;
    this.#vocabSize = config.vocabSize;
    this.#rotary = rotary;
    this.#rowMs = (12 * config.numHiddenLayers * config.hiddenSize ** 2) / 2e10 * 1e3;
    this.#decoder = addon.createDecoder({
      dModel: config.hiddenSize,
      heads: config.numAttentionHeads,
      kvHeads: config.numKeyValueHeads,
      dHead: config.headDim,
      dFf: config.intermediateSize,
      vocabSize: config.vocabSize,
      contextLength: rotary.positions,
      rmsNormEps: config.rmsNormEps,
      attentionScale: 1 / Math.sqrt(config.headDim),
      mode,
      embedding: weights.embed_tokens,
      layers: weights.layers.map((layer) => ({
        inputNorm: layer.input_layernorm,
        q: layer.q_proj,
        k: layer.k_proj,
        v: layer.v_proj,
        o: layer.o_proj,
        postAttentionNorm: layer.post_attention_layernorm,
        gate: layer.gate_proj,
        up: layer.up_proj,
        down: layer.down_proj,
      })),
      finalNorm: weights.norm,
      lmHead: weights.lm_head,
      cos: rotary.cos,
      sin: rotary.sin,
    });
  }

  /** Logits [batch, pos or 1, vocab]; without a promise where the step is short. Does not advance the caches. */
  forward({ ids, pos, caches, logits: which, captures = [], signal }: FusedPass): Float32Array | Promise<Float32Array> {
    signal?.throwIfAborted();
    const batch = caches.length;
    const logits = new Float32Array(batch * (which === 'all' ? pos : 1) * this.#vocabSize);
    const sequences = caches.map((cache) => cache.native());
    this.#rotary.reach?.(Math.max(...sequences.map(({ length }) => length)) + pos);
    const abort = this.#rowMs * batch * pos <= ON_THREAD_MS ? null : new Int32Array(1);
    const step = { ids, batch, pos, sequences, logits, allLogits: which === 'all', captures, abort };
    const started = performance.now();
    const measured = () => {
      this.#rowMs = (performance.now() - started) / (batch * pos);
      return logits;
    };
    if (!abort) {
      this.#decoder.step(step);
      return measured();
    }
    const stop = () => void (abort[0] = 1);
    signal?.addEventListener('abort', stop, { once: true });
    return this.#decoder
      .stepAsync(step)
      .finally(() => signal?.removeEventListener('abort', stop))
      .then(() => {
        signal?.throwIfAborted();
        return measured();
      });
  }
}
