import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { NibbleLensError } from '../../base/errors.js';
import { bundled } from '../../bundled.js';
import { isGguf } from '../../checkpoint/gguf-modules.js';
import { readTokenFile, writeTokenFile } from '../../generation/token-files.js';
import type { Generation, GenerationResult } from '../../generation/result.js';
import type { Mode } from '../../matrix/storage.js';
import type { CacheType } from '../../native/native.js';
import { loadModel, type LoadOptions, type OpenedModel } from '../../opened-model.js';
import { INTERRUPTED, reportFailure, UsageError } from '../failure.js';
import { followed } from '../followed.js';
import { askForPrompts, readStandardInput } from './prompt.js';
import { samplingOptions, type SamplingFlags } from './sampling-options.js';
import { peakMemoryBytes, toJson } from './statistics.js';
import { writeText } from './write-text.js';

export interface GenerateFlags extends SamplingFlags {
  readonly model?: string;
  readonly prompt?: string;
  readonly tokensIn?: string;
  readonly tokensOut?: string;
  readonly samples?: number;
  readonly threads?: number;
  readonly head?: LoadOptions['head'];
  readonly embedding?: LoadOptions['embedding'];
  readonly mode?: Mode;
  readonly cache?: CacheType;
  readonly environment?: boolean;
  readonly echo?: boolean;
  readonly stats?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** Runs `nibblelens generate` and gives its exit status. */
export async function runGenerate(flags: GenerateFlags): Promise<number> {
  checkTogether(flags);
  const path = flags.model ?? bundled.storytellerInt4;
  if (!statSync(path).isDirectory() && !(await isGguf(path))) {
    throw new UsageError(`--model: found the file ${path}, expected a folder or a GGUF file`);
  }

  const interactive = flags.prompt === undefined && flags.tokensIn === undefined && process.stdin.isTTY;
  checkTokensOut(flags, interactive);
  const given = flags.prompt ?? (flags.tokensIn === undefined && !interactive ? await readStandardInput() : null);
  const model = await open(path, flags);
  if (flags.environment && !flags.json) {
    const { environmentTable } = await import('../environment-table.js');
    process.stdout.write(`${await environmentTable({ tfjs: false })}\n\n`);
  }
  if (interactive) {
    await askForPrompts((prompt) => answerOrTell(model, prompt, flags), flags);
    return 0;
  }
  const prompt = given ?? (await readTokenFile(flags.tokensIn as string, model.config.vocabSize)).ids;
  return (await answer(model, prompt, flags)) ? 0 : INTERRUPTED;
}

/** Refuses options that cannot be had together. */
function checkTogether({ prompt, tokensIn, tokensOut, samples = 1, json, stats, ...flags }: GenerateFlags): void {
  if (prompt !== undefined && tokensIn !== undefined) throw new UsageError('found --prompt and --tokens-in, expected one of them');
  if (tokensOut !== undefined && samples > 1) throw new UsageError(`--tokens-out: found ${samples} samples, expected one`);
  if (json && stats) throw new UsageError('found --json and --stats, expected one of them: the JSON holds the figures');
  const details = flags.logProbabilities ? '--log-probabilities' : flags.alternatives ? '--alternatives' : null;
  if (details && !json && !stats) throw new UsageError(`${details}: found neither --stats nor --json, expected one of them`);
}

/** Refuses a token file that cannot be written before the work on its ids begins. */
function checkTokensOut({ tokensOut }: GenerateFlags, interactive: boolean): void {
  if (tokensOut === undefined) return;
  if (interactive) throw new UsageError('--tokens-out: found prompts from a terminal, expected one by --prompt or --tokens-in');
  if (!statSync(dirname(tokensOut)).isDirectory()) throw new UsageError(`${dirname(tokensOut)}: a file, not a folder`);
  if (statSync(tokensOut, { throwIfNoEntry: false })?.isDirectory()) throw new UsageError(`${tokensOut}: a folder, not a file`);
}

async function open(path: string, { threads, mode, cache, head, embedding, quiet }: GenerateFlags): Promise<OpenedModel> {
  return followed(quiet, (progress, signal) =>
    loadModel(path, {
      threads,
      mode,
      cache,
      head,
      embedding,
      signal,
      onProgress: (layer, all) => progress.show('loading', layer, all),
    }),
  );
}

/** Continues one prompt and writes what was asked for; false if it was cancelled. */
async function answer(model: OpenedModel, prompt: string | Int32Array, flags: GenerateFlags): Promise<boolean> {
  return followed(flags.quiet, async (progress, signal) => {
    const options = {
      ...samplingOptions(flags),
      signal,
      onProgress: (run: number, all: number) => progress.show('reading the prompt', run, all),
    };
    const generations =
      flags.samples === undefined ? [model.generate(prompt, options)] : model.generateSamples(prompt, flags.samples, options);
    const results = flags.json
      ? await inTurn(generations)
      : await writeText(generations, { model, prompt, flags, onText: () => progress.clear() });
    progress.clear();
    if (flags.json) writeJson(model, prompt, results);
    if (flags.tokensOut !== undefined) {
      await writeTokenFile(flags.tokensOut, (results[0] as GenerationResult).ids, model.config.vocabSize);
    }
    return results.every(({ stopReason }) => stopReason !== 'cancelled');
  });
}

/** The same for a prompt from a terminal, where one that cannot be continued is followed by the next. */
async function answerOrTell(model: OpenedModel, prompt: string, flags: GenerateFlags): Promise<void> {
  try {
    await answer(model, prompt, flags);
  } catch (error) {
    if (!(error instanceof NibbleLensError)) throw error;
    reportFailure(error);
  }
}

async function inTurn(generations: readonly Generation[]): Promise<GenerationResult[]> {
  const results: GenerationResult[] = [];
  for (const generation of generations) results.push(await generation);
  return results;
}

function writeJson(model: OpenedModel, prompt: string | Int32Array, results: readonly GenerationResult[]): void {
  const object = {
    prompt: typeof prompt === 'string' ? prompt : null,
    promptIds: [...(results[0] as GenerationResult).promptIds],
    results: results.map(toJson),
    peakMemoryBytes: peakMemoryBytes(),
    record: model.record(),
  };
  process.stdout.write(`${JSON.stringify(object)}\n`);
}
