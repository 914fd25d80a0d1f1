import type { Command } from 'commander';
import { runScript } from '../run-script.js';

export function addSetup(program: Command): void {
  program
    .command('setup')
    .description("build the native addon and fetch TensorFlow's library and JupyterLab, where they are missing")
    .action(async () => {
      process.exitCode = await runScript('setup.mjs');
    });
}
