import { ContextFullError, NibbleLensError } from '../base/errors.js';
import type { RunRecord } from '../model/run-record.js';
import type { Tokenizer, TokenStream } from '../tokenizer/tokenizer.js';
import type { Sequence } from './decoder.js';
import { LogProbabilities } from './log-probabilities.js';
import type { Limits, ResolvedOptions } from './options.js';
import { slideBy } from './prompt.js';
import { GenerationResult, type GenerationStep, type GenerationTimings, type StopReason } from './result.js';
import { Sampler } from './sampler/chain.js';
import { allFinite } from './sampler/scan.js';
import { StopStrings } from './stop-strings.js';

export interface LaneParts {
  readonly tokenizer: Tokenizer;
  readonly limits: Limits;
  readonly options: ResolvedOptions;
  readonly eosIds: ReadonlySet<number>;
  readonly promptIds: Int32Array;
  /** The part of the prompt that is run. */
  readonly runIds: Int32Array;
  readonly record: RunRecord | null;
}

/** One sequence in the making: takes logits, gives steps, and knows when to stop. */
export class Lane {
  readonly options: ResolvedOptions;
  readonly runIds: Int32Array;
  readonly steps: GenerationStep[] = [];
  /** Set to stop before the next step. */
  cancelled = false;
  readonly #parts: LaneParts;
  readonly #ids: number[] = [];
  readonly #sampler: Sampler;
  readonly #stream: TokenStream;
  readonly #stops: StopStrings;
  #text = '';
  #sequence: Sequence | null = null;
  #outcome: { readonly result: GenerationResult } | { readonly error: unknown } | null = null;
  #startedAt: number | null = null;
  #firstTokenAt = 0;
  #prefillMs = 0;
  #promptTokens = 0;

  constructor(parts: LaneParts) {
    this.#parts = parts;
    this.options = parts.options;
    this.runIds = parts.runIds;
    this.#sampler = new Sampler(parts.options, parts.options.seed, parts.promptIds);
    this.#stops = new StopStrings(parts.options.stop);
    this.#stream = parts.tokenizer.stream();
    // the text goes on from the prompt's: a leading space is kept, half a character is completed
    for (const id of parts.promptIds) this.#stream.push(id);
  }

  get done(): boolean {
    return this.#outcome !== null;
  }

  get wantsToStop(): boolean {
    return this.cancelled || this.options.signal?.aborted === true;
  }

  /** The result of a lane that is done; throws what made it fail. */
  get result(): GenerationResult {
    if (this.#outcome === null) throw new NibbleLensError({ thing: 'generation', found: 'not done', expected: 'done' });
    if ('error' in this.#outcome) throw this.#outcome.error;
    return this.#outcome.result;
  }

  get sequence(): Sequence {
    if (this.#sequence) return this.#sequence;
    throw new NibbleLensError({ thing: 'sequence of a generation', found: 'none', expected: 'one that has begun' });
  }

  /** Takes over a sequence; the lane disposes it when it ends. */
  begin(sequence: Sequence): void {
    this.#sequence = sequence;
  }

  start(now: number): void {
    this.#startedAt = now;
    if (this.options.maxTokens === 0) this.finish('max-tokens');
  }

  /** Tells that the prompt was run, in so many milliseconds. */
  prefilled(ms: number): void {
    this.#promptTokens = this.runIds.length;
    this.#prefillMs = ms;
  }

  /** The last token, for which there is room now. */
  async nextIds(): Promise<Int32Array> {
    const { contextLength } = this.#parts.limits;
    if (this.sequence.length >= contextLength) {
      const { contextOverflow, keepFirst } = this.options;
      if (contextOverflow === 'error') {
        throw new ContextFullError({
          thing: 'context',
          found: `${this.sequence.length} tokens`,
          expected: `fewer than ${contextLength}, the context length`,
        });
      }
      await this.sequence.discard(keepFirst, slideBy(this.sequence.length, keepFirst));
    }
    return Int32Array.of(this.#ids.at(-1) as number);
  }

  /** Chooses a token by the logits; `since` is when the work on it began. */
  accept(logits: Float32Array, since: number): void {
    checkLogits(logits, this.#parts.limits.vocabSize);
    const { logProbabilities, alternatives } = this.options;
    const own = logProbabilities ? new LogProbabilities(logits) : null;
    const id = this.#sampler.next(logits);
    this.#ids.push(id);
    const { text, reason } = this.#read(id);
    this.#text += text;
    const now = performance.now();
    if (this.steps.length === 0) this.#firstTokenAt = now;
    this.steps.push({
      index: this.steps.length,
      id,
      token: this.#parts.tokenizer.label(id),
      text,
      logProbability: own ? own.of(id) : null,
      alternatives: own && alternatives > 0 ? own.top(alternatives, this.#parts.tokenizer) : [],
      ms: now - since,
    });
    if (reason) this.finish(reason);
  }

  /** Text that is certain with a new token, and whether it is the last. */
  #read(id: number): { text: string; reason: StopReason | null } {
    const { options, eosIds, limits } = this.#parts;
    let reason: StopReason | null = null;
    if (options.stopIds.has(id)) reason = 'stop-id';
    else if (eosIds.has(id) && !options.ignoreEos) reason = 'eos';
    let text = reason ? '' : this.#stops.push(this.#stream.push(id));
    if (!reason && this.#stops.stopped) return { text, reason: 'stop-string' };
    if (!reason && this.#ids.length >= options.maxTokens) reason = 'max-tokens';
    const isFull = this.sequence.length >= limits.contextLength;
    if (!reason && isFull && options.contextOverflow === 'stop') reason = 'context-full';
    if (reason) text += this.#stops.push(this.#stream.end()) + this.#stops.end();
    return { text, reason };
  }

  finish(stopReason: StopReason): void {
    if (this.#outcome) return;
    if (stopReason === 'cancelled') this.#text += this.#stops.end();
    this.#release();
    const { promptIds, options, record } = this.#parts;
    this.#outcome = {
      result: new GenerationResult(
        this.#text,
        Int32Array.from(this.#ids),
        promptIds,
        stopReason,
        options.seed,
        this.#timings(),
        this.steps,
        record,
      ),
    };
  }

  fail(error: unknown): void {
    if (this.#outcome) return;
    this.#release();
    this.#outcome = { error };
  }

  #release(): void {
    this.#sequence?.dispose();
    this.#sequence = null;
  }

  #timings(): GenerationTimings {
    const generated = this.steps.length;
    const decodeMs = this.steps.slice(1).reduce((sum, { ms }) => sum + ms, 0);
    const now = performance.now();
    const startedAt = this.#startedAt ?? now;
    return {
      promptTokens: this.#promptTokens,
      generatedTokens: generated,
      timeToFirstTokenMs: generated > 0 ? this.#firstTokenAt - startedAt : 0,
      prefillMs: this.#prefillMs,
      prefillTokensPerSecond: perSecond(this.#promptTokens, this.#prefillMs),
      decodeMs,
      decodeTokensPerSecond: perSecond(generated - 1, decodeMs),
      msPerToken: generated > 1 ? decodeMs / (generated - 1) : 0,
      totalMs: now - startedAt,
    };
  }
}

const perSecond = (count: number, ms: number): number => (count > 0 && ms > 0 ? (count * 1000) / ms : 0);

function checkLogits(logits: Float32Array, vocabSize: number): void {
  if (logits.length !== vocabSize) {
    throw new NibbleLensError({ thing: 'length of the logits', found: logits.length, expected: vocabSize });
  }
  if (allFinite(logits)) return;
  const id = logits.findIndex((logit) => !Number.isFinite(logit));
  throw new NibbleLensError({ thing: `logit of token ${id}`, found: logits[id], expected: 'a finite number' });
}
