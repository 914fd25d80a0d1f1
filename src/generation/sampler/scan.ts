import { native, WEIGHT_BLOCK } from '../../native/native.js';

// What looks at every logit of a vocabulary: native where the addon is loaded, with the same results to the bit, so that
// the same seed gives the same text with and without it.

/** Logits from which on the call of the addon costs less than the loops here do. */
const NATIVE_FROM = 256;

const addonFor = (logits: Float32Array) => (logits.length < NATIVE_FROM ? null : native());

/** Whether no logit is NaN or infinite. */
export function allFinite(logits: Float32Array): boolean {
  const addon = addonFor(logits);
  return addon ? addon.allFinite(logits) : plainAllFinite(logits);
}

/** Ids of the `count` likeliest tokens (1 to the size of the vocabulary), best first; of equals the lower id first. */
export function largest(logits: Float32Array, count: number): Int32Array {
  const ids = new Int32Array(count);
  const addon = addonFor(logits);
  if (addon) addon.largest(logits, ids);
  else plainLargest(logits, ids);
  return ids;
}

/** Weights e^((l − most)·scale) of all tokens: their sums in blocks of `WEIGHT_BLOCK` ids, and the sum of those. */
export interface Weights {
  readonly blocks: Float64Array;
  readonly total: number;
}

/** The weights of tokens whose largest logit is `most`; scale > 0. */
export function weightsOf(logits: Float32Array, most: number, scale: number): Weights {
  const blocks = new Float64Array(Math.ceil(logits.length / WEIGHT_BLOCK));
  const addon = addonFor(logits);
  if (addon) addon.weightSums(logits, most, scale, blocks);
  else plainWeightSums(logits, most, scale, blocks);
  let total = 0;
  for (let block = 0; block < blocks.length; block++) total += blocks[block] as number;
  return { blocks, total };
}

export function plainAllFinite(logits: Float32Array): boolean {
  let [a, b] = [0, 0]; // two sums, so that an addition need not wait for the one before
  let id = 0;
  for (; id + 1 < logits.length; id += 2) {
    a += (logits[id] as number) * 0;
    b += (logits[id + 1] as number) * 0;
  }
  if (id < logits.length) a += (logits[id] as number) * 0;
  return a + b === 0;
}

/** A heap holds the best so far, its root the last of them; most logits are only compared with that one. */
export function plainLargest(logits: Float32Array, ids: Int32Array): void {
  const count = ids.length;
  for (let id = 0; id < count; id++) ids[id] = id;
  for (let place = (count >> 1) - 1; place >= 0; place--) sink(logits, ids, count, place);
  for (let id = firstAbove(logits, count, ids[0] as number); id < logits.length; ) {
    ids[0] = id;
    sink(logits, ids, count, 0);
    id = firstAbove(logits, id + 1, ids[0] as number);
  }
  for (let size = count - 1; size > 0; size--) {
    const id = ids[0] as number;
    ids[0] = ids[size] as number;
    ids[size] = id;
    sink(logits, ids, size, 0);
  }
}

/** The first id from `id` on with a larger logit than another id has, or the size of the vocabulary. */
function firstAbove(logits: Float32Array, id: number, other: number): number {
  const bar = logits[other] as number;
  while (id < logits.length && !((logits[id] as number) > bar)) id++;
  return id;
}

/** Lets the id at `place` of a heap sink to where none that comes after it is below. */
function sink(logits: Float32Array, heap: Int32Array, size: number, place: number): void {
  const id = heap[place] as number;
  for (let child = 2 * place + 1; child < size; child = 2 * place + 1) {
    if (child + 1 < size && comesAfter(logits, heap[child + 1] as number, heap[child] as number)) child++;
    if (!comesAfter(logits, heap[child] as number, id)) break;
    heap[place] = heap[child] as number;
    place = child;
  }
  heap[place] = id;
}

function comesAfter(logits: Float32Array, a: number, b: number): boolean {
  const [left, right] = [logits[a] as number, logits[b] as number];
  return left < right || (left === right && a > b);
}

/** Four sums in each block, by id modulo 4: as the addon's lanes have them. */
export function plainWeightSums(logits: Float32Array, most: number, scale: number, blocks: Float64Array): void {
  const [from, factor] = [Math.fround(most), Math.fround(scale)];
  for (let block = 0; block < blocks.length; block++) {
    const end = Math.min((block + 1) * WEIGHT_BLOCK, logits.length);
    let [a, b, c, d] = [0, 0, 0, 0];
    let id = block * WEIGHT_BLOCK;
    for (; id + 3 < end; id += 4) {
      a += weight(((logits[id] as number) - from) * factor);
      b += weight(((logits[id + 1] as number) - from) * factor);
      c += weight(((logits[id + 2] as number) - from) * factor);
      d += weight(((logits[id + 3] as number) - from) * factor);
    }
    if (id < end) a += weight(((logits[id] as number) - from) * factor);
    if (id + 1 < end) b += weight(((logits[id + 1] as number) - from) * factor);
    if (id + 2 < end) c += weight(((logits[id + 2] as number) - from) * factor);
    blocks[block] = a + b + (c + d);
  }
}

/** 2^−n for n from 0 to 1022. */
const HALVINGS = Float64Array.from({ length: 1023 }, (_, n) => 2 ** -n);
/** 1.5·2^52: a sum with it has no fraction bits. */
const ROUND = 6755399441055744;

/**
 * e^x for x ≤ 0, within 1e-13 of its size; 0 below −708. As `expDoubles` of the addon, which has the equation, in the
 * same order of operations (`Math.exp` may differ between engines in the last bit).
 */
export function weight(x: number): number {
  if (!(x >= -708)) return 0;
  const n = x * 1.4426950408889634 + ROUND - ROUND;
  const r = x - n * 0.69314718036912381649 - n * 1.90821492927058770002e-10;
  const r2 = r * r;
  let even = 1 / 3628800;
  let odd = 1 / 39916800;
  even = even * r2 + 1 / 40320;
  odd = odd * r2 + 1 / 362880;
  even = even * r2 + 1 / 720;
  odd = odd * r2 + 1 / 5040;
  even = even * r2 + 1 / 24;
  odd = odd * r2 + 1 / 120;
  even = even * r2 + 1 / 2;
  odd = odd * r2 + 1 / 6;
  even = even * r2 + 1;
  odd = odd * r2 + 1;
  return (even + odd * r) * (HALVINGS[-n | 0] as number);
}
