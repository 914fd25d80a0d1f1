import { OptionError } from '../../base/errors.js';
import { allCandidates, type Candidates } from './candidates.js';
import { logitBias } from './logit-bias.js';
import { minP } from './min-p.js';
import { presenceFrequencyPenalty } from './presence-frequency-penalty.js';
import { seededRandom } from './random.js';
import { repetitionPenalty } from './repetition-penalty.js';
import { greedy, sample } from './sample.js';
import { temperature } from './temperature.js';
import { TokenCounts } from './token-counts.js';
import { topK } from './top-k.js';
import { topP } from './top-p.js';
import { typicalP } from './typical-p.js';

/** What decides which token comes next. */
export interface SamplerOptions {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly typicalP: number;
  readonly repetitionPenalty: number;
  readonly repetitionWindow: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly logitBias: ReadonlyMap<number, number>;
}

type LogitStep = (logits: Float32Array) => Float32Array;
type CandidateStep = (candidates: Candidates) => Candidates;

/**
 * Chooses tokens for one sequence: repetition penalty, presence and frequency penalties, bias, temperature, top-k,
 * top-p, min-p, typical-p, in the order of transformers, then a draw by the seed.
 */
export class Sampler {
  readonly #greedy: boolean;
  readonly #onLogits: readonly LogitStep[];
  readonly #onCandidates: readonly CandidateStep[];
  readonly #random: () => number;
  /** Of the prompt and what was generated. */
  readonly #all: TokenCounts;
  /** Of what was generated. */
  readonly #generated: TokenCounts;

  constructor(options: SamplerOptions, seed: number, promptIds: Iterable<number>) {
    this.#all = new TokenCounts(options.repetitionPenalty === 1 ? 0 : options.repetitionWindow);
    const counts = options.presencePenalty !== 0 || options.frequencyPenalty !== 0;
    this.#generated = new TokenCounts(counts ? options.repetitionWindow : 0);
    for (const id of promptIds) this.#all.add(id);
    this.#greedy = options.temperature === 0;
    this.#random = seededRandom(seed);
    this.#onLogits = this.#logitSteps(options);
    this.#onCandidates = candidateSteps(options);
  }

  /** The next token's id by the logits [vocabSize] after the last one; it is remembered for the penalties. */
  next(logits: Float32Array): number {
    const adjusted = this.#onLogits.reduce((values, step) => step(values), logits);
    if (adjusted !== logits) checkAdjusted(adjusted);
    const id = this.#greedy ? greedy(adjusted) : this.#draw(adjusted);
    this.#all.add(id);
    this.#generated.add(id);
    return id;
  }

  #draw(logits: Float32Array): number {
    const candidates = this.#onCandidates.reduce((left, step) => step(left), allCandidates(logits));
    return sample(candidates, this.#random);
  }

  #logitSteps(options: SamplerOptions): LogitStep[] {
    const { repetitionPenalty: repetition, presencePenalty: presence, frequencyPenalty: frequency } = options;
    const steps: LogitStep[] = [];
    if (repetition !== 1) steps.push((logits) => repetitionPenalty(logits, this.#all.counts, repetition));
    if (presence !== 0 || frequency !== 0) {
      steps.push((logits) => presenceFrequencyPenalty(logits, this.#generated.counts, presence, frequency));
    }
    if (options.logitBias.size > 0) steps.push((logits) => logitBias(logits, options.logitBias));
    return steps;
  }
}

function checkAdjusted(logits: Float32Array): void {
  let left = 0;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] as number;
    if (logit !== -Infinity) left++;
    if (logit === Infinity || Number.isNaN(logit)) {
      throw new OptionError({
        thing: `logit of token ${id} with penalties and bias`,
        found: logit,
        expected: 'a number within float32',
      });
    }
  }
  if (left > 0) return;
  throw new OptionError({ thing: 'penalties and bias', found: 'every token ruled out', expected: 'one that is left' });
}

function candidateSteps(options: SamplerOptions): CandidateStep[] {
  const steps: CandidateStep[] = [];
  if (options.temperature !== 1) steps.push((left) => temperature(left, options.temperature));
  if (options.topK > 0) steps.push((left) => topK(left, options.topK));
  if (options.topP < 1) steps.push((left) => topP(left, options.topP));
  if (options.minP > 0) steps.push((left) => minP(left, options.minP));
  if (options.typicalP < 1) steps.push((left) => typicalP(left, options.typicalP));
  return steps;
}
