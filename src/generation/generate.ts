import { OptionError } from '../base/errors.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { TokenDecoder } from './decoder.js';
import { Lane } from './lane.js';
import { LaneGeneration } from './lane-generation.js';
import { LaneGroup } from './lane-group.js';
import { resolveOptions, type GenerateOptions, type ResolvedOptions } from './options.js';
import { fitPrompt, promptIds, type Prompt } from './prompt.js';
import type { Generation } from './result.js';

/**
 * Continues a prompt, text or ids. Steps are made as they are read; see `Generation`.
 * @throws OptionError, UnknownNameError, or ContextFullError for a prompt that is too long.
 */
export function generate(
  decoder: TokenDecoder,
  tokenizer: Tokenizer,
  prompt: Prompt,
  options: GenerateOptions = {},
): Generation {
  const lane = laneOf(decoder, tokenizer, prompt, resolveOptions(options, decoder));
  return new LaneGeneration(new LaneGroup(decoder, [lane], false), lane);
}

/**
 * Several continuations of one prompt, which is run once; sample i has seed `seed + i`. All of them advance when one is
 * read.
 * @throws as `generate` does.
 */
export function generateSamples(
  decoder: TokenDecoder,
  tokenizer: Tokenizer,
  prompt: Prompt,
  count: number,
  options: GenerateOptions = {},
): Generation[] {
  if (!Number.isInteger(count) || count < 1) {
    throw new OptionError({ thing: 'number of samples', found: count, expected: 'a whole number from 1' });
  }
  const resolved = resolveOptions(options, decoder);
  if (resolved.seed > Number.MAX_SAFE_INTEGER - (count - 1)) {
    const expected = `at most 2^53 − ${count}, so that the last sample has one`;
    throw new OptionError({ thing: 'seed', found: resolved.seed, expected });
  }
  const lanes = Array.from({ length: count }, (_, i) =>
    laneOf(decoder, tokenizer, prompt, { ...resolved, seed: resolved.seed + i }),
  );
  return generationsOf(new LaneGroup(decoder, lanes, true), lanes);
}

/**
 * Continues several prompts at once, each as if alone: with its own sequence, sampler, seed and stop. Options are for
 * all, or one for each. All of them advance when one is read.
 * @throws as `generate` does.
 */
export function generateBatch(
  decoder: TokenDecoder,
  tokenizer: Tokenizer,
  prompts: readonly Prompt[],
  options: GenerateOptions | readonly GenerateOptions[] = {},
): Generation[] {
  if (!Array.isArray(prompts)) {
    throw new OptionError({ thing: 'prompts', found: typeof prompts, expected: 'an array' });
  }
  const each = isList(options) ? options : prompts.map(() => options);
  if (each.length !== prompts.length) {
    const expected = `${prompts.length}, one for each prompt`;
    throw new OptionError({ thing: 'number of options', found: each.length, expected });
  }
  const lanes = prompts.map((prompt: Prompt, i) =>
    laneOf(decoder, tokenizer, prompt, resolveOptions(each[i] as GenerateOptions, decoder)),
  );
  return generationsOf(new LaneGroup(decoder, lanes, false), lanes);
}

const isList = (options: GenerateOptions | readonly GenerateOptions[]): options is readonly GenerateOptions[] =>
  Array.isArray(options);

const generationsOf = (group: LaneGroup, lanes: readonly Lane[]): Generation[] =>
  lanes.map((lane) => new LaneGeneration(group, lane));

function laneOf(decoder: TokenDecoder, tokenizer: Tokenizer, prompt: Prompt, options: ResolvedOptions): Lane {
  const ids = promptIds(prompt, tokenizer, decoder.vocabSize);
  const eosIds = new Set(decoder.eosIds);
  if (tokenizer.eosId !== null) eosIds.add(tokenizer.eosId);
  const runIds = fitPrompt(ids, options, decoder);
  const record = decoder.record?.(options.seed) ?? null;
  return new Lane({ tokenizer, limits: decoder, options, eosIds, promptIds: ids, runIds, record });
}
