import type { Tensor } from '@tensorflow/tfjs-core';
import type { CacheType, Past } from '../native/native.js';
import { attention, attentionMix, attentionScores, reshape, roundToCache, softmax } from '../ops/index.js';
import type { Linear } from './linear.js';
import type { RotaryEmbedding } from './rotary-embedding.js';
import { tapped, type LayerTap } from './tap.js';

/** Where the rows of a pass stand: their positions, and what was computed before them. */
export interface PassContext {
  /** [batch·pos] */
  readonly positions: Int32Array;
  /** Keys and values of layer `layer` at earlier positions, per batch element; null where there are none. */
  past(layer: number): Past;
  /** Layers in the cache's pages. */
  readonly layers: number;
  /** How the cache holds keys and values: attention reads those of this pass as later passes will. */
  readonly cache: CacheType;
  /** Keeps keys (after RoPE) and values [batch, pos, kv_head, d_head] of a layer for later passes. */
  keep(layer: number, keys: Tensor, values: Tensor): void;
}

/**
 * Causal attention in which `heads / kvHeads` query heads share a key and value head (Ainslie et al. 2023,
 * arXiv:2305.13245). Query head h reads key head ⌊h / (heads / kvHeads)⌋.
 */
export class GroupedQueryAttention {
  constructor(
    readonly q_proj: Linear,
    readonly k_proj: Linear,
    readonly v_proj: Linear,
    readonly o_proj: Linear,
    readonly rotary: RotaryEmbedding,
    readonly heads: number,
    readonly kvHeads: number,
    readonly dHead: number,
  ) {}

  /** `x`: [batch, pos, d_model], normalised. */
  forward(x: Tensor, layer: number, context: PassContext, tap: LayerTap | null): Tensor {
    const [batch, pos] = x.shape;
    const split = (rows: Tensor, heads: number) => reshape(rows, [batch, pos, heads, this.dHead]);
    const q = tapped(tap, 'attn.hook_q', split(this.q_proj.forward(x, tap, 'attn.q_proj'), this.heads)); // [batch, pos, head, d_head]
    const k = tapped(tap, 'attn.hook_k', split(this.k_proj.forward(x, tap, 'attn.k_proj'), this.kvHeads)); // [batch, pos, kv_head, d_head]
    const v = tapped(tap, 'attn.hook_v', split(this.v_proj.forward(x, tap, 'attn.v_proj'), this.kvHeads));
    const rotQ = tapped(tap, 'attn.hook_rot_q', this.rotary.forward(q, context.positions));
    const rotK = tapped(tap, 'attn.hook_rot_k', this.rotary.forward(k, context.positions));
    const z = tapped(tap, 'attn.hook_z', this.attend(rotQ, rotK, v, layer, context, tap)); // [batch, pos, head, d_head]
    context.keep(layer, rotK, v);
    return this.o_proj.forward(reshape(z, [batch, pos, this.heads * this.dHead]), tap, 'attn.o_proj'); // [batch, pos, d_model]
  }

  /** softmax(q·kᵀ / √d_head)·v, in three kernels where scores or pattern are tapped, with the same bits. */
  private attend(q: Tensor, rotK: Tensor, exactV: Tensor, layer: number, context: PassContext, tap: LayerTap | null): Tensor {
    const [k, v] = [rotK, exactV].map((rows) => roundToCache(rows, context.cache));
    const options = { scale: 1 / Math.sqrt(this.dHead), past: context.past(layer), layers: context.layers };
    if (!tap?.wants('attn.hook_attn_scores') && !tap?.wants('attn.hook_pattern')) return attention(q, k, v, options);
    const scores = tapped(tap, 'attn.hook_attn_scores', attentionScores(q, k, options)); // [batch, head, pos, key]
    const pattern = tapped(tap, 'attn.hook_pattern', softmax(scores));
    return attentionMix(pattern, v, options); // [batch, pos, head, d_head]
  }
}
