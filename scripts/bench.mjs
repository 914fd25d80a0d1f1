// npm run bench [-- --quick --json FILE --threads N --only GROUP…]: measures this engine beside its peers, which are
// installed in bench/ alone. A peer that cannot be installed is told of and left out.
import './setup/node-version.mjs';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const { setUp } = await import('./setup.mjs');
const { ROOT } = await import('./setup/places.mjs');

const BENCH = join(ROOT, 'bench');

const run = (command, args, cwd, shell = false) =>
  new Promise((resolve) => {
    const child = spawn(command, args, { cwd, shell, stdio: 'inherit' });
    child.on('error', () => resolve(1));
    child.on('close', (code) => resolve(code ?? 1));
  });

async function main() {
  if (!(await setUp())) return 1;
  if (!existsSync(join(BENCH, 'node_modules'))) {
    console.log('installing the peers in bench/ (about 1 GB)');
    // npm is a script on Windows, which a shell alone finds
    const code = await run('npm', ['ci'], BENCH, process.platform === 'win32');
    if (code !== 0) console.log('the peers could not be installed: this engine is measured without them');
  }
  return run(process.execPath, ['--import', 'tsx', join(BENCH, 'main.ts'), ...process.argv.slice(2)], ROOT);
}

process.exitCode = await main();
