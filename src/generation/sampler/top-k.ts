import { allCandidates, among, type Candidates } from './candidates.js';
import { largest } from './scan.js';

/**
 * Top-k (Fan, Lewis and Dauphin 2018): the k likeliest of all tokens; lower ids first among equals. No
 * temperature changes their order.
 */
export function topK(logits: Float32Array, k: number): Candidates {
  return k < logits.length ? among(logits, largest(logits, k)) : allCandidates(logits);
}
