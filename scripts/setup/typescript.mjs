import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './places.mjs';
import { run, tail } from './run.mjs';

const DIST = join(ROOT, 'dist');
const STAMP = join(DIST, '.built-from');

/** Compiles src/ to dist/ unless dist/ was made from the same files by the same compiler. */
export async function buildTypeScript({ log }) {
  const hash = sourceHash();
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === hash) return { state: 'ready' };
  log('compiling TypeScript');
  rmSync(STAMP, { force: true });
  const { ok, output } = await run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { cwd: ROOT });
  if (!ok) return { state: 'failed', detail: `the TypeScript build failed:\n${tail(output, 30)}` };
  removeOrphans();
  writeFileSync(STAMP, hash);
  return { state: 'done' };
}

const filesUnder = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();

function sourceHash() {
  const hash = createHash('sha256');
  const configuration = ['tsconfig.json', 'tsconfig.build.json', 'node_modules/typescript/package.json'].map((name) => join(ROOT, name));
  for (const file of [...configuration, ...filesUnder(join(ROOT, 'src')).filter((name) => name.endsWith('.ts'))]) {
    hash.update(file).update('\0').update(readFileSync(file)).update('\0');
  }
  return hash.digest('hex');
}

/** Takes from dist/ what was compiled from sources that are no more. */
function removeOrphans() {
  for (const file of filesUnder(DIST)) {
    const stem = file.slice(DIST.length).replace(/\.(d\.ts|js|js\.map)$/, '');
    if (!existsSync(`${join(ROOT, 'src')}${stem}.ts`)) rmSync(file);
  }
}
