import { WEIGHT_BLOCK } from '../../native/native.js';
import { probabilities, type Candidates } from './candidates.js';
import type { Random } from './random.js';
import { largest, weight, weightsOf } from './scan.js';
import { inverse } from './temperature.js';

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

/** One token's id of all, drawn by its probability at a temperature; as `sample`, with sums by blocks. */
export function sampleAll(logits: Float32Array, temperature: number, random: Random): number {
  const scale = inverse(temperature);
  const best = greedy(logits);
  const most = logits[best] as number;
  const { blocks, total } = weightsOf(logits, most, scale);
  const wanted = random() * total;
  let sum = 0;
  let block = 0;
  while (block < blocks.length - 1 && sum + (blocks[block] as number) <= wanted) sum += blocks[block++] as number;
  // Where rounding leaves the wanted number beyond all sums, the last token that has a weight stands for it.
  let last = best;
  const end = Math.min((block + 1) * WEIGHT_BLOCK, logits.length);
  for (let id = block * WEIGHT_BLOCK; id < end; id++) {
    const own = weight(((logits[id] as number) - most) * scale);
    if (own === 0) continue;
    sum += own;
    last = id;
    if (sum > wanted) break;
  }
  return last;
}

/** The likeliest token; the lowest id among equals. */
export const greedy = (logits: Float32Array): number => largest(logits, 1)[0] as number;
