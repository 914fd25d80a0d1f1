import { probabilities, type Candidates } from './candidates.js';
import type { Random } from './random.js';

/** One candidate's id, drawn by its probability: the first at which the running sum exceeds a uniform number. */
export function sample(candidates: Candidates, random: Random): number {
  const p = probabilities(candidates);
  const wanted = random();
  let sum = 0;
  let last = 0;
  for (let i = 0; i < p.length; i++) {
    if (p[i] === 0) continue;
    sum += p[i] as number;
    last = i;
    if (sum > wanted) break;
  }
  return candidates.ids[last] as number;
}

/** The likeliest token; the lowest id among equals. */
export function greedy(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if ((logits[id] as number) > (logits[best] as number)) best = id;
  return best;
}
