// npm run lab [-- FOLDER] [JUPYTERLAB'S OPTIONS]: JupyterLab with this package's kernel, figures and exported pages.
import './setup/node-version.mjs';
import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';

const { IS_CLONE, ROOT } = await import('./setup/places.mjs');
const { ensurePageScripts } = await import('./page-scripts.mjs');
const { ensureVenv, jupyter, PAGE_OPTIONS } = await import('./venv.mjs');

/** In a container one is root; the server listens on this machine alone, and asks for its token. */
const AS_ROOT = process.getuid?.() === 0 ? ['--allow-root'] : [];
/** Long prints and live plots are what notebooks are for: JupyterLab's own limits would drop them. */
const OPTIONS = [
  '--ServerApp.ip=127.0.0.1',
  '--ServerApp.log_level=WARN',
  '--LabApp.log_level=WARN',
  '--ZMQChannelsWebsocketConnection.iopub_data_rate_limit=100000000',
  '--ZMQChannelsWebsocketConnection.iopub_msg_rate_limit=20000',
];

async function main([first, ...rest]) {
  const named = first !== undefined && !first.startsWith('-');
  const folder = named ? resolve(first) : IS_CLONE ? join(ROOT, 'notebooks') : process.cwd();
  const options = named || first === undefined ? rest : [first, ...rest];
  const found = statSync(folder, { throwIfNoEntry: false });
  if (!found?.isDirectory())
    return fail(`folder: found ${found ? 'the file' : 'nothing at'} ${folder}, expected a folder`, 2);

  if (!process.env.JUPYTER) {
    const { ok, reason } = await ensureVenv({ log: console.log, again: true });
    if (!ok) return fail(`JupyterLab cannot be opened: ${reason}; ${CURE}`, 1);
  }
  if (IS_CLONE) {
    const { setUp } = await import('./setup.mjs');
    if (!(await setUp()) && !existsSync(join(ROOT, 'dist', 'index.js'))) return 1;
  }
  const problem = await ensurePageScripts();
  if (problem) return fail(problem, 1);
  return open(folder, options);
}

const CURE =
  'install Python 3.10 or later with venv and pip and run this again, ' +
  'or set JUPYTER to the jupyter command of an environment that has JupyterLab 4 and nbconvert';

function fail(message, status) {
  process.stderr.write(`${message}\n`);
  return status;
}

/** Runs JupyterLab on this terminal until it ends. Ctrl-C reaches it from the terminal, and it asks back once. */
function open(folder, options) {
  const { command, args, env } = jupyter(['lab', ...AS_ROOT, ...OPTIONS, ...PAGE_OPTIONS, ...options, folder]);
  const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  process.on('SIGINT', () => {}).on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((done) => {
    child.on('error', (error) =>
      done(fail(`JupyterLab cannot be opened: ${command} does not start (${error.message})`, 1)),
    );
    child.on('exit', (code) => done(code ?? 1));
  });
}

process.exitCode = await main(process.argv.slice(2));
