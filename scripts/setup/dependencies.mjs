import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './places.mjs';
import { run, tail } from './run.mjs';

/** Installs the locked npm dependencies, without their install scripts, unless they are there already. */
export async function installDependencies({ log }) {
  const wrong = firstDifference();
  if (wrong === null) return { state: 'ready' };
  log(`npm ci (${wrong})`);
  const [command, ...first] = process.env.npm_execpath?.endsWith('.js')
    ? [process.execPath, process.env.npm_execpath]
    : ['npm'];
  const { ok, output } = await run(command, [...first, 'ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: ROOT });
  return ok ? { state: 'done' } : { state: 'failed', detail: `npm ci failed:\n${tail(output)}` };
}

/** What node_modules lacks of package-lock.json, by the lock that npm leaves there; null where it lacks nothing. */
function firstDifference() {
  const installed = join(ROOT, 'node_modules', '.package-lock.json');
  if (!existsSync(installed)) return 'nothing is installed yet';
  const there = JSON.parse(readFileSync(installed, 'utf8')).packages;
  for (const [path, wanted] of Object.entries(JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages)) {
    if (path === '' || wanted.optional || wanted.peer) continue;
    const found = there[path]?.version;
    if (found !== wanted.version || !existsSync(join(ROOT, path))) {
      return `${path.replace(/^.*node_modules\//, '')} ${wanted.version} is ${found ? `installed as ${found}` : 'missing'}`;
    }
  }
  return null;
}
