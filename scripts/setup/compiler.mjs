import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { cacheFolder, findPython } from './places.mjs';
import { run } from './run.mjs';

/** A whole C++ compiler as a Python package (100 MB), for machines that have none. */
const ZIG = 'ziglang==0.17.1';

/** A compiler by its command, as words: `{ words, version }` with its first line about itself, or null if it is not there. */
async function compilerAt(words) {
  const [command, ...first] = words;
  const { ok, output } = await run(command, [...first, '--version'], { timeoutMs: 60_000 });
  return ok ? { words, version: output.split('\n')[0].trim() } : null;
}

/** The C++ compiler of this machine: $CXX or one of the system's; null where there is none. */
export async function findCompiler() {
  const named = process.env.CXX?.trim();
  for (const words of [...(named ? [named.split(/\s+/)] : []), ['g++'], ['clang++'], ['c++']]) {
    const found = await compilerAt(words);
    if (found) return found;
  }
  return null;
}

let fetched;

/** A C++ compiler fetched from PyPI, once, into the cache; null where that cannot be. */
export function fetchCompiler({ log }) {
  fetched ??= fetchInto(join(cacheFolder(), ZIG.replace('==', '-')), log);
  return fetched;
}

async function fetchInto(folder, log) {
  const python = await findPython(run);
  if (python === null) return null;
  if (!existsSync(folder)) {
    log(`fetching a C++ compiler from PyPI: ${ZIG} (100 MB)`);
    mkdirSync(cacheFolder(), { recursive: true });
    const work = mkdtempSync(join(cacheFolder(), 'fetching-'));
    const pip = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary', ':all:', '--target', join(work, 'zig'), ZIG];
    const { ok } = await run(python, pip, { timeoutMs: 180_000 });
    if (ok && !existsSync(folder)) renameSync(join(work, 'zig'), folder);
    rmSync(work, { recursive: true, force: true });
  }
  if (!existsSync(folder)) return null;
  process.env.PYTHONPATH = [folder, process.env.PYTHONPATH].filter(Boolean).join(delimiter);
  return compilerAt([python, '-m', 'ziglang', 'c++']);
}
