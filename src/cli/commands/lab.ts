import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { UsageError } from '../failure.js';
import { runScript } from '../run-script.js';

export function addLab(program: Command): void {
  program
    .command('lab')
    .description('open JupyterLab with the TypeScript kernel and the figures of this package')
    .argument('[folder]', 'folder of notebooks', '.')
    .argument('[options...]', "JupyterLab's own, such as --no-browser or --port 8890")
    .allowUnknownOption()
    .action(async (folder: string, options: string[]) => {
      // commander takes an option that it does not know for the first argument
      const own = folder.startsWith('-') ? [folder, ...options] : options;
      const path = resolve(own === options ? folder : '.');
      if (!statSync(path).isDirectory()) throw new UsageError(`folder: found the file ${path}, expected a folder`);
      process.exitCode = await runScript('lab.mjs', [path, ...own]);
    });
}
