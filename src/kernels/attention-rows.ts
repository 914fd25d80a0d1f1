import { GradientError } from '../base/errors.js';
import { readRow } from '../native/cache-pages.js';
import { PAGE_POSITIONS, type AttentionSizes, type Past } from '../native/native.js';
import type { Operand } from './kernel.js';

// What the kernels of attention share. Keys are counted from a sequence's first cached position on: those below its
// past's length lie in cache pages, the others in the call's own k or v.

/** What an attention kernel reads beside its tensors. */
export interface AttentionCacheAttributes {
  /** Cached positions of each sequence; null where there are none. */
  readonly past: Past;
  /** Layers in the cache's pages; 1 where there is no cache. */
  readonly layers: number;
}

/** Sizes of a call on queries [batch, pos, head, d_head] and keys or values [batch, pos, kv_head, d_head]. */
export function attentionSizes(heads: number, rows: Operand, layers: number): AttentionSizes {
  const [batch, pos, kvHeads, dHead] = rows.shape;
  return { batch, pos, heads, kvHeads, dHead, layers };
}

/** Cached positions of sequence `batch`. */
export const pastLength = (past: Past, batch: number): number => past?.[batch].length ?? 0;

/** Columns of scores and pattern: the call's positions after the longest past. */
export function keysOf({ batch, pos }: AttentionSizes, past: Past): number {
  return pos + Math.max(...Array.from({ length: batch }, (_, b) => pastLength(past, b)));
}

/** The key head that query head `head` reads: ⌊head / (heads / kv_heads)⌋. */
export const kvHeadOf = ({ heads, kvHeads }: AttentionSizes, head: number): number => Math.floor(head / (heads / kvHeads));

/** Where row [batch, pos, head] of a tensor with `heads` heads starts. */
export const rowStart = ({ pos, dHead }: AttentionSizes, heads: number, batch: number, position: number, head: number): number =>
  ((batch * pos + position) * heads + head) * dHead;

/** The d_head numbers of a key (kind 0) or value (kind 1), in the cache or in `current`. */
export function keyRow(
  sizes: AttentionSizes,
  past: Past,
  kind: 0 | 1,
  current: Float32Array,
  { batch, kvHead, key }: { batch: number; kvHead: number; key: number },
): Float32Array {
  const { kvHeads, dHead } = sizes;
  const length = pastLength(past, batch);
  if (!past || key >= length) {
    const start = rowStart(sizes, kvHeads, batch, key - length, kvHead);
    return current.subarray(start, start + dHead);
  }
  const { pages, layer } = past[batch];
  const place = { layer, kind, kvHead, slot: key % PAGE_POSITIONS };
  return readRow(pages[Math.floor(key / PAGE_POSITIONS)], sizes, place);
}

/** Calls `visit` for each query, with its index in the rows of scores and pattern [batch, head, pos]. */
export function forQueries(
  { batch, heads, pos }: AttentionSizes,
  visit: (query: { index: number; batch: number; head: number; position: number }) => void,
): void {
  let index = 0;
  for (let b = 0; b < batch; b++) {
    for (let head = 0; head < heads; head++) {
      for (let position = 0; position < pos; position++) visit({ index: index++, batch: b, head, position });
    }
  }
}

/** @throws GradientError where keys of an earlier run were read: what they came from is on no tape. */
export function refusePast(kernel: string, past: Past): void {
  const longest = Math.max(0, ...(past ?? []).map(({ length }) => length));
  if (longest === 0) return;
  throw new GradientError({
    thing: 'gradient of attention',
    found: `${longest} cached positions of an earlier run`,
    expected: 'all positions in one run',
    where: kernel,
  });
}
