import type { Command } from 'commander';

export function addEnvironment(program: Command): void {
  program
    .command('environment')
    .description('tell what the library runs on, what was picked and why')
    .option('--json', 'as JSON')
    .action(async ({ json }: { json?: boolean }) => {
      const { environmentRows, environmentTable } = await import('../environment-table.js');
      process.stdout.write(`${json ? JSON.stringify(await environmentRows()) : await environmentTable()}\n`);
    });
}
