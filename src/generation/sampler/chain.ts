import { OptionError } from '../../base/errors.js';
import { allCandidates, type Candidates } from './candidates.js';
import { logitBias } from './logit-bias.js';
import { minP, minPOfAll } from './min-p.js';
import { presenceFrequencyPenalty } from './presence-frequency-penalty.js';
import { seededRandom, type Random } from './random.js';
import { repetitionPenalty } from './repetition-penalty.js';
import { greedy, sample, sampleAll } from './sample.js';
import { allFinite } from './scan.js';
import { temperature } from './temperature.js';
import { TokenCounts } from './token-counts.js';
import { topK } from './top-k.js';
import { topP, topPOfAll } from './top-p.js';
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

/** Changes logits in place. */
type LogitStep = (logits: Float32Array) => void;
type CandidateStep = (candidates: Candidates) => Candidates;

/**
 * Chooses tokens for one sequence: repetition penalty, presence and frequency penalties, bias, temperature, top-k,
 * top-p, min-p, typical-p, in the order of transformers, then a draw by the seed.
 */
export class Sampler {
  readonly #greedy: boolean;
  readonly #onLogits: readonly LogitStep[];
  readonly #draw: (logits: Float32Array) => number;
  /** Logits with penalties and bias, where there are any: one array for all tokens. */
  #adjusted = new Float32Array(0);
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
    this.#onLogits = this.#logitSteps(options);
    this.#draw = drawBy(options, seededRandom(seed));
  }

  /** The next token's id by the logits [vocabSize] after the last one; it is remembered for the penalties. */
  next(logits: Float32Array): number {
    const adjusted = this.#onLogits.length === 0 ? logits : this.#adjust(logits);
    const id = this.#greedy ? greedy(adjusted) : this.#draw(adjusted);
    this.#all.add(id);
    this.#generated.add(id);
    return id;
  }

  #adjust(logits: Float32Array): Float32Array {
    if (this.#adjusted.length !== logits.length) this.#adjusted = new Float32Array(logits.length);
    this.#adjusted.set(logits);
    for (const step of this.#onLogits) step(this.#adjusted);
    if (!allFinite(this.#adjusted)) checkAdjusted(this.#adjusted);
    return this.#adjusted;
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

/**
 * How one token is drawn. The first filter leaves few candidates of the whole vocabulary, before the temperature divides
 * their logits alone: dividing all changes neither their order nor what top-k, top-p at that temperature, or min-p leave.
 */
function drawBy(options: SamplerOptions, random: Random): (logits: Float32Array) => number {
  const { temperature: value, topK: k, topP: mass, minP: ratio, typicalP: typical } = options;
  if (k === 0 && mass === 1 && ratio === 0 && typical === 1) return (logits) => sampleAll(logits, value, random);
  const first = (logits: Float32Array): Candidates => {
    if (k > 0) return topK(logits, k);
    if (mass < 1) return topPOfAll(logits, mass, value);
    return ratio > 0 ? minPOfAll(logits, ratio, value) : allCandidates(logits);
  };
  const rest: CandidateStep[] = [];
  if (value !== 1) rest.push((left) => temperature(left, value));
  if (k > 0 && mass < 1) rest.push((left) => topP(left, mass));
  if ((k > 0 || mass < 1) && ratio > 0) rest.push((left) => minP(left, ratio));
  if (typical < 1) rest.push((left) => typicalP(left, typical));
  return (logits) => sample(rest.reduce((left, step) => step(left), first(logits)), random);
}
