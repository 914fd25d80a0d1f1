import type { Command } from 'commander';
import { addSamplingOptions } from '../generate/sampling-options.js';
import type { GenerateFlags } from '../generate/run.js';
import { CACHE_TYPES } from '../../native/cache-pages.js';
import type { OuterType } from '../../quantization/outer-matrices.js';
import { number } from '../option-values.js';

/** As in `withOuterTypes`, which is imported when the command runs. */
const OUTER_TYPES: readonly OuterType[] = ['stored', 'f16', 'int8', 'int4'];

export function addGenerate(program: Command): void {
  const command = program
    .command('generate')
    .description('continue a prompt: that of --prompt, of standard input, or on a terminal of your asking, line by line')
    .option(
      '--model <path>',
      'a checkpoint: a folder in the layout of Hugging Face, or a GGUF file (the INT4 model that comes with the package)',
    )
    .option('--prompt <text>', 'the text to continue')
    .option('--tokens-in <file>', 'take the prompt from a token file')
    .option('--tokens-out <file>', 'write the generated ids to a token file');
  addSamplingOptions(command)
    .option('--samples <number>', 'several continuations of the prompt', number('--samples', { from: 1, to: 1000, whole: true }))
    .addOption(command.createOption('--head <type>', 'hold the output matrix as its file has it, or rounded (stored)').choices(OUTER_TYPES))
    .addOption(command.createOption('--embedding <type>', 'the same of the embedding (stored)').choices(OUTER_TYPES))
    .option('--threads <number>', 'threads of the native kernels', number('--threads', { from: 1, to: 256, whole: true }))
    .addOption(command.createOption('--mode <mode>', 'exact, or fast: activations rounded to int8 (exact)').choices(['exact', 'fast']))
    .addOption(command.createOption('--cache <type>', 'how the KV cache holds its numbers (f32)').choices(CACHE_TYPES))
    .option('--environment', 'first tell what the model runs on')
    .option('--echo', 'write the prompt before its continuation')
    .option('--stats', 'tell the times and the memory that it took, after the text')
    .option('--json', 'write one JSON object instead of text')
    .action(async (flags: GenerateFlags) => {
      const { runGenerate } = await import('../generate/run.js');
      process.exitCode = await runGenerate(flags);
    });
}
