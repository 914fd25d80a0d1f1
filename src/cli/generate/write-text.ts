import type { Generation, GenerationResult } from '../../generation/result.js';
import type { OpenedModel } from '../../opened-model.js';
import type { GenerateFlags } from './run.js';
import { statistics, stepTable } from './statistics.js';

interface Telling {
  readonly model: OpenedModel;
  readonly prompt: string | Int32Array;
  readonly flags: GenerateFlags;
  /** Called before each piece of text is written. */
  readonly onText: () => void;
}

/** Streams each continuation to standard output, with its figures where they are asked for. */
export async function writeText(generations: readonly Generation[], telling: Telling): Promise<GenerationResult[]> {
  const { flags } = telling;
  const results: GenerationResult[] = [];
  for (const [i, generation] of generations.entries()) {
    if (generations.length > 1) process.stdout.write(`--- sample ${i + 1} of ${generations.length}\n`);
    const result = await stream(generation, telling);
    results.push(result);
    if (!flags.stats) continue;
    const parts = [stepTable(result, (id) => telling.model.tokenizer.label(id)), statistics(result), again(result, flags)];
    process.stdout.write(`\n${parts.filter(Boolean).join('\n\n')}\n`);
  }
  return results;
}

async function stream(generation: Generation, { model, prompt, flags, onText }: Telling): Promise<GenerationResult> {
  let rest = '';
  let written = 0;
  try {
    if (flags.echo) process.stdout.write(typeof prompt === 'string' ? prompt : model.tokenizer.decode(prompt));
    for await (const { text } of generation) {
      onText();
      process.stdout.write(text);
      written += text.length;
    }
    const result = await generation;
    // a cancelled text may hold more than its steps gave
    rest = result.text.slice(written);
    return result;
  } finally {
    process.stdout.write(`${rest}\n`);
  }
}

/** How to get a text again whose seed was not given; empty where chance had no part. */
const again = ({ seed }: GenerationResult, flags: GenerateFlags): string =>
  flags.seed === undefined && flags.temperature !== 0 ? `the same again: --seed ${seed}` : '';
