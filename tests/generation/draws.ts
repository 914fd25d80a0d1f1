import { LogProbabilities } from '../../src/generation/log-probabilities.js';
import { Sampler, type SamplerOptions } from '../../src/generation/sampler/chain.js';
import { seededRandom } from '../../src/generation/sampler/random.js';

export const PLAIN: SamplerOptions = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  typicalP: 1,
  repetitionPenalty: 1,
  repetitionWindow: Infinity,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map(),
};

const CHAINS: readonly Partial<SamplerOptions>[] = [
  { temperature: 0 },
  { temperature: 0.8 },
  { temperature: 1.5, topP: 0.95 },
  { temperature: 0.1, topP: 0.9 },
  { temperature: 0.7, topK: 40, topP: 0.95 },
  { minP: 0.05, repetitionPenalty: 1.3, logitBias: new Map([[7, -Infinity], [8, 2]]) },
  { temperature: 0.9, typicalP: 0.9, topP: 0.99, presencePenalty: 0.5 },
];

/** Logits [size] as a model may have them: about normal, with a deviation of 2.5. */
export function likeLogits(size: number, seed: number): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from({ length: size }, () => 2.5 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
}

/** What several chains draw of a vocabulary, and the log-probabilities of it: numbers that should depend on nothing else. */
export function draws(size: number, count: number): number[] {
  const result: number[] = [];
  for (const [chain, options] of CHAINS.entries()) {
    const sampler = new Sampler({ ...PLAIN, ...options }, chain, [1, 2, 3]);
    for (let i = 0; i < count; i++) {
      const logits = likeLogits(size, i);
      const id = sampler.next(logits);
      result.push(id, new LogProbabilities(logits).of(id));
    }
  }
  return result;
}
