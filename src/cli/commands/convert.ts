import type { Command } from 'commander';

export function addConvert(program: Command): void {
  program
    .command('convert')
    .description('write a checkpoint in the layout that kernels read: it opens in milliseconds, mapped, with the same numbers')
    .argument('<from>', 'a checkpoint: a folder in the layout of Hugging Face, or a GGUF file')
    .argument('<to>', 'folder to write, which must not exist or be empty')
    .option('--json', 'as JSON')
    .action(async (from: string, to: string, flags: { json?: boolean; quiet?: boolean }) => {
      const { runConvert } = await import('../convert.js');
      await runConvert(from, to, flags);
    });
}
