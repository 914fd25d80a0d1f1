import { tensor, type Tensor } from '@tensorflow/tfjs-core';
import { ContextFullError, nearest, OptionError, ShapeError, UnknownNameError } from '../base/errors.js';
import { breather } from '../base/event-loop.js';
import { hookNames, type HookName } from '../layers/hook-names.js';
import type { Tap } from '../layers/tap.js';
import type { KVCache } from '../model/kv-cache.js';
import type { ModelDecoder } from '../model/model-decoder.js';
import { queued } from '../model/run-queue.js';
import { tensorValues } from '../ops/index.js';
import { ActivationCache } from './activations.js';
import { Capture } from './capture.js';
import type { Hook, HookSelector, RunOptions } from './run-options.js';

/** What a pass over whole sequences gave. */
export interface RunOutput {
  /** [batch, pos, vocab] */
  readonly logits: Float32Array;
  readonly activations: ActivationCache;
  readonly path: 'fused' | 'composed';
}

/**
 * Runs sequences of equal length [batch][pos] from an empty cache and keeps what was asked for. Both ways give the same
 * bits where the addon is loaded.
 */
export async function run(
  decoder: ModelDecoder,
  sequences: readonly Int32Array[],
  { capture: selector = [], hooks = {}, path, signal, onProgress }: RunOptions = {},
): Promise<RunOutput> {
  const pos = checkSequences(decoder, sequences);
  const { config } = decoder.weights;
  const known = hookNames(config.numHiddenLayers);
  const replaced = Object.keys(hooks) as HookName[];
  for (const name of replaced) checkName(name, known);
  const capture = new Capture(config, select(selector, known), sequences.length, pos);
  const way = chooseWay(decoder, path, replaced.length > 0);
  const chunkRows = replaced.length > 0 ? pos : way === 'fused' ? decoder.chunkRows : decoder.composedRows;
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
      const values = way === 'fused' ? await fusedChunk(decoder, capture, chunk) : await composedChunk(decoder, capture, hooks, chunk);
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

async function fusedChunk(decoder: ModelDecoder, capture: Capture, chunk: Chunk): Promise<Float32Array> {
  const captures = capture.names.map((name) => ({ name, values: capture.chunkArray(name, chunk.start, chunk.pos) }));
  if (!decoder.fused) throw new OptionError({ thing: 'path', found: 'fused', expected: 'composed without the addon' });
  const logits = await decoder.fused.forward({ ...chunk, logits: 'all', captures });
  for (const { name, values } of captures) capture.store(name, values, chunk.start, chunk.pos);
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

function chooseWay(decoder: ModelDecoder, path: RunOptions['path'], replaces: boolean): 'fused' | 'composed' {
  if (path === 'fused' && (replaces || !decoder.fused)) {
    throw new OptionError({
      thing: 'path',
      found: 'fused',
      expected: replaces ? 'composed: hooks need it' : 'composed: the native addon is not loaded',
    });
  }
  return replaces || !decoder.fused ? 'composed' : (path ?? 'fused');
}

function checkSequences(decoder: ModelDecoder, sequences: readonly Int32Array[]): number {
  const pos = sequences[0]?.length ?? 0;
  if (sequences.length === 0 || sequences.some((ids) => ids.length !== pos)) {
    throw new ShapeError({
      thing: 'lengths of the sequences of one run',
      found: sequences.map((ids) => ids.length),
      expected: 'at least one, all equal (run unequal ones apart)',
    });
  }
  for (const ids of sequences) decoder.checkIds(ids);
  if (pos > decoder.contextLength) {
    throw new ContextFullError({ thing: 'positions', found: pos, expected: `at most ${decoder.contextLength}` });
  }
  return pos;
}

function checkName(name: HookName, known: readonly HookName[]): void {
  if (known.includes(name)) return;
  throw new UnknownNameError({ thing: 'hook name', found: name, expected: `such as ${nearest(name, known).join(', ')}` });
}

function select(selector: HookSelector, known: readonly HookName[]): HookName[] {
  if (selector === 'all') return [...known];
  if (typeof selector === 'function') return known.filter(selector);
  const names = typeof selector === 'string' ? [selector] : selector;
  for (const name of names) checkName(name, known);
  return known.filter((name) => names.includes(name));
}

function concatenate(parts: readonly Int32Array[]): Int32Array {
  const whole = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
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
