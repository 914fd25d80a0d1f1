// Builds the native addon with whatever C++17 compiler is there: $CXX, g++, clang++, c++, or one fetched from PyPI.
//
//   node scripts/build-native.mjs             build/native/nibblelens.node, skipping what is up to date
//   node scripts/build-native.mjs --sanitize  the C++ tests, under address, undefined-behaviour and thread sanitizers
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchCompiler, findCompiler } from './setup/compiler.mjs';
import { run } from './setup/run.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SOURCES = join(ROOT, 'src', 'native', 'cpp');
const TESTS = join(ROOT, 'tests', 'native', 'cpp');
const OUTPUT = join(ROOT, 'build', 'native');
const ADDON = join(OUTPUT, 'nibblelens.node');
/** A fetched compiler builds a C++ library of its own first: a minute of two free cores. */
const COMPILE_MS = 600_000;
const RUN_MS = 120_000;
const JOBS = 2;

const AVX2_FLAGS = ['-mavx2', '-mfma', '-mf16c'];
/** Kernels beside the portable ones, by the processors that they are for, and the flags of these files alone. */
const INSTRUCTION_SETS = {
  x86: {
    'kernels_avx2.cpp': AVX2_FLAGS,
    'kernels_avx512vnni.cpp': [
      ...[...AVX2_FLAGS, '-mavx512f', '-mavx512vl', '-mavx512bw', '-mavx512vnni'],
      // wider registers slow many processors' clock
      '-mprefer-vector-width=256',
    ],
  },
  arm: {
    'kernels_neon.cpp': [],
    'kernels_neon_dotprod.cpp': ['-mcpu=generic+dotprod'],
  },
};
/** Files that need no Node headers: the C++ tests link these. */
const KERNEL_FILES = [
  ...['decoder.cpp', 'kernels.cpp', 'kernels_scalar.cpp', 'mapping.cpp', 'thread_pool.cpp'],
  ...Object.values(INSTRUCTION_SETS).flatMap((files) => Object.keys(files)),
];
// -ffp-contract=off: no fused multiply-adds but those written, so that equal formulas give equal bits.
const COMMON_FLAGS = [
  ...['-std=c++17', '-fno-math-errno', '-ffp-contract=off', '-pthread'],
  // psabi: vectors are passed within a file alone.
  ...['-Wall', '-Wextra', '-Wno-psabi', '-Wpedantic', '-Wshadow', '-Wconversion', '-Wsign-conversion'],
  ...(process.platform === 'win32' ? [] : ['-fPIC']),
];

const runCompiler = ({ words: [command, ...first] }, args) => run(command, [...first, ...args], { timeoutMs: COMPILE_MS });

/** 'x86', 'arm' or null, by what the compiler builds for, such as `x86_64-linux-gnu`: it need not be what Node runs on. */
async function processorsOf(compiler) {
  const { ok, output } = await runCompiler(compiler, ['-dumpmachine']);
  const machine = ok ? output : process.arch;
  if (/^(x86_64|amd64|x64)/.test(machine)) return 'x86';
  return /^(aarch64|arm64)(?!_be)/.test(machine) ? 'arm' : null;
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

const UP_TO_DATE = { ok: true, compiler: null, reason: null };

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
  const { ok, output } = await runCompiler(compiler, [...flags, '-c', source, '-o', object]);
  return ok ? null : `${relative(ROOT, source)} does not compile:\n${output}`;
}

async function link(compiler, objects, output, flags) {
  // Linked beside and then renamed: a process that has the old file open keeps it whole.
  const fresh = `${output}.${process.pid}.tmp`;
  const { ok, output: said } = await runCompiler(compiler, [...objects, ...flags, '-o', fresh]);
  if (!ok) {
    await rm(fresh, { force: true });
    return `${relative(ROOT, output)} does not link:\n${said}`;
  }
  await rename(fresh, output);
  return null;
}

/** Files to compile: those of an instruction set only for the processors that may have it. */
function sourcesFor(names, processors) {
  return names.filter((name) =>
    Object.entries(INSTRUCTION_SETS).every(([family, files]) => family === processors || !(name in files)),
  );
}

/** Flags of one file alone. */
function ownFlags(name, processors) {
  return INSTRUCTION_SETS[processors]?.[name] ?? [];
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
 * be built, `reason` says why `ok` is false. Warnings are errors only if `strict`: a compiler that nobody here has met
 * may warn of what is no fault, and its user needs the addon all the same. `again` tries anew to fetch a compiler.
 */
export async function buildNative({ log = () => {}, strict = false, again = false } = {}) {
  try {
    return await build(log, strict, again);
  } catch (error) {
    return { ok: false, compiler: null, reason: error.message };
  }
}

async function build(log, strict, again) {
  const stampFile = join(OUTPUT, 'nibblelens.stamp');
  const noCompilerFile = join(OUTPUT, 'no-compiler');
  const found = existsSync(ADDON) ? await readText(stampFile) : null;
  let compiler = await findCompiler();
  if (!compiler) {
    // Without a compiler an addon built of these sources, by whichever, is as good as can be.
    if (found !== null && found.split(' ')[0] === (await stampOf([SOURCES], null)).split(' ')[0]) return UP_TO_DATE;
    if (again || !existsSync(noCompilerFile)) {
      compiler = await fetchCompiler({ log });
      await rm(noCompilerFile, { force: true });
    }
    if (!compiler) {
      await mkdir(OUTPUT, { recursive: true });
      await writeFile(noCompilerFile, '');
      return { ok: false, compiler: null, reason: 'no C++ compiler, and none could be fetched from PyPI' };
    }
  }
  const processors = await processorsOf(compiler);
  const flags = [
    ...COMMON_FLAGS,
    '-O3',
    // Zig's Clang writes debugging information unless told not to, which takes it a third of the time.
    '-g0',
    '-fvisibility=hidden',
    '-DNAPI_VERSION=8',
    '-DNODE_ADDON_API_CPP_EXCEPTIONS_ALL',
    // An exception that cannot reach JavaScript because its worker is being stopped is dropped.
    '-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
    ...includeFolders().flatMap((folder) => ['-isystem', folder]),
  ];
  const linkFlags =
    process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared', '-pthread'];
  const stamp = await stampOf([SOURCES], [compiler, flags, INSTRUCTION_SETS, linkFlags]);
  if (found === stamp) return UP_TO_DATE;

  log(`building the native addon with ${compiler.version}`);
  await rm(stampFile, { force: true });
  const names = sourcesFor((await readdir(SOURCES)).filter((name) => name.endsWith('.cpp')), processors);
  const objectOf = (name) => join(OUTPUT, 'obj', name.replace(/\.cpp$/, '.o'));
  // the kernels take longest, so they go first
  names.sort((a, b) => Number(b.startsWith('kernels_')) - Number(a.startsWith('kernels_')) || (a < b ? -1 : 1));
  const failure =
    (await inTurn(
      names.map((name) => () => {
        const own = [...flags, ...ownFlags(name, processors), ...(strict ? ['-Werror'] : [])];
        return compile(compiler, join(SOURCES, name), objectOf(name), own);
      }),
    )) ?? (await link(compiler, names.map(objectOf), ADDON, linkFlags));
  if (failure) return { ok: false, compiler: compiler.version, reason: failure };
  await writeFile(stampFile, stamp);
  return { ok: true, compiler: compiler.version, reason: null };
}

/** The C++ tests, and what each is run under: several tests share the objects of the kernels. */
const SANITIZED = [
  {
    name: 'address and undefined-behaviour',
    kind: 'under the address and undefined-behaviour sanitizers',
    folder: 'sanitize-address',
    // -O0, and nothing forced into its callers: the kernels take a sixth of the time to compile, which is most of it.
    flags: ['-O0', '-DNIBBLELENS_INLINE=', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
    tests: ['products_test.cpp', 'kernels_test.cpp', 'decoder_test.cpp'],
  },
  {
    name: 'thread',
    kind: 'under the thread sanitizer',
    folder: 'sanitize-thread',
    flags: ['-DNIBBLELENS_SCALAR_ONLY', '-DNIBBLELENS_INLINE=', '-fsanitize=thread'],
    scalarOnly: true,
    tests: ['thread_pool_test.cpp'],
  },
];

/** Builds the C++ tests where they are not up to date and runs them, under each sanitizer that the compiler has. */
async function sanitize(log) {
  const compiler = await findCompiler();
  if (!compiler) {
    log('skipped: no C++ compiler');
    return true;
  }
  let ok = true;
  for (const sanitizer of SANITIZED) {
    const folder = join(OUTPUT, sanitizer.folder);
    await mkdir(folder, { recursive: true });
    if (!(await works(compiler, sanitizer.flags, join(folder, 'probe')))) {
      log(`skipped: ${compiler.version} has no working ${sanitizer.name} sanitizer`);
      continue;
    }
    const failure = await buildTests(compiler, sanitizer, folder, log);
    if (failure) {
      log(failure);
      return false;
    }
    for (const test of sanitizer.tests) {
      const { ok: passed, output } = await run(join(folder, test.replace('.cpp', '')), [], { timeoutMs: RUN_MS });
      log(output);
      ok &&= passed;
    }
  }
  return ok;
}

/** Whether a program built with these flags runs: libraries of sanitizers are often not installed. */
async function works(compiler, flags, probe) {
  await writeFile(`${probe}.cpp`, 'int main() { return 0; }\n');
  const { ok } = await runCompiler(compiler, [...flags, `${probe}.cpp`, '-o', probe]);
  return ok && (await run(probe, [], { timeoutMs: RUN_MS })).ok;
}

/** Builds C++ tests into a folder where they are not up to date; null, or what failed. `kind` says which tests they are. */
export async function buildTests(compiler, { kind, flags: kindFlags, tests, scalarOnly = false }, folder, log) {
  const flags = [...COMMON_FLAGS, ...['-O1', '-g1', '-Werror', '-I', SOURCES], ...kindFlags];
  const stampFile = join(folder, 'stamp');
  const stamp = await stampOf([SOURCES, TESTS], [compiler, flags, INSTRUCTION_SETS]);
  if ((await readText(stampFile)) === stamp) return null;

  log(`building ${tests.join(' and ')} ${kind}`);
  await rm(stampFile, { force: true });
  const processors = await processorsOf(compiler);
  const kernels = sourcesFor(KERNEL_FILES, scalarOnly ? null : processors).map((file) => join(SOURCES, file));
  const sources = [...tests.map((test) => join(TESTS, test)), ...kernels];
  const objectOf = (source) => join(folder, basename(source).replace('.cpp', '.o'));
  const failure = await inTurn(
    sources.map((source) => () => {
      // The tests themselves are not worth the time of optimising them.
      const own = source.startsWith(TESTS) ? ['-O0'] : ownFlags(basename(source), processors);
      return compile(compiler, source, objectOf(source), [...flags, ...own]);
    }),
  );
  if (failure) return failure;
  for (const test of tests) {
    const objects = [join(TESTS, test), ...kernels].map(objectOf);
    const unlinked = await link(compiler, objects, join(folder, test.replace('.cpp', '')), [...kindFlags, '-pthread']);
    if (unlinked) return unlinked;
  }
  await writeFile(stampFile, stamp);
  return null;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const log = (message) => console.log(message);
  if (process.argv.includes('--sanitize')) {
    process.exitCode = (await sanitize(log)) ? 0 : 1;
  } else {
    const { ok, compiler, reason } = await buildNative({ log, strict: true, again: true });
    if (ok) log(compiler ? `built ${relative(process.cwd(), ADDON)}` : 'up to date');
    else {
      console.error(reason);
      process.exitCode = 1;
    }
  }
}
