// Builds the C++ tests of the kernels for 64-bit ARM, with a compiler fetched from PyPI, and runs them in QEMU's user
// mode on processors with and without dot products of bytes:
//
//   node scripts/cross-test.mjs
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { buildTests } from './build-native.mjs';
import { fetchCompiler } from './setup/compiler.mjs';
import { ROOT } from './setup/places.mjs';
import { run } from './setup/run.mjs';

const TARGET = 'aarch64-linux-musl';
const PROCESSORS = ['cortex-a72', 'neoverse-n1'];
const TESTS = ['products_test.cpp', 'kernels_test.cpp', 'decoder_test.cpp'];
/** QEMU takes some twenty times as long as the machine itself. */
const RUN_MS = 1_200_000;

async function findQemu() {
  for (const command of ['qemu-aarch64', 'qemu-aarch64-static']) {
    if ((await run(command, ['--version'], { timeoutMs: 20_000 })).ok) return command;
  }
  return null;
}

/** Null, or what failed or is missing. */
async function crossTest(log) {
  const qemu = await findQemu();
  if (qemu === null) return 'qemu-aarch64 is missing; on Debian and Ubuntu: apt-get install qemu-user';
  const zig = await fetchCompiler({ log });
  if (zig === null) return 'Zig\'s compiler is missing: it takes a Python 3 with pip, and PyPI within reach';
  const compiler = { words: [...zig.words, '-target', TARGET], version: zig.version };
  const folder = join(ROOT, 'build', 'native', TARGET);
  await mkdir(folder, { recursive: true });
  const failure = await buildTests(compiler, { kind: `for ${TARGET}`, flags: ['-static'], tests: TESTS }, folder, log);
  if (failure) return failure;
  for (const processor of PROCESSORS) {
    for (const test of TESTS) {
      const program = join(folder, test.replace('.cpp', ''));
      const { ok, output, seconds } = await run(qemu, ['-cpu', processor, program], { timeoutMs: RUN_MS });
      log(`${processor}: ${output} (${seconds.toFixed()} s)`);
      if (!ok) return `${test} fails on ${processor}`;
    }
  }
  return null;
}

const failure = await crossTest((message) => console.log(message));
if (failure !== null) {
  console.error(failure);
  process.exitCode = 1;
}
