import { ContextFullError, OptionError } from '../base/errors.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { Limits, ResolvedOptions } from './options.js';

/** Text, or ids. */
export type Prompt = string | ArrayLike<number>;

/**
 * Ids of a prompt: a text's as the tokenizer encodes it, BOS where there would be none at all.
 * @throws OptionError for what is neither text nor ids of the model, or for nothing without a BOS.
 */
export function promptIds(prompt: Prompt, tokenizer: Tokenizer, vocabSize: number): Int32Array {
  if (typeof prompt !== 'string' && (typeof prompt !== 'object' || prompt === null || !isArrayLike(prompt))) {
    throw new OptionError({ thing: 'prompt', found: typeof prompt, expected: 'a string, or an array of ids' });
  }
  const given = typeof prompt === 'string' ? tokenizer.encode(prompt) : prompt;
  if (given.length === 0) {
    if (tokenizer.bosId !== null) return Int32Array.of(tokenizer.bosId);
    throw new OptionError({ thing: 'prompt', found: 'nothing', expected: 'some text: the tokenizer has no BOS' });
  }
  for (let i = 0; i < given.length; i++) {
    const id = given[i];
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= vocabSize) {
      throw new OptionError({ thing: `id ${i} of the prompt`, found: id, expected: `0 to ${vocabSize - 1}` });
    }
  }
  return Int32Array.from(given);
}

/**
 * The part of a prompt that is run: all of it, or where it is too long and may slide, what sliding would leave.
 * @throws ContextFullError
 */
export function fitPrompt(ids: Int32Array, options: ResolvedOptions, { contextLength }: Limits): Int32Array {
  if (ids.length <= contextLength) return ids;
  if (options.contextOverflow !== 'slide') {
    throw new ContextFullError({
      thing: 'length of the prompt',
      found: `${ids.length} tokens`,
      expected: `at most ${contextLength}, the context length (or contextOverflow 'slide')`,
    });
  }
  let left = ids.length;
  while (left > contextLength) left -= slideBy(left, options.keepFirst);
  const fitted = new Int32Array(left);
  fitted.set(ids.subarray(0, options.keepFirst));
  fitted.set(ids.subarray(ids.length - (left - options.keepFirst)), options.keepFirst);
  return fitted;
}

/** How many positions sliding drops after the first `keepFirst`: the oldest half of the rest. */
export const slideBy = (length: number, keepFirst: number): number => Math.max(1, Math.floor((length - keepFirst) / 2));

const isArrayLike = (value: object): value is ArrayLike<number> =>
  'length' in value && typeof value.length === 'number' && Number.isInteger(value.length) && value.length >= 0;
