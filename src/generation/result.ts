import { table, type ColumnTable } from 'arquero';
import type { RunRecord } from '../model/run-record.js';

/** Why generation ended. */
export type StopReason = 'eos' | 'stop-string' | 'stop-id' | 'max-tokens' | 'context-full' | 'cancelled';

/** A token that was likely at a step. */
export interface Alternative {
  readonly id: number;
  /** As `tokenizer.label` writes it. */
  readonly token: string;
  /** Natural logarithm of the model's own probability. */
  readonly logProbability: number;
}

/** One generated token. */
export interface GenerationStep {
  /** 0 for the first generated token. */
  readonly index: number;
  readonly id: number;
  /** As `tokenizer.label` writes it. */
  readonly token: string;
  /**
   * Text that has become certain with this token. Half characters and what may be the beginning of a stop string are
   * held back until a later step; a token that ends the text has none of its own.
   */
  readonly text: string;
  /** ln p by the model itself, before penalties, bias and temperature; null unless asked for. */
  readonly logProbability: number | null;
  /** The likeliest tokens by the model itself, best first; empty unless asked for. */
  readonly alternatives: readonly Alternative[];
  /** Milliseconds that this step's work took; those of the first include the prompt's. */
  readonly ms: number;
}

/** All times in milliseconds of wall-clock; rates are 0 where nothing was timed. */
export interface GenerationTimings {
  /** Tokens of the prompt that were run. */
  readonly promptTokens: number;
  readonly generatedTokens: number;
  /** From when the generation was first read. */
  readonly timeToFirstTokenMs: number;
  /** Running the prompt; of several prompts at once, all of them. */
  readonly prefillMs: number;
  readonly prefillTokensPerSecond: number;
  /** Work on all tokens after the first; the reader's own time between steps does not count. */
  readonly decodeMs: number;
  readonly decodeTokensPerSecond: number;
  readonly msPerToken: number;
  readonly totalMs: number;
}

/** What a generation gave. */
export class GenerationResult {
  constructor(
    /** Generated text. The steps' texts join to it; after a cancellation it may hold some that they held back. */
    readonly text: string,
    /** Generated ids, the one that ended the text included. */
    readonly ids: Int32Array,
    readonly promptIds: Int32Array,
    readonly stopReason: StopReason,
    /** Seed of the sampling: the one given, or the one chosen. */
    readonly seed: number,
    readonly timings: GenerationTimings,
    readonly steps: readonly GenerationStep[],
    /** How the text came about; null where the decoder cannot tell. */
    readonly record: RunRecord | null,
  ) {}

  /**
   * One row per step: index, id, token, probability (null unless log-probabilities were asked for), alternatives as
   * { token, probability }, milliseconds.
   */
  toTable(): ColumnTable {
    const probability = (logProbability: number | null) => (logProbability === null ? null : Math.exp(logProbability));
    return table({
      index: this.steps.map(({ index }) => index),
      id: this.steps.map(({ id }) => id),
      token: this.steps.map(({ token }) => token),
      probability: this.steps.map((step) => probability(step.logProbability)),
      alternatives: this.steps.map(({ alternatives }) =>
        alternatives.map(({ token, logProbability }) => ({ token, probability: Math.exp(logProbability) })),
      ),
      milliseconds: this.steps.map(({ ms }) => ms),
    });
  }
}

/**
 * A generation, which starts when it is first read. `for await` gives its steps as they are made, and leaving the loop
 * stops it; `await` gives the whole result. Both may be done on one object: it runs once.
 */
export interface Generation extends AsyncIterable<GenerationStep>, PromiseLike<GenerationResult> {}
