import type { Command } from 'commander';

export function addInspect(program: Command): void {
  program
    .command('inspect')
    .description("tell what a checkpoint holds, before loading it: configuration, tensors, bits per weight, memory needed")
    .argument('<folder>', 'a checkpoint in the layout of Hugging Face')
    .option('--json', 'as JSON')
    .action(async (folder: string, flags: { json?: boolean }) => {
      const { runInspect } = await import('../inspect.js');
      await runInspect(folder, flags);
    });
}
