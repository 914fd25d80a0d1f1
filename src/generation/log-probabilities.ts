import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { negated } from './sampler/candidates.js';
import { leading } from './sampler/leading.js';
import type { Alternative } from './result.js';

/** ln p of tokens by the model itself: l_id − ln Σ_j exp(l_j), in float64. */
export class LogProbabilities {
  readonly #logits: Float32Array;
  readonly #logTotal: number;

  constructor(logits: Float32Array) {
    let most = -Infinity;
    for (let i = 0; i < logits.length; i++) if ((logits[i] as number) > most) most = logits[i] as number;
    let total = 0;
    for (let i = 0; i < logits.length; i++) total += Math.exp((logits[i] as number) - most);
    this.#logits = logits;
    this.#logTotal = most + Math.log(total);
  }

  of(id: number): number {
    return (this.#logits[id] as number) - this.#logTotal;
  }

  /** The likeliest tokens, best first. */
  top(count: number, tokenizer: Tokenizer): Alternative[] {
    const ids = leading(negated(this.#logits), null, count);
    return [...ids]
      .map((id) => ({ id, token: tokenizer.label(id), logProbability: this.of(id) }))
      .sort((a, b) => b.logProbability - a.logProbability || a.id - b.id);
  }
}
