import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { greedy } from './sampler/sample.js';
import { largest, weightsOf } from './sampler/scan.js';
import type { Alternative } from './result.js';

/** ln p of tokens by the model itself: l_id − ln Σ_j exp(l_j), in float64. */
export class LogProbabilities {
  readonly #logits: Float32Array;
  readonly #logTotal: number;

  constructor(logits: Float32Array) {
    const most = logits[greedy(logits)] as number;
    this.#logits = logits;
    this.#logTotal = most + Math.log(weightsOf(logits, most, 1).total);
  }

  of(id: number): number {
    return (this.#logits[id] as number) - this.#logTotal;
  }

  /** The likeliest tokens, best first. */
  top(count: number, tokenizer: Tokenizer): Alternative[] {
    return Array.from(largest(this.#logits, count), (id) => ({ id, token: tokenizer.label(id), logProbability: this.of(id) }));
  }
}
