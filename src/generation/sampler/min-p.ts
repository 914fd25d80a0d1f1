import { maximum, pick, type Candidates } from './candidates.js';

/** Min-p (Nguyen et al. 2024): tokens at least `ratio` times as likely as the likeliest, l ≥ max + ln ratio. */
export function minP(candidates: Candidates, ratio: number): Candidates {
  const { logits } = candidates;
  const least = maximum(logits) + Math.log(ratio);
  const places = new Int32Array(logits.length);
  let count = 0;
  for (let i = 0; i < logits.length; i++) if ((logits[i] as number) >= least) places[count++] = i;
  return pick(candidates, places.subarray(0, count));
}
