import { native, type NativeAddon } from '../native/native.js';
import { attentionMixGradient, attentionMixReference } from './attention-mix.js';
import { attentionSizes, keysOf, refusePast } from './attention-rows.js';
import {
  attentionScores,
  attentionScoresGradient,
  attentionScoresReference,
  type AttentionScoresAttributes,
} from './attention-scores.js';
import type { Kernel, Operand } from './kernel.js';
import { softmax, softmaxGradient, softmaxReference } from './softmax.js';
import { execute } from './tfjs.js';

/** The three steps one after the other, each rounded to float32, so that the joined kernel gives the bits of the split ones. */
export const attentionReference: NativeAddon['attention'] = (q, k, v, sizes, past, scale, z) => {
  const keys = keysOf(sizes, past);
  const scores = new Float32Array(sizes.batch * sizes.heads * sizes.pos * keys);
  const pattern = new Float32Array(scores.length);
  attentionScoresReference(q, k, sizes, past, scale, scores);
  softmaxReference(scores, keys, pattern);
  attentionMixReference(pattern, v, sizes, past, z);
};

/**
 * softmax(scale·q·kᵀ)·v with the mask of causality: q [batch, pos, head, d_head], k and v [batch, pos, kv_head, d_head]
 * → [batch, pos, head, d_head]. No pattern is kept; the gradient makes it again (as Dao et al. 2022, arXiv:2205.14135).
 */
export const attention: Kernel<{ q: Operand; k: Operand; v: Operand }, AttentionScoresAttributes> = {
  name: 'NibbleAttention',
  compute({ q, k, v }, { scale, past, layers }) {
    const z = new Float32Array(q.values.length);
    const sizes = attentionSizes(q.shape[2], k, layers);
    (native()?.attention ?? attentionReference)(q.values, k.values, v.values, sizes, past, scale, z);
    return { values: z, shape: q.shape };
  },
  gradient: {
    savedInputs: ['q', 'k', 'v'],
    backward: (dz, [q, k, v], attributes) => {
      refusePast(attention.name, attributes.past);
      const [scores] = execute(attentionScores.name, { q, k }, attributes);
      const [pattern] = execute(softmax.name, { x: scores }, {});
      const [dpattern, dv] = execute(attentionMixGradient.name, { pattern, v, dz }, {});
      const [dscores] = execute(softmaxGradient.name, { y: pattern, dy: dpattern }, {});
      const [dq, dk] = execute(attentionScoresGradient.name, { q, k, dscores }, { scale: attributes.scale });
      return { q: () => dq, k: () => dk, v: () => dv };
    },
  },
};
