import { tensor2d, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { breather } from '../base/event-loop.js';
import {
  DecoderLayer,
  Embedding,
  GroupedQueryAttention,
  Linear,
  RMSNorm,
  RotaryEmbedding,
  SwiGLU,
  tapOfLayer,
  tapped,
  type PassContext,
  type Tap,
} from '../layers/index.js';
import type { Mode } from '../matrix/storage.js';
import type { RotaryTable } from '../ops/index.js';
import { lastRows, tensorValues, tidyValues } from '../ops/index.js';
import type { KVCache } from './kv-cache.js';
import type { LinearWeights, LlamaWeights } from './weights.js';

/** What one pass works on: `pos` new ids for each of the sequences that `caches` hold. */
export interface Pass {
  readonly ids: Int32Array; // [batch, pos]
  readonly pos: number;
  /** One per batch element, with room for `pos` more positions; the pass writes but does not advance them. */
  readonly caches: readonly KVCache[];
  readonly tap: Tap | null;
  /** Logits of every position, or of each sequence's last one. */
  readonly logits: 'all' | 'last';
  readonly signal?: AbortSignal;
}

/** A LLaMA as layers on tfjs kernels: the definition of the forward pass, in which every named point can be tapped. */
export class LlamaModel {
  readonly embed_tokens: Embedding;
  readonly layers: readonly DecoderLayer[];
  readonly norm: RMSNorm;
  readonly lm_head: Linear;

  constructor(weights: LlamaWeights, rotaryTable: RotaryTable, mode: Mode = 'exact') {
    const { numAttentionHeads, numKeyValueHeads, headDim, rmsNormEps } = weights.config;
    const linear = ({ weight, bias }: LinearWeights) => new Linear(weight, bias, mode);
    const rotary = new RotaryEmbedding(rotaryTable);
    this.embed_tokens = new Embedding(weights.embed_tokens);
    this.layers = weights.layers.map((w, index) => {
      const [q, k, v, o] = [w.q_proj, w.k_proj, w.v_proj, w.o_proj].map(linear);
      const [gate, up, down] = [w.gate_proj, w.up_proj, w.down_proj].map(linear);
      return new DecoderLayer(
        index,
        new RMSNorm(w.input_layernorm, rmsNormEps),
        new GroupedQueryAttention(q, k, v, o, rotary, numAttentionHeads, numKeyValueHeads, headDim),
        new RMSNorm(w.post_attention_layernorm, rmsNormEps),
        new SwiGLU(gate, up, down),
      );
    });
    this.norm = new RMSNorm(weights.norm, rmsNormEps);
    this.lm_head = linear(weights.lm_head);
  }

  /**
   * Logits [batch, pos or 1, vocab]. Awaits between layers only, with no tfjs scope open, so other work and a stop
   * button get their turn. Callers hold the engine's run queue.
   */
  async forward(pass: Pass): Promise<Float32Array> {
    const breathe = breather(pass.signal);
    const context = passContext(pass, this.layers.length);
    const { tap, caches, pos } = pass;
    let x = tidy(() => {
      const ids = tensor2d(pass.ids, [caches.length, pos], 'int32');
      return tapped(tap, 'hook_embed', this.embed_tokens.forward(ids)); // [batch, pos, d_model]
    });
    try {
      for (const layer of this.layers) {
        await breathe();
        x = replaced(x, tidy(() => layer.forward(x, context, tap && tapOfLayer(tap, layer.index)))); // [batch, pos, d_model]
      }
      await breathe();
      return tidyValues(() => this.unembed(pass.logits === 'all' ? x : lastRows(x), tap));
    } finally {
      x.dispose();
    }
  }

  /** The residual stream's logits: final norm, then lm_head. */
  unembed(x: Tensor, tap: Tap | null): Tensor {
    const normalized = this.norm.forward(x, tap, 'ln_final'); // [batch, pos, d_model]
    const input = tapped(tap, 'unembed.hook_in', normalized);
    return tapped(tap, 'unembed.hook_out', this.lm_head.forward(input, null, 'unembed')); // [batch, pos, vocab]
  }
}

function replaced(before: Tensor, after: Tensor): Tensor {
  if (after.id !== before.id) before.dispose();
  return after;
}

/** Positions, and the caches as attention layers see them. */
function passContext({ caches, pos }: Pass, layers: number): PassContext {
  const positions = Int32Array.from({ length: caches.length * pos }, (_, row) => {
    return caches[Math.floor(row / pos)].length + (row % pos);
  });
  const fresh = caches.every((cache) => cache.length === 0);
  return {
    positions,
    layers,
    cache: caches[0].shape.type,
    past: (layer) => (fresh ? null : caches.map((cache) => cache.view(layer))),
    keep: (layer, keys, values) => {
      const [k, v] = [tensorValues(keys), tensorValues(values)];
      const size = k.length / caches.length;
      caches.forEach((cache, i) => {
        cache.write(layer, k.subarray(i * size, (i + 1) * size), v.subarray(i * size, (i + 1) * size));
      });
    },
  };
}
