// Builds the native addon with whatever C++17 compiler is there: $CXX, g++, clang++, c++, or `ziglang` of PyPI.
//
//   node scripts/build-native.mjs             build/native/nibblelens.node, skipping what is up to date
//   node scripts/build-native.mjs --sanitize  the C++ tests, under address, undefined-behaviour and thread sanitizers
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SOURCES = join(ROOT, 'src', 'native', 'cpp');
const TESTS = join(ROOT, 'tests', 'native', 'cpp');
const OUTPUT = join(ROOT, 'build', 'native');
const ADDON = join(OUTPUT, 'nibblelens.node');
const JOBS = 2;

/** Files that need no Node headers: the C++ tests link these. */
const KERNEL_FILES = [
  'decoder.cpp',
  'kernels.cpp',
  'kernels_avx2.cpp',
  'kernels_scalar.cpp',
  'mapping.cpp',
  'thread_pool.cpp',
];
const AVX2_FLAGS = ['-mavx2', '-mfma', '-mf16c'];
// -ffp-contract=off: no fused multiply-adds but those written, so that equal formulas give equal bits.
const COMMON_FLAGS = ['-std=c++17', '-fno-math-errno', '-ffp-contract=off', '-Wall', '-Wextra', '-pthread', '-fPIC'];

/** Runs a command; never rejects. `code` is null where it cannot be started. */
function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let output = '';
    child.stdout?.on('data', (data) => (output += data));
    child.stderr?.on('data', (data) => (output += data));
    child.on('error', (error) => resolve({ code: null, output: error.message }));
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

/** The first compiler that answers, as { command, prefix, version }, or null. */
async function findCompiler() {
  const candidates = [
    ...(process.env.CXX ? [process.env.CXX.split(/\s+/)] : []),
    ['g++'],
    ['clang++'],
    ['c++'],
    ['python3', '-m', 'ziglang', 'c++'],
  ];
  for (const [command, ...prefix] of candidates) {
    const { code, output } = await run(command, [...prefix, '--version']);
    if (code === 0) return { command, prefix, version: output.split('\n')[0].trim() };
  }
  return null;
}

/** What the compiler builds for, such as `x86_64-linux-gnu`: it need not be what Node runs on. */
async function isX86(compiler) {
  const { code, output } = await run(compiler.command, [...compiler.prefix, '-dumpmachine']);
  return code === 0 ? /^(x86_64|amd64)/.test(output.trim()) : process.arch === 'x64';
}

/** A hash of all sources, and after a space one of how they are compiled. */
async function stampOf(folders, build) {
  const hash = createHash('sha256');
  for (const folder of folders) {
    const names = (await readdir(folder)).filter((name) => /\.(cpp|h)$/.test(name)).sort();
    for (const name of names) hash.update(name).update('\0').update(await readFile(join(folder, name)));
  }
  return `${hash.digest('hex')} ${createHash('sha256').update(JSON.stringify(build)).digest('hex')}`;
}

const readText = (file) => readFile(file, 'utf8').catch(() => null);

/** Runs tasks, JOBS at a time, and gives the first failure or null. */
async function inTurn(tasks) {
  const queue = [...tasks];
  let failure = null;
  const worker = async () => {
    while (queue.length > 0 && failure === null) {
      const found = await queue.shift()();
      failure ??= found;
    }
  };
  await Promise.all(Array.from({ length: JOBS }, worker));
  return failure;
}

/** Compiles one file; null, or what the compiler said. */
async function compile(compiler, source, object, flags) {
  await mkdir(dirname(object), { recursive: true });
  const { code, output } = await run(compiler.command, [...compiler.prefix, ...flags, '-c', source, '-o', object]);
  return code === 0 ? null : `${relative(ROOT, source)} does not compile:\n${output}`;
}

async function link(compiler, objects, output, flags) {
  // Linked beside and then renamed: a process that has the old file open keeps it whole.
  const fresh = `${output}.${process.pid}.tmp`;
  const { code, output: said } = await run(compiler.command, [...compiler.prefix, ...objects, ...flags, '-o', fresh]);
  if (code !== 0) {
    await rm(fresh, { force: true });
    return `${relative(ROOT, output)} does not link:\n${said}`;
  }
  await rename(fresh, output);
  return null;
}

/** Files to compile for this machine: those for AVX2 only where the compiler builds for x86-64. */
function sourcesFor(names, x86) {
  return names.filter((name) => x86 || !name.includes('avx2'));
}

function includeFolders() {
  const require = createRequire(import.meta.url);
  return [
    dirname(require.resolve('node-addon-api/package.json')),
    join(dirname(require.resolve('node-api-headers/package.json')), 'include'),
  ];
}

/**
 * Builds the addon where it is not up to date. Gives { ok, compiler, reason }: `compiler` is null where nothing had to
 * be built, `reason` says why `ok` is false. Warnings of the compiler are errors only if `strict`.
 */
export async function buildNative({ log = () => {}, strict = false } = {}) {
  try {
    return await build(log, strict);
  } catch (error) {
    return { ok: false, compiler: null, reason: error.message };
  }
}

async function build(log, strict) {
  const stampFile = join(OUTPUT, 'nibblelens.stamp');
  const found = existsSync(ADDON) ? await readText(stampFile) : null;
  const compiler = await findCompiler();
  if (!compiler) {
    const isCurrent = found !== null && found.split(' ')[0] === (await stampOf([SOURCES], null)).split(' ')[0];
    return { ok: isCurrent, compiler: null, reason: isCurrent ? null : 'no C++ compiler and no ziglang for python3' };
  }
  const x86 = await isX86(compiler);
  const flags = [
    ...COMMON_FLAGS,
    '-O3',
    '-fvisibility=hidden',
    '-DNAPI_VERSION=8',
    '-DNODE_ADDON_API_CPP_EXCEPTIONS_ALL',
    // An exception that cannot reach JavaScript because its worker is being stopped is dropped.
    '-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
    ...(x86 ? ['-DNIBBLELENS_AVX2'] : []),
    ...includeFolders().flatMap((folder) => ['-isystem', folder]),
  ];
  const linkFlags =
    process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared', '-pthread'];
  const stamp = await stampOf([SOURCES], [compiler, flags, AVX2_FLAGS, linkFlags]);
  if (found === stamp) return { ok: true, compiler: null, reason: null };

  log(`building the native addon with ${compiler.version}`);
  await rm(stampFile, { force: true });
  const names = sourcesFor((await readdir(SOURCES)).filter((name) => name.endsWith('.cpp')), x86);
  const objectOf = (name) => join(OUTPUT, 'obj', name.replace(/\.cpp$/, '.o'));
  // the kernels take longest, so they go first
  names.sort((a, b) => Number(b.startsWith('kernels_')) - Number(a.startsWith('kernels_')) || (a < b ? -1 : 1));
  const failure =
    (await inTurn(
      names.map((name) => () => {
        const own = [...flags, ...(name.includes('avx2') ? AVX2_FLAGS : []), ...(strict ? ['-Werror'] : [])];
        return compile(compiler, join(SOURCES, name), objectOf(name), own);
      }),
    )) ?? (await link(compiler, names.map(objectOf), ADDON, linkFlags));
  if (failure) return { ok: false, compiler: compiler.version, reason: failure };
  await writeFile(stampFile, stamp);
  return { ok: true, compiler: compiler.version, reason: null };
}

/** Builds and runs the C++ tests under sanitizers; gives the exit status. */
async function sanitize(log) {
  const compiler = await findCompiler();
  if (!compiler) {
    log('sanitizer tests skipped: no C++ compiler');
    return 0;
  }
  const x86 = await isX86(compiler);
  const builds = [
    { name: 'address', test: 'kernels_test.cpp', flags: ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'] },
    { name: 'thread', test: 'thread_pool_test.cpp', flags: ['-fsanitize=thread'] },
  ];
  let failed = 0;
  for (const { name, test, flags: sanitizer } of builds) {
    const folder = join(OUTPUT, `sanitize-${name}`);
    const probe = join(folder, 'probe');
    await mkdir(folder, { recursive: true });
    await writeFile(`${probe}.cpp`, 'int main() { return 0; }\n');
    const tried = await run(compiler.command, [...compiler.prefix, ...sanitizer, `${probe}.cpp`, '-o', probe]);
    if (tried.code !== 0 || (await run(probe, [])).code !== 0) {
      log(`${name} sanitizer tests skipped: ${compiler.version} has no working ${sanitizer[0]}`);
      continue;
    }
    const flags = [
      ...COMMON_FLAGS,
      '-O1',
      '-g1',
      '-Werror',
      ...sanitizer,
      '-I',
      SOURCES,
      ...(x86 ? ['-DNIBBLELENS_AVX2'] : []),
    ];
    const sources = [...sourcesFor(KERNEL_FILES, x86).map((file) => join(SOURCES, file)), join(TESTS, test)];
    const binary = join(folder, 'test');
    const stampFile = join(folder, 'stamp');
    const stamp = await stampOf([SOURCES, TESTS], [compiler, flags, AVX2_FLAGS]);
    if ((await readText(stampFile)) !== stamp) {
      log(`building ${test} under the ${name} sanitizer`);
      await rm(stampFile, { force: true });
      const objectOf = (source) => join(folder, `${source.slice(dirname(source).length + 1)}.o`);
      const failure =
        (await inTurn(
          sources.map((source) => () =>
            compile(compiler, source, objectOf(source), [...flags, ...(source.includes('avx2') ? AVX2_FLAGS : [])]),
          ),
        )) ?? (await link(compiler, sources.map(objectOf), binary, [...sanitizer, '-pthread']));
      if (failure) {
        log(failure);
        return 1;
      }
      await writeFile(stampFile, stamp);
    }
    const { code, output } = await run(binary, []);
    log(output.trimEnd());
    if (code !== 0) failed = 1;
  }
  return failed;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const log = (message) => console.log(message);
  if (process.argv.includes('--sanitize')) {
    process.exitCode = await sanitize(log);
  } else {
    const { ok, compiler, reason } = await buildNative({ log, strict: true });
    if (ok) log(compiler ? `built ${relative(process.cwd(), ADDON)}` : 'up to date');
    else {
      console.error(reason);
      process.exitCode = 1;
    }
  }
}
