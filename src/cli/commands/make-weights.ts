import type { Command } from 'commander';
import type { WeightFormat } from '../../checkpoint/random/make-weights.js';
import type { WeightShape } from '../../checkpoint/random/shapes.js';
import { number } from '../option-values.js';
import type { MakeWeightsFlags } from '../make-weights.js';

/** As in `makeWeights`, which is imported when the command runs. */
const SHAPES: readonly WeightShape[] = ['24m', '1.1b', '3b'];
const FORMATS: readonly WeightFormat[] = ['gguf', 'int4', 'mixed', 'bf16'];

export function addMakeWeights(program: Command): void {
  const command = program
    .command('make-weights')
    .description('write a LLaMA of random weights, for measurements that need a model of some size')
    .argument('<to>', 'file to write for gguf, folder for the others; there must be none of that name');
  command
    .addOption(command.createOption('--shape <weights>', 'how many weights it has, about').choices(SHAPES).makeOptionMandatory())
    .addOption(
      command
        .createOption('--format <format>', 'gguf: all matrices in Q4_0; int4 and mixed (3.5 bits): in compute layout; bf16')
        .choices(FORMATS)
        .default('gguf'),
    )
    .option('--seed <number>', 'the same seed gives the same bytes (0)', number('--seed', { from: 0, to: 2 ** 32 - 1, whole: true }))
    .option('--json', 'as JSON')
    .action(async (to: string, flags: MakeWeightsFlags) => {
      const { runMakeWeights } = await import('../make-weights.js');
      await runMakeWeights(to, flags);
    });
}
