import { PAGE_POSITIONS, type AttentionSizes, type CachedPositions, type Past } from '../../src/native/native.js';
import { floats } from './support.js';

// Attention by its definition, as loops in float64, on arrays of either precision.

export type Floats = Float32Array | Float64Array;

/** A cache of `length` positions of random keys and values. */
export function cached(sizes: AttentionSizes, length: number, layer: number, random: () => number): CachedPositions {
  const pageFloats = sizes.layers * 2 * sizes.kvHeads * PAGE_POSITIONS * sizes.dHead;
  const pages = Array.from({ length: Math.ceil(length / PAGE_POSITIONS) }, () => floats(pageFloats, random, 1));
  return { pages, length, layer };
}

/** The key (0) or value (1) of one head by key index, in the cache or after it. */
function rowOf(
  sizes: AttentionSizes,
  past: Past,
  current: Floats,
  kind: 0 | 1,
  b: number,
  head: number,
  key: number,
): Floats {
  const { kvHeads, dHead, pos } = sizes;
  const own = past?.[b];
  const length = own?.length ?? 0;
  if (own && key < length) {
    const block = (own.layer * 2 + kind) * kvHeads + head;
    const start = (block * PAGE_POSITIONS + (key % PAGE_POSITIONS)) * dHead;
    return own.pages[Math.floor(key / PAGE_POSITIONS)].subarray(start, start + dHead);
  }
  const start = ((b * pos + key - length) * kvHeads + head) * dHead;
  return current.subarray(start, start + dHead);
}

export const longest = (past: Past): number => Math.max(0, ...(past ?? []).map(({ length }) => length));

/** Scores [batch, head, pos, key]. */
export function scoresOf(q: Floats, k: Floats, sizes: AttentionSizes, past: Past, scale: number): Float64Array {
  const { batch, pos, heads, kvHeads, dHead } = sizes;
  const keys = pos + longest(past);
  const scores = new Float64Array(batch * heads * pos * keys).fill(-Infinity);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let t = 0; t < pos; t++) {
        const from = ((b * pos + t) * heads + h) * dHead;
        for (let key = 0; key <= (past?.[b].length ?? 0) + t; key++) {
          const row = rowOf(sizes, past, k, 0, b, Math.floor(h / (heads / kvHeads)), key);
          let sum = 0;
          for (let i = 0; i < dHead; i++) sum += q[from + i] * row[i];
          scores[((b * heads + h) * pos + t) * keys + key] = scale * sum;
        }
      }
    }
  }
  return scores;
}

export function softmaxOf(scores: Floats, columns: number): Float64Array {
  const pattern = new Float64Array(scores.length);
  for (let first = 0; first < scores.length; first += columns) {
    let top = -Infinity;
    let sum = 0;
    for (let i = first; i < first + columns; i++) top = Math.max(top, scores[i]);
    if (top === -Infinity) continue;
    for (let i = first; i < first + columns; i++) sum += pattern[i] = Math.exp(scores[i] - top);
    for (let i = first; i < first + columns; i++) pattern[i] /= sum;
  }
  return pattern;
}

/** z [batch, pos, head, d_head] */
export function mixOf(pattern: Floats, v: Floats, sizes: AttentionSizes, past: Past): Float64Array {
  const { batch, pos, heads, kvHeads, dHead } = sizes;
  const keys = pos + longest(past);
  const z = new Float64Array(batch * pos * heads * dHead);
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let t = 0; t < pos; t++) {
        for (let key = 0; key < (past?.[b].length ?? 0) + pos; key++) {
          const weight = pattern[((b * heads + h) * pos + t) * keys + key];
          const row = rowOf(sizes, past, v, 1, b, Math.floor(h / (heads / kvHeads)), key);
          for (let i = 0; i < dHead; i++) z[((b * pos + t) * heads + h) * dHead + i] += weight * row[i];
        }
      }
    }
  }
  return z;
}
