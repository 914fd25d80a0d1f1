// npm start [-- "a prompt" [OPTION…]]: the set-up, a story by the bundled model, and the first notebook as a page.
import './setup/node-version.mjs';
import { spawn } from 'node:child_process';
import { join } from 'node:path';

const PROMPT = 'Once upon a time, in a small house at the edge of the forest,';

const { setUp } = await import('./setup.mjs');
const { ROOT } = await import('./setup/places.mjs');

/** What was typed after `--`: a first word that is no option is the prompt; the rest are options of `generate`. */
function generateArguments([first, ...rest]) {
  if (first === undefined) return ['--prompt', PROMPT];
  return first.startsWith('-') ? ['--prompt', PROMPT, first, ...rest] : ['--prompt', first, ...rest];
}

/** Runs the command on this terminal; a Ctrl-C is the command's to handle, and this process outlives it. */
function nibblelens(args) {
  const ignore = () => {};
  process.on('SIGINT', ignore);
  const child = spawn(process.execPath, [join(ROOT, 'dist', 'cli', 'main.js'), ...args], { stdio: 'inherit' });
  return new Promise((resolve) => {
    child.on('close', (code) => {
      process.off('SIGINT', ignore);
      resolve(code ?? 1);
    });
  });
}

async function main() {
  if (!(await setUp())) return 1;
  const status = await nibblelens(['generate', '--environment', '--echo', '--stats', ...generateArguments(process.argv.slice(2))]);
  if (status !== 0) return status;

  console.log('\nrunning the first notebook');
  const { firstNotebookPage } = await import('./notebooks.mjs');
  const { ok, page, reason } = await firstNotebookPage();
  if (!ok && page !== undefined) {
    console.error(`the notebook failed: ${reason}`);
    return 1;
  }
  console.log(ok ? `the notebook with its figures, as a page: ${page}` : `no notebook was run: ${reason}`);
  console.log('all notebooks, to read and to change: npm run lab');
  return 0;
}

process.exitCode = await main();
