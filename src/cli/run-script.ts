import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { PACKAGE_FOLDER } from './package-folder.js';

/**
 * Runs one of the package's scripts in a process of its own, on this terminal and in this folder, and gives its exit
 * status. A Ctrl-C reaches it from the terminal; this process waits for it to end.
 */
export function runScript(name: string, args: readonly string[] = []): Promise<number> {
  const child = spawn(process.execPath, [join(PACKAGE_FOLDER, 'scripts', name), ...args], { stdio: 'inherit' });
  const ignore = (): void => undefined;
  const forward = (): void => void child.kill('SIGTERM');
  process.on('SIGINT', ignore).on('SIGTERM', forward);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => {
      process.off('SIGINT', ignore).off('SIGTERM', forward);
      resolve(code ?? 1);
    });
  });
}
