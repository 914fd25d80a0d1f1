import fc from 'fast-check';
import { attention, attentionReference } from '../../../src/kernels/attention.js';
import {
  attentionMix,
  attentionMixGradientReference,
  attentionMixReference,
} from '../../../src/kernels/attention-mix.js';
import {
  attentionScores,
  attentionScoresGradientReference,
  attentionScoresReference,
} from '../../../src/kernels/attention-scores.js';
import type { Operand } from '../../../src/kernels/kernel.js';
import { softmaxGradientReference, softmaxReference } from '../../../src/kernels/softmax.js';
import { CACHE_TYPES } from '../../../src/native/cache-pages.js';
import type { AttentionSizes, CacheType, Past } from '../../../src/native/native.js';
import { asFloats, cached, longest, mixOf, scoresOf, softmaxOf } from '../../native/attention-support.js';
import { absolute, cases, operand, type KernelCases, type Made, type Random } from './case.js';

/** Sizes of attention, and the cached positions of each sequence: null where there are none. */
interface AttentionShape {
  readonly sizes: AttentionSizes;
  readonly lengths: readonly number[] | null;
  readonly type: CacheType;
  readonly scale: number;
}

const attentionShape: fc.Arbitrary<AttentionShape> = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    pos: fc.integer({ min: 1, max: 9 }),
    kvHeads: fc.integer({ min: 1, max: 3 }),
    group: fc.integer({ min: 1, max: 3 }),
    dHead: fc.constantFrom(1, 2, 6, 8, 15, 16, 32, 65),
    layers: fc.integer({ min: 1, max: 3 }),
    lengths: fc.option(fc.array(fc.constantFrom(0, 1, 5, 63, 64, 65, 130), { minLength: 3, maxLength: 3 })),
    type: fc.constantFrom(...CACHE_TYPES),
    scale: fc.constantFrom(0.1, 0.35, 1),
  })
  .map(({ group, lengths, type, scale, ...sizes }) => ({
    sizes: { ...sizes, heads: sizes.kvHeads * group },
    lengths,
    type,
    scale,
  }));

/** The shape without a cache, through which gradients go. */
const fresh = attentionShape.map((shape): AttentionShape => ({
  ...shape,
  sizes: { ...shape.sizes, layers: 1 },
  lengths: null,
}));

interface AttentionParts extends AttentionShape {
  readonly past: Past;
  readonly q: Operand;
  readonly k: Operand;
  readonly v: Operand;
  readonly keys: number;
}

function attentionParts(shape: AttentionShape, random: Random, by: number): AttentionParts {
  const { sizes, lengths, type } = shape;
  const { batch, pos, heads, kvHeads, dHead, layers } = sizes;
  const past = lengths && Array.from({ length: batch }, (_, b) => cached(sizes, lengths[b], layers - 1, random, type));
  const rows = (count: number) => operand([batch, pos, count, dHead], random, by);
  return { ...shape, past, q: rows(heads), k: rows(kvHeads), v: rows(kvHeads), keys: pos + longest(past) };
}

const attributesOf = ({ sizes, past, scale }: AttentionParts) => ({ scale, past, layers: sizes.layers });

const scoresMade =
  (shape: AttentionShape): Made =>
  (random, by) => {
    const parts = attentionParts(shape, random, by);
    const { sizes, past, q, k, keys, scale } = parts;
    const absolutePast = asFloats(past, sizes)?.map((one) => ({ ...one, pages: one.pages.map((page) => page.map(Math.abs)) })) ?? null;
    const terms = scoresOf(absolute(q.values), absolute(k.values), sizes, absolutePast, scale);
    return {
      kernel: attentionScores.name,
      inputs: { q, k },
      attributes: attributesOf(parts),
      shape: [sizes.batch, sizes.heads, sizes.pos, keys],
      define: (values) => scoresOf(values.q, values.k, sizes, past, scale),
      size: (i) => terms[i],
      reference: (y) => attentionScoresReference(q.values, k.values, sizes, past, scale, y),
      referenceGradient: (dy) => {
        const [dq, dk] = [new Float32Array(q.values.length), new Float32Array(k.values.length)];
        attentionScoresGradientReference(dy, q.values, k.values, sizes, scale, dq, dk);
        return { q: dq, k: dk };
      },
    };
  };

const mixMade =
  (shape: AttentionShape): Made =>
  (random, by) => {
    const parts = attentionParts(shape, random, by);
    const { sizes, past, v, keys } = parts;
    const pattern = operand([sizes.batch, sizes.heads, sizes.pos, keys], random, by);
    return {
      kernel: attentionMix.name,
      inputs: { pattern, v },
      attributes: { past, layers: sizes.layers },
      shape: [sizes.batch, sizes.pos, sizes.heads, sizes.dHead],
      define: (values) => mixOf(values.pattern, values.v, sizes, past),
      size: () => keys,
      reference: (y) => attentionMixReference(pattern.values, v.values, sizes, past, y),
      referenceGradient: (dy) => {
        const [dpattern, dv] = [new Float32Array(pattern.values.length), new Float32Array(v.values.length)];
        attentionMixGradientReference(dy, pattern.values, v.values, sizes, dpattern, dv);
        return { pattern: dpattern, v: dv };
      },
    };
  };

const joinedMade =
  (shape: AttentionShape): Made =>
  (random, by) => {
    const parts = attentionParts(shape, random, by);
    const { sizes, past, q, k, v, keys, scale } = parts;
    return {
      kernel: attention.name,
      inputs: { q, k, v },
      attributes: attributesOf(parts),
      shape: q.shape,
      define: (values) =>
        mixOf(softmaxOf(scoresOf(values.q, values.k, sizes, past, scale), keys), values.v, sizes, past),
      size: () => 1,
      reference: (y) => attentionReference(q.values, k.values, v.values, sizes, past, scale, y),
      referenceGradient: (dz) => {
        const count = sizes.batch * sizes.heads * sizes.pos * keys;
        const [scores, pattern, dpattern, dscores] = Array.from({ length: 4 }, () => new Float32Array(count));
        const [dq, dk, dv] = [q, k, v].map(({ values }) => new Float32Array(values.length));
        attentionScoresReference(q.values, k.values, sizes, null, scale, scores);
        softmaxReference(scores, keys, pattern);
        attentionMixGradientReference(dz, pattern, v.values, sizes, dpattern, dv);
        softmaxGradientReference(pattern, keys, dpattern, dscores);
        attentionScoresGradientReference(dscores, q.values, k.values, sizes, scale, dq, dk);
        return { q: dq, k: dk, v: dv };
      },
    };
  };

const attentionCases = (shape: fc.Arbitrary<AttentionShape>): KernelCases[] => [
  cases(attentionScores.name, shape.map(scoresMade)),
  cases(attentionMix.name, shape.map(mixMade)),
  cases(attention.name, shape.map(joinedMade)),
];

/** With cached positions, or without. */
export const ATTENTION_CASES: readonly KernelCases[] = attentionCases(attentionShape);

/** Without: those that have a gradient. */
export const FRESH_ATTENTION_CASES: readonly KernelCases[] = attentionCases(fresh);
