import { among, negated, pick, probabilities, type Candidates } from './candidates.js';
import { leading } from './leading.js';
import { largest, weight, weightsOf } from './scan.js';
import { inverse } from './temperature.js';

/** How many of the likeliest tokens are looked at before all are. */
const FEW = 256;
/** Bins of tokens by x = (max − l) / temperature: this many for each step of 1, and one for all from MOST_X on. */
const BINS_PER_STEP = 64;
const MOST_X = 32;

/** Top-p, or nucleus sampling (Holtzman et al. 2020): the fewest likeliest tokens with probability `mass` together. */
export function topP(candidates: Candidates, mass: number): Candidates {
  const p = probabilities(candidates);
  return pick(candidates, leading(negated(p), p, mass));
}

/**
 * The same of all tokens at a temperature. Mostly some hundred tokens have the mass: then the sum of all weights and the
 * largest logits are all that is taken from the vocabulary.
 */
export function topPOfAll(logits: Float32Array, mass: number, temperature: number): Candidates {
  const scale = inverse(temperature);
  const ids = largest(logits, Math.min(FEW, logits.length));
  const most = logits[ids[0] as number] as number;
  const wanted = mass * weightsOf(logits, most, scale).total;
  const few = heaviest(logits, ids, most, scale, wanted);
  if (few.sum >= wanted || ids.length === logits.length) return among(logits, few.ids);
  return among(logits, heaviestByBins(logits, most, scale, wanted));
}

/** As many of the first ids as weigh `wanted`, or all, and what they weigh. */
function heaviest(logits: Float32Array, ids: Int32Array, most: number, scale: number, wanted: number) {
  let sum = 0;
  let count = 0;
  while (count < ids.length && sum < wanted) {
    sum += weight(((logits[ids[count++] as number] as number) - most) * scale);
  }
  return { ids: ids.subarray(0, count), sum };
}

/** The fewest ids that weigh `wanted`, in two passes: bins weigh in turn, and only the last one's tokens are sorted. */
function heaviestByBins(logits: Float32Array, most: number, scale: number, wanted: number): Int32Array {
  const weights = new Float64Array(MOST_X * BINS_PER_STEP + 1);
  for (let id = 0; id < logits.length; id++) {
    const x = (most - (logits[id] as number)) * scale;
    weights[binOf(x)] += weight(-x);
  }
  let last = 0;
  let before = 0;
  while (last < weights.length - 1 && before + (weights[last] as number) < wanted) before += weights[last++] as number;
  const ids = new Int32Array(logits.length);
  let count = 0; // of the bins before, from the front of `ids`
  let start = ids.length; // of the last one, from its end
  for (let id = 0; id < logits.length; id++) {
    const bin = binOf((most - (logits[id] as number)) * scale);
    if (bin < last) ids[count++] = id;
    else if (bin === last) ids[--start] = id;
  }
  const sorted = ids.slice(start).sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b);
  const taken = heaviest(logits, sorted, most, scale, wanted - before).ids;
  ids.set(taken, count);
  return ids.subarray(0, count + taken.length);
}

const binOf = (x: number): number => (x < MOST_X ? Math.floor(x * BINS_PER_STEP) : MOST_X * BINS_PER_STEP);
