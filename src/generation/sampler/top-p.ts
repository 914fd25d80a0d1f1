import { negated, pick, probabilities, type Candidates } from './candidates.js';
import { leading } from './leading.js';

/** Top-p, or nucleus sampling (Holtzman et al. 2020): the fewest likeliest tokens with probability `mass` together. */
export function topP(candidates: Candidates, mass: number): Candidates {
  const p = probabilities(candidates);
  return pick(candidates, leading(negated(p), p, mass));
}
