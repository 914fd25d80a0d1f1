import util from 'node:util';
import '@tensorflow/tfjs-backend-cpu';
import { setBackend } from '@tensorflow/tfjs-core';
import { OptionError } from '../base/errors.js';
import { log, warnOnce } from '../base/logger.js';
import './registration.js';
import { BACKENDS, silenceCpuBanner, type BackendName } from './tfjs.js';

export type { BackendName } from './tfjs.js';

/** The backend in use, and why it was picked. */
export interface BackendChoice {
  readonly name: BackendName;
  readonly reason: string;
}

let inUse: BackendChoice | null = null;
let last: Promise<unknown> = Promise.resolve();

/**
 * Loads tfjs and picks its backend: `name`, or else what was picked before, or else `tensorflow` where tfjs-node loads
 * and `cpu` where it does not. Kernels of this library are the same on both; tfjs' own ops are slower on `cpu`.
 * @throws OptionError where the backend asked for is unknown or does not load.
 */
export async function ready(name?: BackendName): Promise<BackendName> {
  return (await choose(name)).name;
}

/** What `ready` picked, or picks now. */
export function backendChoice(): Promise<BackendChoice> {
  return choose();
}

/** One choice at a time, so that what was asked for last is what is used. */
function choose(name?: BackendName): Promise<BackendChoice> {
  const chosen = last.then(async () => {
    inUse = name === undefined ? (inUse ?? (await pick())) : await use(name);
    return inUse;
  });
  last = chosen.catch(() => undefined);
  return chosen;
}

async function use(name: BackendName): Promise<BackendChoice> {
  if (!BACKENDS.includes(name)) {
    throw new OptionError({ thing: 'tfjs backend', found: name, expected: BACKENDS.join(' or ') });
  }
  const problem = name === 'tensorflow' ? await loadTensorFlow() : null;
  if (problem !== null) {
    throw new OptionError({ thing: 'tfjs backend', found: name, expected: 'cpu: tfjs-node does not load', where: problem });
  }
  await switchTo(name);
  return { name, reason: 'asked for' };
}

async function pick(): Promise<BackendChoice> {
  const problem = await loadTensorFlow();
  const name: BackendName = problem === null ? 'tensorflow' : 'cpu';
  if (problem !== null) {
    warnOnce(`tfjs backend 'cpu' in place of 'tensorflow' (${problem}): slower for tfjs ops of your own (npx nibblelens setup)`);
  }
  await switchTo(name);
  return { name, reason: problem ?? '@tensorflow/tfjs-node loads' };
}

async function switchTo(name: BackendName): Promise<void> {
  await setBackend(name);
  silenceCpuBanner();
  log('debug', `tfjs backend '${name}'`);
}

/** Loads tfjs-node, which registers its backend. Null, or why it does not load. */
async function loadTensorFlow(): Promise<string | null> {
  // gone from Node 23 on, and called by tfjs-node 4.22
  const utilities: { isNullOrUndefined?: (value: unknown) => boolean } = util;
  utilities.isNullOrUndefined ??= (value) => value === null || value === undefined;
  // its lines about the processor, on standard error
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '1';
  try {
    const name: string = '@tensorflow/tfjs-node'; // not to be resolved by the compiler: it is optional, and its types are large
    await import(name);
    return null;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') return 'tfjs-node is not installed';
    return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
  }
}
