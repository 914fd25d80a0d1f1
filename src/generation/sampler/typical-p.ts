import { negated, pick, probabilities, type Candidates } from './candidates.js';
import { leading } from './leading.js';

/**
 * Locally typical sampling (Meister et al. 2022): the tokens whose surprise −ln p lies nearest to the entropy
 * H = −Σ p ln p, as few as have probability `mass` together.
 */
export function typicalP(candidates: Candidates, mass: number): Candidates {
  const p = probabilities(candidates);
  const surprise = negated(p.map(Math.log));
  let entropy = 0;
  for (let i = 0; i < p.length; i++) if (p[i] !== 0) entropy += (p[i] as number) * (surprise[i] as number);
  return pick(candidates, leading(surprise.map((each) => Math.abs(each - entropy)), p, mass));
}
