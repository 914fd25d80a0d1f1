import { f16ToF32, f32ToF16 } from '../../src/base/float16.js';
import {
  PAGE_POSITIONS,
  type AttentionSizes,
  type CachedPositions,
  type CachePage,
  type CacheType,
  type Past,
} from '../../src/native/native.js';
import { floats } from './support.js';

// Attention by its definition, as loops in float64, on arrays of either precision.

export type Floats = Float32Array | Float64Array;

/** A cache of `length` positions of random keys and values, in pages that start one element into their buffers. */
export function cached(
  sizes: AttentionSizes,
  length: number,
  layer: number,
  random: () => number,
  type: CacheType = 'f32',
): CachedPositions {
  const pages = Array.from({ length: Math.ceil(length / PAGE_POSITIONS) }, () => randomPage(type, sizes, random));
  return { pages, length, layer };
}

function randomPage(type: CacheType, { layers, kvHeads, dHead }: AttentionSizes, random: () => number): CachePage {
  const blocks = layers * 2 * kvHeads;
  const values = floats(blocks * PAGE_POSITIONS * dHead, random, 1);
  if (type === 'f32') return values;
  if (type === 'f16') return Uint16Array.from([0, ...values].map(f32ToF16)).subarray(1);
  const blockBytes = PAGE_POSITIONS * (4 + dHead);
  const page = new Int8Array(blocks * blockBytes + 1).map(() => Math.floor(random() * 255) - 127).subarray(1);
  for (let block = 0; block < blocks; block++) {
    for (let slot = 0; slot < PAGE_POSITIONS; slot++) {
      const scale = new Int8Array(Float32Array.of(random() / 100).buffer);
      page.set(scale, block * blockBytes + slot * 4);
    }
  }
  return page;
}

/** Row `slot` of a block of a page as floats, by the layout that native.ts tells of. */
export function pageRow(page: CachePage, block: number, slot: number, dHead: number): Float32Array {
  const start = (block * PAGE_POSITIONS + slot) * dHead;
  if (page instanceof Float32Array) return page.subarray(start, start + dHead);
  if (page instanceof Uint16Array) return Float32Array.from(page.subarray(start, start + dHead), f16ToF32);
  const blockStart = block * PAGE_POSITIONS * (4 + dHead);
  const scaleAt = blockStart + slot * 4;
  const [scale] = new Float32Array(page.slice(scaleAt, scaleAt + 4).buffer);
  const codesAt = blockStart + PAGE_POSITIONS * 4 + slot * dHead;
  return Float32Array.from(page.subarray(codesAt, codesAt + dHead), (code) => scale * code);
}

/** The same past with pages of floats. */
export function asFloats(past: Past, { layers, kvHeads, dHead }: AttentionSizes): Past {
  const widened = (page: CachePage) => {
    const rows = Array.from({ length: layers * 2 * kvHeads * PAGE_POSITIONS }, (_, row) => {
      return pageRow(page, Math.floor(row / PAGE_POSITIONS), row % PAGE_POSITIONS, dHead);
    });
    return Float32Array.from(rows.flatMap((row) => [...row]));
  };
  return past && past.map((one) => ({ ...one, pages: one.pages.map(widened) }));
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
    return pageRow(own.pages[Math.floor(key / PAGE_POSITIONS)], block, key % PAGE_POSITIONS, dHead);
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
