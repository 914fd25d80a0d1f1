import { negated, pick, type Candidates } from './candidates.js';
import { leading } from './leading.js';

/** Top-k (Fan, Lewis and Dauphin 2018): the k likeliest tokens; lower ids first among equals. */
export function topK(candidates: Candidates, k: number): Candidates {
  if (k >= candidates.ids.length) return candidates;
  return pick(candidates, leading(negated(candidates.logits), null, k));
}
