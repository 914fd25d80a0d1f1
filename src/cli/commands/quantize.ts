import type { Command } from 'commander';
import { number } from '../option-values.js';

export function addQuantize(program: Command): void {
  program
    .command('quantize')
    .description('round the matrices of a float checkpoint to 4 bits, and write an AWQ checkpoint (GEMM layout)')
    .argument('<from>', 'folder of the float checkpoint')
    .argument('<to>', 'folder to write, which must not exist or be empty')
    .option('--group-size <number>', 'inputs that share a scale (128)', number('--group-size', { from: 16, whole: true }))
    .action(async (from: string, to: string, flags: { groupSize?: number; quiet?: boolean }) => {
      const { runQuantize } = await import('../quantize.js');
      await runQuantize(from, to, flags);
    });
}
