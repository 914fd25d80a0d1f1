import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package's own folder: a clone's root, or `node_modules/nibblelens` where it is installed. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Whether this is a clone, with sources to build, and not an installed package. */
export const IS_CLONE = existsSync(join(ROOT, 'tsconfig.build.json')) && existsSync(join(ROOT, 'package-lock.json'));

/** Where large things are kept that several clones and installs share; `NIBBLELENS_CACHE` overrides it. */
export function cacheFolder() {
  if (process.env.NIBBLELENS_CACHE) return process.env.NIBBLELENS_CACHE;
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'nibblelens');
  if (process.platform === 'win32') return join(process.env.LOCALAPPDATA ?? homedir(), 'nibblelens', 'cache');
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'nibblelens');
}

/** The folder of an installed dependency, wherever npm put it, or null. */
export function packageFolder(name) {
  for (const base of createRequire(join(ROOT, 'package.json')).resolve.paths(name) ?? []) {
    if (existsSync(join(base, name, 'package.json'))) return join(base, name);
  }
  return null;
}

/** The folder that holds a package's `node_modules/.bin`. */
export const binFolder = (folder, name) => join(folder, ...name.split('/').map(() => '..'), '.bin');

/** A Python 3 to run, as a command, or null. */
export async function findPython(run) {
  for (const command of process.platform === 'win32' ? ['python', 'py'] : ['python3', 'python']) {
    const { ok, output } = await run(command, ['-c', 'import sys; print(sys.version_info >= (3, 8))'], { timeoutMs: 20_000 });
    if (ok && output === 'True') return command;
  }
  return null;
}
