import { OptionError } from '../base/errors.js';
import { checkOptionNames } from '../base/options.js';
import { freshSeed } from './sampler/random.js';
import type { SamplerOptions } from './sampler/chain.js';

/** How a text is continued. */
export interface GenerateOptions {
  /** Most tokens to generate; default 256. */
  readonly maxTokens?: number;
  /** Divides the logits; 0 always takes the likeliest token. Default 0.8. */
  readonly temperature?: number;
  /** Only the k likeliest tokens; 0 (default): all. */
  readonly topK?: number;
  /** Only the likeliest tokens with this probability together, in (0, 1]; default 0.95. */
  readonly topP?: number;
  /** Only tokens at least this times as likely as the likeliest, in [0, 1]; default 0. */
  readonly minP?: number;
  /** Only the most typical tokens with this probability together, in (0, 1]; default 1. */
  readonly typicalP?: number;
  /** Divides positive logits of tokens in prompt or text, multiplies negative ones; above 0, default 1. */
  readonly repetitionPenalty?: number;
  /** How many of the last tokens the penalties look at; default: all. */
  readonly repetitionWindow?: number;
  /** Subtracted from the logits of tokens that were generated; default 0. */
  readonly presencePenalty?: number;
  /** Subtracted for each time that a token was generated; default 0. */
  readonly frequencyPenalty?: number;
  /** Added to logits, by id; −Infinity rules a token out, Infinity allows only tokens that have it. */
  readonly logitBias?: ReadonlyMap<number, number> | Readonly<Record<number, number>>;
  /** A whole number from 0; the same seed gives the same text. Default: one is chosen, and reported. */
  readonly seed?: number;
  /** Strings before which the text ends. */
  readonly stop?: string | readonly string[];
  /** Ids at which the text ends. */
  readonly stopIds?: readonly number[];
  /** Goes on after an end-of-text token. */
  readonly ignoreEos?: boolean;
  /** Gives each step the log-probability of its token. */
  readonly logProbabilities?: boolean;
  /** Gives each step this many of the likeliest tokens; default 0. */
  readonly alternatives?: number;
  /** Once aborted, generation ends with stop reason 'cancelled' and keeps the text so far. */
  readonly signal?: AbortSignal;
  /** Tokens of the prompt run, of all; for several prompts at once, of all of them. */
  readonly onProgress?: (done: number, total: number) => void;
  /**
   * At the end of the context: 'stop' (default) ends with stop reason 'context-full', 'error' throws
   * `ContextFullError`, 'slide' drops the oldest half of all but the first `keepFirst` tokens and goes on.
   */
  readonly contextOverflow?: 'error' | 'stop' | 'slide';
  /** Tokens that 'slide' keeps at the start; default 4 (attention sinks, Xiao et al. 2024). */
  readonly keepFirst?: number;
}

/** Options, checked, with defaults filled in. */
export interface ResolvedOptions extends SamplerOptions {
  readonly maxTokens: number;
  readonly seed: number;
  readonly stop: readonly string[];
  readonly stopIds: ReadonlySet<number>;
  readonly ignoreEos: boolean;
  readonly logProbabilities: boolean;
  readonly alternatives: number;
  readonly signal: AbortSignal | null;
  readonly onProgress: ((done: number, total: number) => void) | null;
  readonly contextOverflow: 'error' | 'stop' | 'slide';
  readonly keepFirst: number;
}

/** What is known of the model when options are checked. */
export interface Limits {
  readonly vocabSize: number;
  readonly contextLength: number;
}

interface NumberRule {
  readonly from?: number;
  readonly above?: number;
  readonly to?: number;
  readonly whole?: boolean;
  readonly infinite?: boolean;
}

const NAMES: Record<keyof GenerateOptions, true> = {
  maxTokens: true,
  temperature: true,
  topK: true,
  topP: true,
  minP: true,
  typicalP: true,
  repetitionPenalty: true,
  repetitionWindow: true,
  presencePenalty: true,
  frequencyPenalty: true,
  logitBias: true,
  seed: true,
  stop: true,
  stopIds: true,
  ignoreEos: true,
  logProbabilities: true,
  alternatives: true,
  signal: true,
  onProgress: true,
  contextOverflow: true,
  keepFirst: true,
};

/**
 * Checks options.
 * @throws OptionError for a value that an option cannot have, UnknownNameError for an option that there is none of.
 */
export function resolveOptions(options: GenerateOptions, { vocabSize, contextLength }: Limits): ResolvedOptions {
  checkOptionNames(options, Object.keys(NAMES), 'generation option');
  const count: NumberRule = { from: 0, to: Number.MAX_SAFE_INTEGER, whole: true };
  const overflow = options.contextOverflow ?? 'stop';
  if (!['error', 'stop', 'slide'].includes(overflow)) fail('contextOverflow', overflow, 'error, stop or slide');
  return {
    maxTokens: number('maxTokens', options.maxTokens ?? 256, { ...count, infinite: true }),
    temperature: number('temperature', options.temperature ?? 0.8, { from: 0 }),
    topK: number('topK', options.topK ?? 0, count),
    topP: number('topP', options.topP ?? 0.95, { above: 0, to: 1 }),
    minP: number('minP', options.minP ?? 0, { from: 0, to: 1 }),
    typicalP: number('typicalP', options.typicalP ?? 1, { above: 0, to: 1 }),
    repetitionPenalty: number('repetitionPenalty', options.repetitionPenalty ?? 1, { above: 0 }),
    repetitionWindow: number('repetitionWindow', options.repetitionWindow ?? Infinity, { ...count, infinite: true }),
    presencePenalty: number('presencePenalty', options.presencePenalty ?? 0, {}),
    frequencyPenalty: number('frequencyPenalty', options.frequencyPenalty ?? 0, {}),
    logitBias: bias(options.logitBias, vocabSize),
    seed: number('seed', options.seed ?? freshSeed(), count),
    stop: stopStrings(options.stop),
    stopIds: stopIds(options.stopIds, vocabSize),
    ignoreEos: boolean('ignoreEos', options.ignoreEos),
    logProbabilities: boolean('logProbabilities', options.logProbabilities) || (options.alternatives ?? 0) > 0,
    alternatives: Math.min(vocabSize, number('alternatives', options.alternatives ?? 0, count)),
    signal: signal(options.signal),
    onProgress: callback(options.onProgress),
    contextOverflow: overflow,
    keepFirst: keepFirst(options.keepFirst, overflow, contextLength),
  };
}

function fail(thing: string, found: unknown, expected: string): never {
  throw new OptionError({ thing, found: typeof found === 'string' ? JSON.stringify(found) : found, expected });
}

function number(name: string, value: unknown, rule: NumberRule): number {
  const { from = -Infinity, above = -Infinity, to = Infinity, whole = false, infinite = false } = rule;
  if (infinite && value === Infinity) return value;
  const fits = typeof value === 'number' && Number.isFinite(value) && value >= from && value > above && value <= to;
  if (fits && (!whole || Number.isInteger(value))) return value;
  const low = rule.from !== undefined ? ` from ${from}` : rule.above !== undefined ? ` above ${above}` : '';
  const high = rule.to !== undefined ? ` to ${to}` : '';
  return fail(name, value, `a ${whole ? 'whole' : 'finite'} number${low}${high}${infinite ? ', or Infinity' : ''}`);
}

function boolean(name: string, value: unknown): boolean {
  if (value === undefined || value === null) return false;
  return typeof value === 'boolean' ? value : fail(name, value, 'true or false');
}

function bias(given: GenerateOptions['logitBias'], vocabSize: number): ReadonlyMap<number, number> {
  if (given === undefined || given === null) return new Map();
  if (typeof given !== 'object') fail('logitBias', given, 'a map or record from ids to numbers');
  const entries: Iterable<readonly [unknown, unknown]> = given instanceof Map ? given : Object.entries(given);
  const result = new Map<number, number>();
  for (const [key, value] of entries) {
    const id = typeof key === 'string' && key.trim() !== '' ? Number(key) : key;
    number('id in logitBias', id, { from: 0, to: vocabSize - 1, whole: true });
    if (typeof value !== 'number' || Number.isNaN(value)) fail(`logitBias of ${id}`, value, 'a number, or ±Infinity');
    result.set(id as number, value as number);
  }
  return result;
}

function stopStrings(given: GenerateOptions['stop']): readonly string[] {
  if (given === undefined || given === null) return [];
  const stops: readonly unknown[] = Array.isArray(given) ? given : [given];
  for (const stop of stops) {
    if (typeof stop !== 'string' || stop === '') fail('stop', stop, 'strings that are not empty');
  }
  return stops as readonly string[];
}

function stopIds(given: GenerateOptions['stopIds'], vocabSize: number): ReadonlySet<number> {
  if (given === undefined || given === null) return new Set();
  if (!Array.isArray(given)) fail('stopIds', given, 'an array of ids');
  for (const id of given) number('id in stopIds', id, { from: 0, to: vocabSize - 1, whole: true });
  return new Set(given);
}

function signal(given: unknown): AbortSignal | null {
  if (given === undefined || given === null) return null;
  return given instanceof AbortSignal ? given : fail('signal', given, 'an AbortSignal');
}

function callback(given: GenerateOptions['onProgress']): ((done: number, total: number) => void) | null {
  if (given === undefined || given === null) return null;
  return typeof given === 'function' ? given : fail('onProgress', given, 'a function');
}

/** Two positions at least must be free to slide. */
function keepFirst(given: unknown, overflow: string, contextLength: number): number {
  const most = Math.max(0, contextLength - 2);
  if (given === undefined || given === null) return Math.min(4, most);
  return number('keepFirst', given, { from: 0, to: overflow === 'slide' ? most : contextLength, whole: true });
}
