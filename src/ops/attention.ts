import type { Tensor } from '@tensorflow/tfjs-core';
import { OptionError, ShapeError } from '../base/errors.js';
import { checkWhole } from '../base/options.js';
import { attentionMix as mixKernel } from '../kernels/attention-mix.js';
import { keysOf } from '../kernels/attention-rows.js';
import { attentionScores as scoresKernel } from '../kernels/attention-scores.js';
import { attention as joinedKernel } from '../kernels/attention.js';
import { runKernel } from '../kernels/run.js';
import { cacheTypeOf, pageLength } from '../native/cache-pages.js';
import { PAGE_POSITIONS, type AttentionSizes, type Past } from '../native/native.js';
import { checkShape, checkSize, checkTensor, inWords } from './check.js';

// Causal attention of grouped queries (Ainslie et al. 2023, arXiv:2305.13245): query head h reads key head
// ⌊h / (heads / kv_heads)⌋. `attentionScores`, `softmax` and `attentionMix` one after the other give the bits of
// `attention`. All are differentiable by their tensors, unless they read cached positions: that is a GradientError.

/** What `attentionMix` reads beside its tensors. */
export interface AttentionMixOptions {
  /** Keys and values of earlier positions, one entry per sequence; null (default) where there are none. */
  readonly past?: Past;
  /** Layers in the pages of `past`; default 1. */
  readonly layers?: number;
}

/** What attention and its scores read beside their tensors. */
export interface AttentionOptions extends AttentionMixOptions {
  /** Factor on q·k; default 1 / √d_head. */
  readonly scale?: number;
}

/**
 * softmax(scale·q·kᵀ)·v, in which a query attends to no later key: q [batch, pos, head, d_head],
 * k and v [batch, pos, kv_head, d_head] → [batch, pos, head, d_head]. Keys are those of `past`, then k.
 * @throws ShapeError where shapes do not fit, OptionError for a scale or a past that cannot be.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const attributes = checkQueries('attention', q, k, options);
  checkTensor('attention', 'v', v, [4]);
  checkShape('attention', 'v', v.shape, k.shape);
  return runKernel(joinedKernel.name, { q, k, v }, attributes);
}

/**
 * scale·q·kᵀ, −∞ where the key is later than the query: q [batch, pos, head, d_head], k [batch, pos, kv_head, d_head]
 * → [batch, head, pos, key], the keys being those of the longest past, then k's.
 * @throws as `attention` does.
 */
export function attentionScores(q: Tensor, k: Tensor, options: AttentionOptions = {}): Tensor {
  return runKernel(scoresKernel.name, { q, k }, checkQueries('attentionScores', q, k, options));
}

/**
 * Σ_key pattern·v: pattern [batch, head, pos, key], v [batch, pos, kv_head, d_head] → [batch, pos, head, d_head].
 * @throws as `attention` does.
 */
export function attentionMix(
  pattern: Tensor,
  v: Tensor,
  { past = null, layers = 1 }: AttentionMixOptions = {},
): Tensor {
  const op = 'attentionMix';
  checkTensor(op, 'pattern', pattern, [4]);
  checkTensor(op, 'v', v, [4]);
  const [batch, pos, kvHeads, dHead]: number[] = v.shape;
  const [, heads]: number[] = pattern.shape;
  checkGroups(op, heads, kvHeads);
  const sizes: AttentionSizes = { batch, pos, heads, kvHeads, dHead, layers };
  checkPast(op, past, sizes);
  checkShape(op, 'pattern', pattern.shape, [batch, heads, pos, keysOf(sizes, past)]);
  return runKernel(mixKernel.name, { pattern, v }, { past, layers });
}

/** Checks queries, keys and options, and returns the kernel's attributes. */
function checkQueries(op: string, q: Tensor, k: Tensor, { scale, past = null, layers = 1 }: AttentionOptions): object {
  checkTensor(op, 'q', q, [4]);
  checkTensor(op, 'k', k, [4]);
  const [batch, pos, heads, dHead]: number[] = q.shape;
  const [, , kvHeads]: number[] = k.shape;
  checkShape(op, 'k', k.shape, [batch, pos, kvHeads, dHead]);
  checkGroups(op, heads, kvHeads);
  checkPast(op, past, { batch, pos, heads, kvHeads, dHead, layers });
  if (scale !== undefined && !Number.isFinite(scale)) {
    throw new OptionError({ thing: 'scale', found: scale, expected: 'a finite number', where: op });
  }
  return { scale: scale ?? 1 / Math.sqrt(dHead), past, layers };
}

function checkGroups(op: string, heads: number, kvHeads: number): void {
  if (heads % kvHeads === 0) return;
  throw new ShapeError({
    thing: 'heads and key heads',
    found: inWords([heads, kvHeads]),
    expected: 'a multiple',
    where: op,
  });
}

function checkPast(op: string, past: Past, sizes: AttentionSizes): void {
  const { batch, layers } = sizes;
  checkWhole(op, 'layers', layers, 1);
  if (!past) return;
  checkSize(op, 'sequences with a past', past.length, batch);
  for (const { pages, length, layer } of past) {
    checkWhole(op, 'cached positions', length, 0, pages.length * PAGE_POSITIONS);
    checkWhole(op, 'layer', layer, 0, layers - 1);
    const types = new Set(pages.map(cacheTypeOf));
    if (types.size > 1) throw new OptionError({ thing: 'pages', found: [...types], expected: 'one type', where: op });
    for (const page of pages) checkSize(op, 'length of a page', page.length, pageLength(cacheTypeOf(page), sizes));
  }
}
