import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import type { NativeDecoderSpec, NativeStep } from '../../src/native/native.js';
import { makePages, makeSpec } from './decoder-support.js';
import { addon, assertSameBits, denseMatrix, floats, packedMatrix, randoms, room, withoutAddon } from './support.js';

const random = randoms(1);
const packed = () => packedMatrix({ outFeatures: 5, inFeatures: 40, groupSize: 32, rule: 'zeros', half: true }, random);
const offset = () => packedMatrix({ outFeatures: 5, inFeatures: 40, groupSize: 32, rule: 'offsets', half: false }, random);
const dense = () => denseMatrix('f16', 5, 40, random);
const some = (count: number) => floats(count, random);
const sizes = (layers = 1) => ({ batch: 2, pos: 3, heads: 4, kvHeads: 2, dHead: 6, layers });
/** Two sequences that hold 2 and 1 positions in layer 1 of 2. */
const past = () => [2, 1].map((length) => ({ pages: [some(2 * 2 * 2 * 64 * 6)], length, layer: 1 }));

/** Arguments that each function of the addon takes. */
const calls: Record<string, () => unknown[]> = {
  matmul: () => [some(80), 2, packed(), some(5), 'exact', room(10)],
  matmulGradient: () => [some(10), 2, offset(), room(80)],
  embedding: () => [Int32Array.of(4, 0), dense(), room(80)],
  rmsNormScale: () => [some(14), 2, 1e-5, room(2)],
  divideRows: () => [some(15), some(3), room(15)],
  multiplyColumns: () => [some(14), some(7), room(14)],
  rmsNorm: () => [some(14), 2, some(7), 1e-5, room(14)],
  rmsNormGradient: () => [some(14), 2, some(7), 1e-5, some(14), room(14)],
  rope: () => [some(24), 2, 4, Int32Array.of(0, 1, 2), some(6), some(6), 1, room(24)],
  attentionScores: () => [some(144), some(72), sizes(2), past(), 0.3, room(2 * 4 * 3 * 5)],
  attentionScoresGradient: () => [some(72), some(144), some(72), sizes(), 0.3, room(144), room(72)],
  softmax: () => [some(14), 7, room(14)],
  softmaxGradient: () => [some(14), 7, some(14), room(14)],
  attentionMix: () => [some(2 * 4 * 3 * 5), some(72), sizes(2), past(), room(144)],
  attentionMixGradient: () => [some(144), some(72), some(72), sizes(), room(72), room(72)],
  attention: () => [some(144), some(72), some(72), sizes(2), past(), 0.3, room(144)],
  swiglu: () => [some(7), some(7), room(7)],
  swigluGradient: () => [some(7), some(7), some(7), room(7), room(7)],
  add: () => [some(7), some(7), room(7)],
  allFinite: () => [some(7)],
  largest: () => [some(7), new Int32Array(7)],
  weightSums: () => [some(300), 1, 0.5, new Float64Array(2)],
  sumBlocks: () => [new Int32Array(33), 11, new Int32Array(3)],
  createDecoder: () => [makeSpec(2, true)],
};

const call = (name: string, args: unknown[]): unknown => Reflect.apply(Reflect.get(addon(), name), addon(), args);

type TypedArray = Float32Array | Float64Array | Uint16Array | Uint8Array | Int32Array;
const isTyped = (value: unknown): value is TypedArray => ArrayBuffer.isView(value);

/** Takes an array's memory away, as a transfer to a worker does. */
function detach<T extends TypedArray>(array: T): T {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] });
  return array;
}

const resizable = (array: TypedArray): TypedArray => {
  const buffer: ArrayBuffer = Reflect.construct(ArrayBuffer, [array.byteLength, { maxByteLength: array.byteLength }]);
  const copy: TypedArray = Reflect.construct(array.constructor, [buffer]);
  copy.set(array);
  return copy;
};

/** Values that cannot stand where a good one does. */
function wrongFor(good: unknown): unknown[] {
  const kinds = ['word', true, 1n, Symbol('s'), () => 0, undefined, new DataView(new ArrayBuffer(8))];
  if (isTyped(good)) {
    const Kind = good.constructor as { new (length: number): TypedArray };
    const lengths = [new Kind(good.length + 1), good.slice(1), new Kind(0), detach(good.slice())];
    const others = [Float64Array, Int8Array].filter((Other) => Other !== good.constructor);
    return [...kinds, 3, {}, ...others.map((Other) => new Other(good.length)), Array.from(good), ...lengths];
  }
  if (typeof good === 'number') return [...kinds, null, {}, [], NaN, Infinity, 2 ** 130, '1', new Float32Array(1)];
  if (typeof good === 'string') return ['word', 1, null, undefined, {}];
  return [...kinds.slice(0, -1), 3];
}

/** Names of the parts that may be absent. */
const OPTIONAL = new Set(['bias', 'zeros', 'offsets', 'past']);
const optionalArguments: Record<string, number[]> = { matmul: [3], attentionScores: [3], attentionMix: [3], attention: [4] };

/** Arrays of which each function takes several lengths. */
const anyLength: Record<string, number[]> = { allFinite: [0], largest: [0, 1], weightSums: [0] };

/** A deep copy with one part replaced, for each part and each wrong value, with the part's path. */
function* mutations(good: unknown, path: string, optional: boolean): Generator<{ path: string; value: unknown }> {
  if (good === null) return;
  for (const value of wrongFor(good)) if (!(optional && value === undefined)) yield { path, value };
  if (isTyped(good) || typeof good !== 'object') return;
  for (const [key, part] of Object.entries(good)) {
    for (const { path: at, value } of mutations(part, `${path}.${key}`, OPTIONAL.has(key))) {
      yield { path: at, value: Object.assign(Array.isArray(good) ? [...good] : { ...good }, { [key]: value }) };
    }
  }
}

const isRefusal = (error: unknown): boolean => error instanceof TypeError || error instanceof RangeError;

describe('arguments of the addon', { skip: withoutAddon }, () => {
  test('every function takes good ones, and refuses each wrong part with a TypeError or RangeError', () => {
    const untested = new Set(['info', 'setThreads', 'setIsa', 'mapFile', 'allocate', 'interface']);
    assert.deepEqual(Object.keys(addon()).filter((name) => !untested.has(name)).sort(), Object.keys(calls).sort());
    for (const [name, make] of Object.entries(calls)) {
      const args = make();
      call(name, args);
      args.forEach((good, i) => {
        for (const { path, value } of mutations(good, `argument ${i}`, optionalArguments[name]?.includes(i) ?? false)) {
          const isOfLength = isTyped(value) && isTyped(good) && value.constructor === good.constructor && value.length > 0;
          if (isOfLength && anyLength[name]?.includes(i)) continue;
          assert.throws(() => call(name, args.with(i, value)), isRefusal, `${name}, ${path}`);
        }
        assert.throws(() => call(name, args.slice(0, i)), isRefusal, `${name} with ${i} arguments`);
      });
    }
  });

  test('sizes whose product overflows are refused', () => {
    const big = 2 ** 33;
    const none = new Float32Array(0);
    const w = { ...dense(), outFeatures: big, inFeatures: big };
    assert.throws(() => addon().matmul(none, 0, w, null, 'exact', none), RangeError);
    const huge = { ...packed(), outFeatures: 2 ** 52, inFeatures: 2 ** 52 };
    assert.throws(() => addon().matmul(none, 0, huge, null, 'exact', none), RangeError);
    assert.throws(() => addon().matmul(none, 2 ** 52, packed(), null, 'exact', none), RangeError);
    const wide = { batch: big, pos: big, heads: 1, kvHeads: 1, dHead: 1, layers: 1 };
    assert.throws(() => addon().attention(none, none, none, wide, null, 1, none), RangeError);
    assert.throws(() => addon().attention(none, none, none, { ...wide, layers: big, kvHeads: big, heads: big }, null, 1, none), RangeError);
  });

  test('a list of holes is refused before anything of its length is made', () => {
    const pages = Object.assign([], { length: 2 ** 32 - 1 });
    const length = (2 ** 32 - 1) * 64;
    const one = { batch: 1, pos: 1, heads: 1, kvHeads: 1, dHead: 2, layers: 1 };
    const call = () => addon().attention(some(2), some(2), some(2), one, [{ pages, length, layer: 0 }], 1, room(2));
    assert.throws(call, /pages\[0\]: found undefined/);
  });

  test('what a getter takes away is missed', () => {
    const w = packed();
    const sly = Object.defineProperty({ ...w }, 'offsets', { get: () => (detach(w.codes), null) });
    assert.throws(() => addon().matmul(some(40), 1, sly, null, 'exact', room(5)), /length of w.codes: found 0/);

    const [first, second] = past();
    const entry = { ...second, get pages() { return detach(first.pages[0]), second.pages; } }; // prettier-ignore
    const scores = () => addon().attentionScores(some(144), some(72), sizes(2), [first, entry], 1, room(120));
    assert.throws(scores, /length of past\[0\].pages\[0\]: found 0/);

    const { decoder, step } = decoding();
    const logits = step.logits;
    const slyStep = Object.defineProperty({ ...step }, 'captures', { get: () => (detach(logits), []) });
    assert.throws(() => decoder.step(slyStep), /buffer of the step: found detached/);
  });

  test('a decoder takes no array whose memory can shrink under it', async () => {
    const { spec, decoder, step } = decoding();
    const finalNorm = resizable(spec.finalNorm) as Float32Array;
    assert.throws(() => addon().createDecoder({ ...spec, finalNorm }), /buffer of finalNorm: found resizable/);
    const logits = resizable(step.logits) as Float32Array;
    await assert.rejects(decoder.stepAsync({ ...step, logits }), /buffer of logits: found resizable/);
    assert.throws(() => decoder.step({ ...step, logits }), /buffer of logits: found resizable/);
  });

  test('ids that change after a call do not reach it', async () => {
    const { decoder, step } = decoding();
    decoder.step(step);
    const again = { ...step, ids: step.ids.slice(), logits: room(step.logits.length) };
    const running = decoder.stepAsync(again);
    again.ids.fill(2 ** 30);
    assert.equal(await running, true);
    assertSameBits(again.logits, step.logits, 'logits');
  });

  test('arrays in shared memory do', () => {
    const { decoder, step } = decoding();
    decoder.step(step);
    const shared = new Float32Array(new SharedArrayBuffer(step.logits.byteLength));
    const ids = new Int32Array(new SharedArrayBuffer(step.ids.byteLength));
    ids.set(step.ids);
    decoder.step({ ...step, ids, logits: shared });
    assertSameBits(shared, step.logits, 'logits');
  });
});

function decoding(): { spec: NativeDecoderSpec; decoder: ReturnType<ReturnType<typeof addon>['createDecoder']>; step: NativeStep } {
  const spec = makeSpec(2, true);
  const ids = Int32Array.of(1, 2, 3);
  const sequences = [{ pages: makePages(spec, 3), length: 0 }];
  const step = { ids, batch: 1, pos: 3, sequences, logits: room(53), allLogits: false, captures: [], abort: null };
  return { spec, decoder: addon().createDecoder(spec), step };
}
