// The Python environment with JupyterLab, and how to run Jupyter with this package's kernel, figures and pages.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { IS_CLONE, ROOT, cacheFolder } from './setup/places.mjs';
import { run, tail } from './setup/run.mjs';

const REQUIREMENTS = join(ROOT, 'jupyter', 'requirements.txt');
const OLDEST_PYTHON = [3, 10];
const PIP_MS = 420_000;

const requirementsHash = () => createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 16);

/** A clone has an environment of its own; installed packages share one, as npm may empty their folder at any time. */
const FOLDER = IS_CLONE ? join(ROOT, '.venv') : join(cacheFolder(), `jupyter-${requirementsHash()}`);
const PYTHON = process.platform === 'win32' ? join(FOLDER, 'Scripts', 'python.exe') : join(FOLDER, 'bin', 'python');
/** Says what the environment was made from, or why it could not be made. */
const STAMP = join(FOLDER, '.nibblelens');

const readStamp = () => (existsSync(STAMP) ? readFileSync(STAMP, 'utf8') : '');
const stampOf = () => `made from ${requirementsHash()}`;
const isReady = () => existsSync(PYTHON) && readStamp() === stampOf();

/**
 * Makes the environment unless it is there. Gives `{ ok, created, reason }`; a failure is remembered, and tried anew
 * where `again` is set.
 */
export async function ensureVenv({ log = () => {}, again = false } = {}) {
  if (isReady()) {
    markCommonJs();
    return { ok: true, created: false };
  }
  const stamp = readStamp();
  if (!again && stamp.startsWith('failed: '))
    return { ok: false, created: false, reason: stamp.slice('failed: '.length) };
  try {
    const reason = await make(log);
    mkdirSync(FOLDER, { recursive: true });
    markCommonJs();
    writeFileSync(STAMP, reason === null ? stampOf() : `failed: ${reason}`);
    return reason === null ? { ok: true, created: true } : { ok: false, created: false, reason };
  } catch (error) {
    return { ok: false, created: false, reason: error.message };
  }
}

/** JupyterLab runs a script of its own by Node, which would take it for a module as this package's are. */
function markCommonJs() {
  const file = join(FOLDER, 'package.json');
  if (!existsSync(file)) writeFileSync(file, '{ "type": "commonjs" }\n');
}

/** Null, or why it could not be made. */
async function make(log) {
  const python = await findPython();
  if (python === null) return `no Python ${OLDEST_PYTHON.join('.')} or later was found`;
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(dirname(FOLDER), { recursive: true });
  log('making a Python environment');
  const pip = await makeFolder(python);
  if (typeof pip === 'string') return pip;
  log('installing JupyterLab (240 MB)');
  const [command, ...args] = pip;
  const options = ['--quiet', '--disable-pip-version-check', '--no-input', '-r', REQUIREMENTS];
  const { ok, output } = await run(command, [...args, 'install', ...options], { timeoutMs: PIP_MS });
  return ok ? null : `pip could not install JupyterLab (${tail(output, 1)})`;
}

/**
 * Makes an empty environment; gives the command of a pip that installs there, or why there is none. Debian's Python
 * comes without what `venv` needs to put a pip inside, but a pip from outside serves as well.
 */
async function makeFolder(python) {
  const whole = await run(python, ['-m', 'venv', FOLDER]);
  if (whole.ok) return [PYTHON, '-m', 'pip'];
  rmSync(FOLDER, { recursive: true, force: true });
  const bare = await run(python, ['-m', 'venv', '--without-pip', FOLDER]);
  if (!bare.ok) return 'Python lacks its venv module (on Debian and Ubuntu: apt install python3-venv)';
  const outer = await run(python, ['-m', 'pip', '--python', PYTHON, '--version']);
  if (outer.ok) return [python, '-m', 'pip', '--python', PYTHON];
  return 'Python lacks venv and pip (on Debian and Ubuntu: apt install python3-venv)';
}

async function findPython() {
  const test = `import sys; print(sys.version_info[:2] >= (${OLDEST_PYTHON.join(', ')}))`;
  const later = [14, 13, 12, 11, 10].map((minor) => `python3.${minor}`);
  for (const command of process.platform === 'win32' ? ['python', 'py'] : ['python3', 'python', ...later]) {
    const { ok, output } = await run(command, ['-c', test], { timeoutMs: 20_000 });
    if (ok && output === 'True') return command;
  }
  return null;
}

/** The modules behind `jupyter lab` and `jupyter nbconvert`, whose own commands break when their folder is moved. */
const MODULES = { lab: 'jupyterlab', nbconvert: 'nbconvert' };

/**
 * How to run `jupyter ARGS`: `{ command, args, env }`, from `$JUPYTER` or the environment above, or null where there is
 * neither. It finds this package's kernel and extension, and the Node that runs now.
 */
export function jupyter(args) {
  const own = process.env.JUPYTER;
  if (!own && !isReady()) return null;
  return {
    command: own || PYTHON,
    args: own ? args : ['-m', MODULES[args[0]], ...args.slice(1)],
    env: {
      JUPYTER_PATH: [join(ROOT, 'jupyter'), process.env.JUPYTER_PATH].filter(Boolean).join(delimiter),
      PATH: [dirname(process.execPath), process.env.PATH].filter(Boolean).join(delimiter),
    },
  };
}

const EXTENSION = join(ROOT, 'jupyter', 'labextensions', 'nibblelens-figures');

/** Options by which nbconvert makes this package's pages, on its command line or JupyterLab's. */
export const PAGE_OPTIONS = [
  '--HTMLExporter.template_name=nibblelens',
  `--TemplateExporter.extra_template_paths=${EXTENSION}`,
];

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { ok, created, reason } = await ensureVenv({ log: console.log, again: true });
  console.log(ok ? `${FOLDER} is ${created ? 'made' : 'ready'}` : reason);
  process.exitCode = ok ? 0 : 1;
}
