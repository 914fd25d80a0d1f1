import type { Command } from 'commander';
import { addSamplingOptions } from '../generate/sampling-options.js';
import type { GenerateFlags } from '../generate/run.js';
import { number } from '../option-values.js';

export function addGenerate(program: Command): void {
  const command = program
    .command('generate')
    .description('continue a prompt: that of --prompt, of standard input, or on a terminal of your asking, line by line')
    .option('--model <folder>', 'a checkpoint in the layout of Hugging Face (the INT4 model that comes with the package)')
    .option('--prompt <text>', 'the text to continue')
    .option('--tokens-in <file>', 'take the prompt from a token file')
    .option('--tokens-out <file>', 'write the generated ids to a token file');
  addSamplingOptions(command)
    .option('--samples <number>', 'several continuations of the prompt', number('--samples', { from: 1, to: 1000, whole: true }))
    .option('--threads <number>', 'threads of the native kernels', number('--threads', { from: 1, to: 256, whole: true }))
    .option('--environment', 'first tell what the model runs on')
    .option('--echo', 'write the prompt before its continuation')
    .option('--stats', 'tell the times and the memory that it took, after the text')
    .option('--json', 'write one JSON object instead of text')
    .action(async (flags: GenerateFlags) => {
      const { runGenerate } = await import('../generate/run.js');
      process.exitCode = await runGenerate(flags);
    });
}
