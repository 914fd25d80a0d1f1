// npm run lab [-- FOLDER] [JUPYTERLAB'S OPTIONS]: JupyterLab with this package's kernel, figures and exported pages.
import './setup/node-version.mjs';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

const { IS_CLONE, ROOT } = await import('./setup/places.mjs');
const { ensurePageScripts } = await import('./page-scripts.mjs');
const { ensureVenv, jupyter, PAGE_OPTIONS } = await import('./venv.mjs');

/** Long prints and live plots are what notebooks are for: JupyterLab's own limits would drop them. */
const LIMITS = [
  '--ZMQChannelsWebsocketConnection.iopub_data_rate_limit=100000000',
  '--ZMQChannelsWebsocketConnection.iopub_msg_rate_limit=20000',
];

async function main([first, ...rest]) {
  const named = first !== undefined && !first.startsWith('-');
  const folder = named ? resolve(first) : IS_CLONE ? join(ROOT, 'notebooks') : process.cwd();
  const options = named || first === undefined ? rest : [first, ...rest];
  if (!existsSync(folder)) return fail(`no folder ${folder}`, 2);

  if (IS_CLONE) {
    const { setUp } = await import('./setup.mjs');
    if (!(await setUp()) && !existsSync(join(ROOT, 'dist', 'index.js'))) return 1;
  }
  if (!process.env.JUPYTER) {
    const { ok, reason } = await ensureVenv({ log: console.log, again: !IS_CLONE });
    if (!ok) return fail(`JupyterLab cannot be opened: ${reason}\n${CURE}`, 1);
  }
  const problem = await ensurePageScripts();
  if (problem) return fail(problem, 1);
  return open(folder, options);
}

const CURE =
  'Install Python 3.10 or later with venv and pip, then run this again;\n' +
  'or set JUPYTER to the jupyter command of an environment that has JupyterLab 4 and nbconvert.';

function fail(message, status) {
  process.stderr.write(`${message}\n`);
  return status;
}

/** Runs JupyterLab on this terminal until it ends. Ctrl-C reaches it from the terminal, and it asks back once. */
function open(folder, options) {
  const { command, args, env } = jupyter(['lab', '--ServerApp.ip=127.0.0.1', ...LIMITS, ...PAGE_OPTIONS, ...options, folder]);
  const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  process.on('SIGINT', () => {}).on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((done) => {
    child.on('error', (error) => done(fail(`${command} does not start: ${error.message}`, 1)));
    child.on('exit', (code) => done(code ?? 1));
  });
}

process.exitCode = await main(process.argv.slice(2));
