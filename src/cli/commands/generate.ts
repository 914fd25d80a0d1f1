import type { Command } from 'commander';
import { addSamplingOptions } from '../generate/sampling-options.js';
import type { GenerateFlags } from '../generate/run.js';
import { MODES } from '../../matrix/storage.js';
import { CACHE_TYPES } from '../../native/cache-pages.js';
import { OUTER_TYPES } from '../../quantization/outer-types.js';
import { number } from '../option-values.js';

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
    .addOption(command.createOption('--mode <mode>', 'exact, or fast: activations rounded to int8 (exact)').choices(MODES))
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
