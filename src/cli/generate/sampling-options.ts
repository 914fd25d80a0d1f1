import type { Command } from 'commander';
import type { GenerateOptions } from '../../generation/options.js';
import { biases, number, numbers, texts, type NumberRule } from '../option-values.js';

/** What the command line says of sampling, by the names that commander gives the flags. */
export interface SamplingFlags extends Omit<GenerateOptions, 'stopIds' | 'signal' | 'onProgress' | 'repetitionWindow'> {
  readonly stopId?: readonly number[];
  readonly repetitionWindow?: number;
}

/** Adds every option that decides which token comes next and when to stop. Ranges are checked as they are read. */
export function addSamplingOptions(command: Command): Command {
  const numeric = (flag: string, meaning: string, rule: NumberRule): void => {
    command.option(`${flag} <number>`, meaning, number(flag, rule));
  };
  const count: NumberRule = { from: 0, whole: true };
  numeric('--max-tokens', 'most tokens to generate (256 unless given)', count);
  numeric('--temperature', 'divides the logits; 0 always takes the likeliest token (0.8)', { from: 0 });
  numeric('--top-k', 'only the k likeliest tokens; 0: all (0)', count);
  numeric('--top-p', 'only the likeliest tokens with this probability together (0.95)', { above: 0, to: 1 });
  numeric('--min-p', 'only tokens at least this times as likely as the likeliest (0)', { from: 0, to: 1 });
  numeric('--typical-p', 'only the most typical tokens with this probability together (1)', { above: 0, to: 1 });
  numeric('--repetition-penalty', 'makes tokens of prompt and text less likely; 1: not (1)', { above: 0 });
  numeric('--repetition-window', 'how many of the last tokens the penalties look at (all)', count);
  numeric('--presence-penalty', 'subtracted from the logits of tokens that were generated (0)', {});
  numeric('--frequency-penalty', 'subtracted for each time that a token was generated (0)', {});
  return command
    .option('--logit-bias <id=bias>', 'added to the logit of a token; may be given several times', biases('--logit-bias'))
    .option('--seed <number>', 'the same seed gives the same text (one is chosen)', number('--seed', count))
    .option('--stop <text>', 'ends before this text; may be given several times', texts('--stop'))
    .option('--stop-id <id>', 'ends at this token; may be given several times', numbers('--stop-id', count))
    .option('--ignore-eos', 'goes on after the end-of-text token')
    .option('--log-probabilities', 'with --stats or --json: the log-probability of each token')
    .option('--alternatives <number>', 'with --stats or --json: the likeliest tokens at each step', number('--alternatives', count))
    .addOption(command.createOption('--context-overflow <what>', 'at the end of the context (stop)').choices(['stop', 'error', 'slide']))
    .option('--keep-first <number>', 'tokens that "slide" keeps at the start (4)', number('--keep-first', count));
}

/** The library's options for these flags. */
export function samplingOptions({ stopId, ...flags }: SamplingFlags): GenerateOptions {
  const {
    maxTokens, temperature, topK, topP, minP, typicalP, repetitionPenalty, repetitionWindow, presencePenalty,
    frequencyPenalty, logitBias, seed, stop, ignoreEos, logProbabilities, alternatives, contextOverflow, keepFirst,
  } = flags;
  return {
    maxTokens, temperature, topK, topP, minP, typicalP, repetitionPenalty, repetitionWindow, presencePenalty,
    frequencyPenalty, logitBias, seed, stop, stopIds: stopId, ignoreEos, logProbabilities, alternatives, contextOverflow,
    keepFirst,
  };
}
