import { native, type NativeAddon } from '../native/native.js';
import {
  attentionSizes,
  forQueries,
  keyRow,
  keysOf,
  kvHeadOf,
  pastLength,
  refusePast,
  rowStart,
  type AttentionCacheAttributes,
} from './attention-rows.js';
import type { Kernel, Operand } from './kernel.js';
import { execute } from './tfjs.js';

export interface AttentionScoresAttributes extends AttentionCacheAttributes {
  /** Factor on q·k: 1 / √d_head for LLaMA. */
  readonly scale: number;
}

/** scores[query, key] = scale·Σ_i q[query, i]·k[key, i] where the key is not later than the query, −∞ elsewhere. */
export const attentionScoresReference: NativeAddon['attentionScores'] = (q, k, sizes, past, scale, scores) => {
  const { heads, dHead } = sizes;
  const keys = keysOf(sizes, past);
  scores.fill(-Infinity);
  forQueries(sizes, ({ index, batch, head, position }) => {
    const from = rowStart(sizes, heads, batch, position, head);
    const kvHead = kvHeadOf(sizes, head);
    for (let key = 0; key <= pastLength(past, batch) + position; key++) {
      const row = keyRow(sizes, past, 0, k, { batch, kvHead, key });
      let sum = 0;
      for (let i = 0; i < dHead; i++) sum += q[from + i] * row[i];
      scores[index * keys + key] = scale * sum;
    }
  });
};

/** dq[query] = scale·Σ_{key ≤ query} dscores·k[key], dk[key] = scale·Σ_{query ≥ key} dscores·q[query]; no cache. */
export const attentionScoresGradientReference: NativeAddon['attentionScoresGradient'] = (
  dscores, q, k, sizes, scale, dq, dk,
) => {
  const { heads, kvHeads, pos, dHead } = sizes;
  const [sumsQ, sumsK] = [new Float64Array(dq.length), new Float64Array(dk.length)];
  forQueries(sizes, ({ index, batch, head, position }) => {
    const from = rowStart(sizes, heads, batch, position, head);
    for (let key = 0; key <= position; key++) {
      const to = rowStart(sizes, kvHeads, batch, key, kvHeadOf(sizes, head));
      const slope = scale * dscores[index * pos + key];
      for (let i = 0; i < dHead; i++) {
        sumsQ[from + i] += slope * k[to + i];
        sumsK[to + i] += slope * q[from + i];
      }
    }
  });
  dq.set(sumsQ);
  dk.set(sumsK);
};

/** The gradients of `attentionScores`: q, k, dscores → [dq, dk]. */
export const attentionScoresGradient: Kernel<{ q: Operand; k: Operand; dscores: Operand }, { readonly scale: number }> = {
  name: 'NibbleAttentionScoresGradient',
  compute({ q, k, dscores }, { scale }) {
    const [dq, dk] = [new Float32Array(q.values.length), new Float32Array(k.values.length)];
    const sizes = attentionSizes(q.shape[2], k, 1);
    const gradient = native()?.attentionScoresGradient ?? attentionScoresGradientReference;
    gradient(dscores.values, q.values, k.values, sizes, scale, dq, dk);
    return [{ values: dq, shape: q.shape }, { values: dk, shape: k.shape }];
  },
};

/**
 * Scaled and causally masked scores, of grouped queries and the keys before and in this call:
 * q [batch, pos, head, d_head], k [batch, pos, kv_head, d_head] → [batch, head, pos, key].
 */
export const attentionScores: Kernel<{ q: Operand; k: Operand }, AttentionScoresAttributes> = {
  name: 'NibbleAttentionScores',
  compute({ q, k }, { scale, past, layers }) {
    const sizes = attentionSizes(q.shape[2], k, layers);
    const shape = [sizes.batch, sizes.heads, sizes.pos, keysOf(sizes, past)];
    const scores = new Float32Array(shape.reduce((a, b) => a * b));
    (native()?.attentionScores ?? attentionScoresReference)(q.values, k.values, sizes, past, scale, scores);
    return { values: scores, shape };
  },
  gradient: {
    savedInputs: ['q', 'k'],
    backward: (dscores, [q, k], { scale, past }) => {
      refusePast(attentionScores.name, past);
      const [dq, dk] = execute(attentionScoresGradient.name, { q, k, dscores }, { scale });
      return { q: () => dq, k: () => dk };
    },
  },
};
