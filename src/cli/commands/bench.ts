import type { Command } from 'commander';
import type { BenchFlags } from '../bench.js';
import { number } from '../option-values.js';

export function addBench(program: Command): void {
  program
    .command('bench')
    .description('measure how fast a model runs here: decoding, prefill, bandwidth, memory, opening')
    .option('--model <path>', 'a checkpoint: a folder, or a GGUF file (the INT4 model that comes with the package)')
    .option('--threads <number>', 'threads of the native kernels', number('--threads', { from: 1, to: 256, whole: true }))
    .option('--quick', 'fewer rounds')
    .option('--json <file>', 'write all numbers to a file as well')
    .action(async (flags: BenchFlags) => {
      const { runBench } = await import('../bench.js');
      await runBench(flags);
    });
}
