import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { PAGE_POSITIONS, type NativeDecoderSpec, type NativeStep } from '../../src/native/native.js';
import { denseMatrix, floats, packedMatrix, randoms } from './support.js';

/** Layers of a long decoder: a step takes tens of seconds, and 4 MB of cache. */
const LONG_LAYERS = 4000;

/** A decoder of many layers that share their weights. */
export function longSpec(layers = LONG_LAYERS): NativeDecoderSpec {
  const random = randoms(1);
  const [dModel, dHead, dFf, vocabSize, contextLength] = [64, 2, 16384, 8, PAGE_POSITIONS];
  const linear = (outFeatures: number, inFeatures: number) => ({
    weight: packedMatrix({ outFeatures, inFeatures, groupSize: 64, rule: 'middle', half: false }, random),
    bias: null,
  });
  const layer = {
    inputNorm: floats(dModel, random),
    q: linear(dHead, dModel),
    k: linear(dHead, dModel),
    v: linear(dHead, dModel),
    o: linear(dModel, dHead),
    postAttentionNorm: floats(dModel, random),
    gate: linear(dFf, dModel),
    up: linear(dFf, dModel),
    down: linear(dModel, dFf),
  };
  return {
    ...{ dModel, heads: 1, kvHeads: 1, dHead, dFf, vocabSize, contextLength },
    rmsNormEps: 1e-5,
    attentionScale: 1,
    mode: 'exact',
    embedding: denseMatrix('f32', vocabSize, dModel, random),
    layers: Array.from({ length: layers }, () => layer),
    finalNorm: floats(dModel, random),
    lmHead: linear(vocabSize, dModel),
    cos: floats((contextLength * dHead) / 2, random),
    sin: floats((contextLength * dHead) / 2, random),
  };
}

/** A page of a long decoder, in shared memory; what belongs to a layer lies together, in the order of layers. */
export const longPage = (layers = LONG_LAYERS): Float32Array =>
  new Float32Array(new SharedArrayBuffer(layers * 2 * PAGE_POSITIONS * 2 * 4));

export function longStep(page: Float32Array, abort: Int32Array | null = null): NativeStep {
  const ids = new Int32Array(PAGE_POSITIONS).fill(1);
  const logits = new Float32Array(8);
  const sequences = [{ pages: [page], length: 0 }];
  return { ids, batch: 1, pos: PAGE_POSITIONS, sequences, logits, allLogits: false, captures: [], abort };
}

/** Whether a step has begun to write its page, and whether it came to its last layer. */
export const hasBegun = (page: Float32Array): boolean => page.subarray(0, 128).some((value) => value !== 0);
export const hasEnded = (page: Float32Array): boolean => page.subarray(-256).some((value) => value !== 0);

/** A matrix product of some milliseconds, the same in every thread. */
export function product() {
  const random = randoms(7);
  const w = packedMatrix({ outFeatures: 2048, inFeatures: 1024, groupSize: 128, rule: 'zeros', half: true }, random);
  const x = floats(16 * 1024, random);
  return { w, x, rows: 16 };
}

/** What `lifetimes-worker.ts` is asked to do. */
export interface Task {
  readonly kind: 'product once' | 'products for ever' | 'long step';
  /** Of the long step, in shared memory. */
  readonly page?: Float32Array;
}

const script = JSON.stringify(new URL('./lifetimes-worker.ts', import.meta.url).href);
/** In workers of Node 20 the tsx of `--import tsx` does not see to imports. */
const START = `import(${JSON.stringify(import.meta.resolve('tsx/esm/api'))}).then(({ tsImport }) => tsImport(${script}, ${script}))`;

/** A worker that has begun its task, and the message it then sent. */
export async function worker(task: Task): Promise<{ thread: Worker; message: unknown }> {
  const thread = new Worker(START, { eval: true, workerData: task });
  const [message] = await once(thread, 'message');
  return { thread, message };
}
