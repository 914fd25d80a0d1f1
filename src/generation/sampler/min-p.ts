import { among, atLeast, maximum, pick, type Candidates } from './candidates.js';

/** Min-p (Nguyen et al. 2024): tokens at least `ratio` times as likely as the likeliest, l ≥ max + ln ratio. */
export function minP(candidates: Candidates, ratio: number): Candidates {
  const { logits } = candidates;
  return pick(candidates, atLeast(logits, maximum(logits) + Math.log(ratio)));
}

/** The same of all tokens at a temperature: l ≥ max + temperature · ln ratio. */
export function minPOfAll(logits: Float32Array, ratio: number, temperature: number): Candidates {
  return among(logits, atLeast(logits, maximum(logits) + temperature * Math.log(ratio)));
}
