import { maximum, type Candidates } from './candidates.js';

/** Temperature (Ackley, Hinton and Sejnowski 1985): l ← (l − max) / temperature, for temperature > 0. */
export function temperature({ ids, logits }: Candidates, value: number): Candidates {
  const most = maximum(logits);
  return { ids, logits: logits.map((logit) => (logit === most ? 0 : (logit - most) / value)) };
}
