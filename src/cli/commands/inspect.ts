import type { Command } from 'commander';

export function addInspect(program: Command): void {
  program
    .command('inspect')
    .description("tell what a checkpoint holds, before loading it: configuration, tensors, bits per weight, memory needed")
    .argument('<path>', 'a checkpoint: a folder in the layout of Hugging Face, or a GGUF file')
    .option('--json', 'as JSON')
    .action(async (path: string, flags: { json?: boolean }) => {
      const { runInspect } = await import('../inspect.js');
      await runInspect(path, flags);
    });
}
