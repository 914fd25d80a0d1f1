import { tensor, type Tensor } from '@tensorflow/tfjs-core';
import { OptionError, ShapeError } from '../base/errors.js';
import { breather, type Breathe } from '../base/event-loop.js';
import { checkOptionNames } from '../base/options.js';
import { hookNames, type HookName } from '../layers/hook-names.js';
import type { Tap } from '../layers/tap.js';
import type { KVCache } from '../model/kv-cache.js';
import type { ModelDecoder } from '../model/model-decoder.js';
import { queued } from '../model/run-queue.js';
import { tensorValues } from '../ops/index.js';
import { ActivationCache } from './activations.js';
import { Capture } from './capture.js';
import { checkName, checkSequences, concatenate, select } from './run-input.js';
import type { Hook, RunOptions } from './run-options.js';

/** What a pass over whole sequences gave. */
export interface RunOutput {
  /** [batch, pos, vocab] */
  readonly logits: Float32Array;
  readonly activations: ActivationCache;
  readonly path: 'fused' | 'composed';
}

/**
 * Runs sequences of equal length [batch][pos] from an empty cache and keeps what was asked for. Both ways give the same
 * bits where the addon is loaded and they take the text in the same chunks, which short ones are.
 */
export async function run(
  decoder: ModelDecoder,
  sequences: readonly Int32Array[],
  options: RunOptions = {},
): Promise<RunOutput> {
  checkOptionNames(options, ['capture', 'hooks', 'path', 'signal', 'onProgress'], 'option of run');
  const { capture: selector = [], hooks = {}, path, signal, onProgress } = options;
  const pos = checkSequences(decoder, sequences);
  const { config } = decoder.weights;
  const known = hookNames(config.numHiddenLayers);
  const hooked = checkHooks(hooks, known);
  const capture = new Capture(config, select(selector, known), sequences.length, pos);
  const way = chooseWay(decoder, path, hooked);
  const chunkRows = way === 'fused' ? decoder.chunkRows : hooked ? pos : decoder.composedRows(sequences.length, 'all');
  const logits = new Float32Array(sequences.length * pos * config.vocabSize);
  const caches = sequences.map(() => decoder.createSequence());
  const breathe = breather(signal);
  try {
    for (let start = 0; start < pos; start += chunkRows) {
      await breathe();
      const rows = Math.min(chunkRows, pos - start);
      const ids = concatenate(sequences.map((sequence) => sequence.subarray(start, start + rows)));
      for (const cache of caches) cache.reserve(rows);
      const chunk = { ids, pos: rows, start, caches, signal };
      const values =
        way === 'fused'
          ? await fusedChunk(decoder, capture, chunk, breathe)
          : await composedChunk(decoder, capture, hooks, chunk);
      for (const cache of caches) cache.advance(rows);
      scatterLogits(values, logits, { batch: sequences.length, pos, start, rows, vocabSize: config.vocabSize });
      onProgress?.(start + rows, pos);
    }
    return { logits, activations: new ActivationCache(capture.activations()), path: way };
  } finally {
    for (const cache of caches) cache.dispose();
  }
}

interface Chunk {
  readonly ids: Int32Array; // [batch, pos]
  readonly pos: number;
  /** Positions before the chunk. */
  readonly start: number;
  readonly caches: readonly KVCache[];
  readonly signal?: AbortSignal;
}

async function fusedChunk(
  decoder: ModelDecoder,
  capture: Capture,
  chunk: Chunk,
  breathe: Breathe,
): Promise<Float32Array> {
  if (!decoder.fused) throw new OptionError({ thing: 'path', found: 'fused', expected: 'composed without the addon' });
  const captures: { name: HookName; values: Float32Array }[] = [];
  for (const name of capture.names) {
    await breathe();
    captures.push({ name, values: capture.chunkArray(name, chunk.start, chunk.pos) });
  }
  const logits = await decoder.fused.forward({ ...chunk, logits: 'all', captures });
  for (const { name, values } of captures) {
    await breathe();
    capture.store(name, values, chunk.start, chunk.pos);
  }
  return logits;
}

async function composedChunk(
  decoder: ModelDecoder,
  capture: Capture,
  hooks: NonNullable<RunOptions['hooks']>,
  chunk: Chunk,
): Promise<Float32Array> {
  const model = await decoder.composed();
  const tap: Tap = {
    wants: (name) => capture.wants(name) || hooks[name] !== undefined,
    visit: (name, value) => {
      const hook = hooks[name];
      const result = hook ? applyHook(hook, name, value) : value;
      if (capture.wants(name)) capture.store(name, tensorValues(result), chunk.start, chunk.pos);
      return result;
    },
  };
  return queued(() => model.forward({ ...chunk, tap, logits: 'all' }));
}

function applyHook(hook: Hook, name: HookName, value: Tensor): Tensor {
  const values = hook({ name, shape: value.shape, values: tensorValues(value).slice() });
  if (values === undefined) return value;
  if (!(values instanceof Float32Array) || values.length !== value.size) {
    throw new ShapeError({
      thing: 'values returned by a hook',
      found: values instanceof Float32Array ? `${values.length} values` : typeof values,
      expected: `a Float32Array of ${value.size} (${value.shape.join(' × ')})`,
      where: name,
    });
  }
  return tensor(values.slice(), value.shape, 'float32');
}

/** Whether there is any hook. Throws for one at an unknown point, and for what is no function. */
function checkHooks(hooks: NonNullable<RunOptions['hooks']>, known: readonly HookName[]): boolean {
  const names = (Object.keys(hooks) as HookName[]).filter((name) => hooks[name] !== undefined);
  for (const name of names) {
    checkName(name, known);
    if (typeof hooks[name] === 'function') continue;
    throw new OptionError({ thing: 'hook', found: typeof hooks[name], expected: 'a function', where: name });
  }
  return names.length > 0;
}

function chooseWay(decoder: ModelDecoder, path: RunOptions['path'], hooked: boolean): 'fused' | 'composed' {
  if (path !== undefined && path !== 'fused' && path !== 'composed') {
    throw new OptionError({ thing: 'path', found: path, expected: 'fused or composed' });
  }
  if (path === 'fused' && (hooked || !decoder.fused)) {
    throw new OptionError({
      thing: 'path',
      found: 'fused',
      expected: hooked ? 'composed: hooks need it' : 'composed: the native addon is not loaded',
    });
  }
  return hooked || !decoder.fused ? 'composed' : (path ?? 'fused');
}

/** Puts a chunk's logits [batch, rows, vocab] into those of the run [batch, pos, vocab]. */
function scatterLogits(
  chunk: Float32Array,
  logits: Float32Array,
  { batch, pos, start, rows, vocabSize }: { batch: number; pos: number; start: number; rows: number; vocabSize: number },
): void {
  for (let b = 0; b < batch; b++) {
    const part = chunk.subarray(b * rows * vocabSize, (b + 1) * rows * vocabSize);
    logits.set(part, (b * pos + start) * vocabSize);
  }
}
