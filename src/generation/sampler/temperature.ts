import { maximum, type Candidates } from './candidates.js';

/** Temperature (Ackley, Hinton and Sejnowski 1985): l ← (l − max) / temperature, for temperature > 0. */
export function temperature({ ids, logits }: Candidates, value: number): Candidates {
  const most = maximum(logits);
  return { ids, logits: logits.map((logit) => (logit === most ? 0 : (logit - most) / value)) };
}

/** 1 / temperature as a float32, the largest where it is above all: what weights take. */
export const inverse = (value: number): number => Math.min(Math.fround(1 / value), LARGEST_F32);

const LARGEST_F32 = (2 - 2 ** -23) * 2 ** 127;
