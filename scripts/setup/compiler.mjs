import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { cacheFolder, findPython } from './places.mjs';
import { run } from './run.mjs';

/** A whole C++ compiler as a Python package (100 MB), for machines that have none. */
const ZIG = 'ziglang==0.17.1';

const answers = async (command, args) => (await run(command, args, { timeoutMs: 20_000 })).ok;

/** The command of a C++ compiler, as words, or null: $CXX, those of the system, or one fetched from PyPI. */
export async function findCompiler({ log }) {
  for (const compiler of [process.env.CXX, 'c++', 'g++', 'clang++']) {
    if (compiler && (await answers(compiler, ['--version']))) return [compiler];
  }
  const python = await fetchZig({ log });
  return python && [python, '-m', 'ziglang', 'c++'];
}

let fetched;

/**
 * Lets `python3 -m ziglang` work for this process and its children, and gives the Python for it; null where that cannot
 * be. Fetched once, into the cache.
 */
export function fetchZig({ log }) {
  fetched ??= fetchInto(join(cacheFolder(), ZIG.replace('==', '-')), log);
  return fetched;
}

async function fetchInto(folder, log) {
  const python = await findPython(run);
  if (python === null) return null;
  if (!existsSync(folder)) {
    log(`no C++ compiler here; fetching ${ZIG} from PyPI (100 MB)`);
    mkdirSync(cacheFolder(), { recursive: true });
    const work = mkdtempSync(join(cacheFolder(), 'fetching-'));
    const pip = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary', ':all:', '--target', join(work, 'zig'), ZIG];
    const { ok } = await run(python, pip, { timeoutMs: 180_000 });
    if (ok && !existsSync(folder)) renameSync(join(work, 'zig'), folder);
    rmSync(work, { recursive: true, force: true });
  }
  if (!existsSync(folder)) return null;
  process.env.PYTHONPATH = [folder, process.env.PYTHONPATH].filter(Boolean).join(delimiter);
  return python;
}
