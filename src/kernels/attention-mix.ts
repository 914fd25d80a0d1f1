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

/** z[query] = Σ_key pattern[query, key]·v[key], over all keys: what masks later ones is the softmax. */
export const attentionMixReference: NativeAddon['attentionMix'] = (pattern, v, sizes, past, z) => {
  const { heads, pos, dHead } = sizes;
  const keys = keysOf(sizes, past);
  const sums = new Float64Array(dHead);
  forQueries(sizes, ({ index, batch, head, position }) => {
    const kvHead = kvHeadOf(sizes, head);
    sums.fill(0);
    for (let key = 0; key < pastLength(past, batch) + pos; key++) {
      const weight = pattern[index * keys + key];
      if (weight === 0) continue;
      const row = keyRow(sizes, past, 1, v, { batch, kvHead, key });
      for (let i = 0; i < dHead; i++) sums[i] += weight * row[i];
    }
    z.set(sums, rowStart(sizes, heads, batch, position, head));
  });
};

/** dpattern[query, key] = Σ_i dz[query, i]·v[key, i], dv[key] = Σ_query pattern[query, key]·dz[query]; no cache. */
export const attentionMixGradientReference: NativeAddon['attentionMixGradient'] = (
  dz, pattern, v, sizes, dpattern, dv,
) => {
  const { heads, kvHeads, pos, dHead } = sizes;
  const sums = new Float64Array(dv.length);
  forQueries(sizes, ({ index, batch, head, position }) => {
    const from = rowStart(sizes, heads, batch, position, head);
    for (let key = 0; key < pos; key++) {
      const to = rowStart(sizes, kvHeads, batch, key, kvHeadOf(sizes, head));
      const weight = pattern[index * pos + key];
      let slope = 0;
      for (let i = 0; i < dHead; i++) {
        slope += dz[from + i] * v[to + i];
        sums[to + i] += weight * dz[from + i];
      }
      dpattern[index * pos + key] = slope;
    }
  });
  dv.set(sums);
};

/** The gradients of `attentionMix`: pattern, v, dz → [dpattern, dv]. */
export const attentionMixGradient: Kernel<{ pattern: Operand; v: Operand; dz: Operand }> = {
  name: 'NibbleAttentionMixGradient',
  compute({ pattern, v, dz }) {
    const [dpattern, dv] = [new Float32Array(pattern.values.length), new Float32Array(v.values.length)];
    const sizes = attentionSizes(pattern.shape[1], v, 1);
    const gradient = native()?.attentionMixGradient ?? attentionMixGradientReference;
    gradient(dz.values, pattern.values, v.values, sizes, dpattern, dv);
    return [{ values: dpattern, shape: pattern.shape }, { values: dv, shape: v.shape }];
  },
};

/**
 * Values mixed by an attention pattern: pattern [batch, head, pos, key], v [batch, pos, kv_head, d_head] →
 * z [batch, pos, head, d_head].
 */
export const attentionMix: Kernel<{ pattern: Operand; v: Operand }, AttentionCacheAttributes> = {
  name: 'NibbleAttentionMix',
  compute({ pattern, v }, { past, layers }) {
    const sizes = attentionSizes(pattern.shape[1], v, layers);
    const shape = [sizes.batch, sizes.pos, sizes.heads, sizes.dHead];
    const z = new Float32Array(shape.reduce((a, b) => a * b));
    (native()?.attentionMix ?? attentionMixReference)(pattern.values, v.values, sizes, past, z);
    return { values: z, shape };
  },
  gradient: {
    savedInputs: ['pattern', 'v'],
    backward: (dz, [pattern, v], { past }) => {
      refusePast(attentionMix.name, past);
      const [dpattern, dv] = execute(attentionMixGradient.name, { pattern, v, dz }, {});
      return { pattern: () => dpattern, v: () => dv };
    },
  },
};
