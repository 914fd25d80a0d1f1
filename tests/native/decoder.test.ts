import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hookNames } from '../../src/layers/hook-names.js';
import { CACHE_TYPES } from '../../src/native/cache-pages.js';
import type { Mode } from '../../src/matrix/storage.js';
import type { CacheType, NativeCapture, NativeDecoderSpec, NativeSequence, NativeStep } from '../../src/native/native.js';
import { composed, makePages, makeSpec } from './decoder-support.js';
import { addon, assertNear, assertSameBits, onEachIsa, randoms, room, seed, withoutAddon } from './support.js';

interface StepOptions {
  all?: boolean;
  captures?: NativeCapture[];
  abort?: Int32Array | null;
}

function makeStep(spec: NativeDecoderSpec, ids: Int32Array, sequences: NativeSequence[], options: StepOptions = {}): NativeStep {
  const { all = true, captures = [], abort = null } = options;
  const batch = sequences.length;
  const pos = ids.length / batch;
  const logits = room((all ? ids.length : batch) * spec.vocabSize, 1);
  return { ids, batch, pos, sequences, logits, allLogits: all, captures, abort };
}

/** Asserts that logits are equal but for `relative` of the largest. */
function assertClose(found: Float32Array, expected: Float32Array, relative: number, what: string): void {
  const size = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  assertNear(found, (i) => ({ value: expected[i], size }), relative, what);
}

const randomIds = (count: number, random: () => number) => Int32Array.from({ length: count }, () => Math.floor(random() * 53));

describe('fused decoder', { skip: withoutAddon }, () => {
  test('has the bits of the single kernels at every named point, also over several steps and sequences', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.constantFrom<Mode>('exact', 'fast'), fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 3 }), fc.integer({ min: 1, max: 3 }), fc.constantFrom(...CACHE_TYPES), seed, (packed, mode, steps, batch, type, from) => {
        const spec = makeSpec(from, packed, mode);
        onEachIsa((isa) => {
          const random = randoms(from);
          const decoder = addon().createDecoder(spec);
          const lengths = Array.from({ length: batch }, () => 0);
          const pages = lengths.map(() => [makePages(spec, 200, type), makePages(spec, 200, type)]);
          for (const pos of steps) {
            if (lengths[0] + pos > 190) break;
            const ids = randomIds(batch * pos, random);
            const sequences = (which: number) => lengths.map((length, b) => ({ pages: pages[b][which], length }));
            const expected = composed(addon(), spec, ids, pos, sequences(0));
            const captures = hookNames(2).map((name) => ({ name, values: room(expected.points.get(name)?.length ?? 0, 1) }));
            const step = makeStep(spec, ids, sequences(1), { captures });
            assert.equal(decoder.step(step), true);
            assertSameBits(step.logits, expected.logits, `${isa} logits`);
            for (const { name, values } of captures) {
              const wanted = expected.points.get(name);
              assert(wanted, name);
              assertSameBits(values, wanted, `${isa} ${name}`);
            }
            assert.deepEqual(pages.map(([, b]) => b), pages.map(([a]) => a), `${isa} pages`);
            const plain = makeStep(spec, ids, sequences(1), { all: false });
            decoder.step(plain);
            for (let b = 0; b < batch; b++) {
              const row = (b + 1) * pos - 1;
              // the head multiplies other numbers of rows, so perhaps by another kernel
              assertClose(plain.logits.slice(b * 53, (b + 1) * 53), step.logits.slice(row * 53, (row + 1) * 53), 1e-5, 'last logits');
            }
            lengths.forEach((length, b) => (lengths[b] = length + pos));
            // the sequences part ways: later ones forget some positions
            lengths.forEach((length, b) => (lengths[b] = Math.max(length - 3 * b, 0)));
          }
        });
      }),
      { numRuns: 20 },
    );
  });

  test('prefill, chunks, and one token at a time give the same, alone or in a batch, but for kernels of few and many rows', () => {
    const spec = makeSpec(11, true);
    const ids = randomIds(130, randoms(11));
    onEachIsa((isa) => {
      const decoder = addon().createDecoder(spec);
      const inSteps = (size: number, type: CacheType) => {
        const pages = makePages(spec, 130, type);
        const logits = new Float32Array(130 * 53);
        for (let done = 0; done < 130; done += size) {
          const part = ids.slice(done, done + size);
          const step = makeStep(spec, part, [{ pages, length: done }]);
          decoder.step(step);
          logits.set(step.logits, done * 53);
        }
        return logits;
      };
      for (const type of CACHE_TYPES) {
        const whole = inSteps(130, type);
        // a number that falls on the other side of a rounding moves by a step of its type
        const bound = { f32: 1e-4, f16: 2e-3, int8: 5e-2 }[type];
        for (const size of [1, 13, 64, 100]) assertClose(inSteps(size, type), whole, bound, `${isa}, ${type}, ${size} at a time`);
        assertSameBits(inSteps(65, type), inSteps(44, type), `${isa}, ${type}, in chunks of many rows`);
        assertSameBits(inSteps(2, type), inSteps(5, type), `${isa}, ${type}, in chunks of few rows`);
      }
      const whole = inSteps(130, 'f32');
      const three = [0, 1, 2].map(() => ({ pages: makePages(spec, 130), length: 0 }));
      const batched = makeStep(spec, Int32Array.from({ length: 390 }, (_, i) => ids[i % 130]), three);
      decoder.step(batched);
      for (let b = 0; b < 3; b++) assertSameBits(batched.logits.slice(b * 130 * 53, (b + 1) * 130 * 53), whole, `${isa}, in a batch`);
    });
  });

  test('stepAsync gives the same bits, several at once too, and keeps its arrays', async () => {
    const spec = makeSpec(3, true);
    const decoder = addon().createDecoder(spec);
    const ids = randomIds(40, randoms(3));
    const step = () => makeStep(spec, ids, [{ pages: makePages(spec, 40), length: 0 }]);
    const expected = step();
    decoder.step(expected);
    const steps = Array.from({ length: 8 }, step);
    const running = steps.map((one) => decoder.stepAsync(one));
    const between = step();
    decoder.step(between);
    assert.deepEqual(await Promise.all(running), steps.map(() => true));
    for (const one of [...steps, between]) assertSameBits(one.logits, expected.logits, 'logits');
  });

  test('stops at the abort flag, also one in shared memory', async () => {
    const spec = makeSpec(3, false);
    const decoder = addon().createDecoder(spec);
    const ids = randomIds(4, randoms(3));
    const aborts = [new Int32Array(1), new Int32Array(new SharedArrayBuffer(4))];
    for (const abort of aborts) {
      const step = makeStep(spec, ids, [{ pages: makePages(spec, 4), length: 0 }], { abort });
      assert.equal(decoder.step(step), true);
      abort[0] = 1;
      assert.equal(decoder.step(step), false);
      assert.equal(await decoder.stepAsync(step), false);
    }
  });

  test('refuses wrong steps', async () => {
    const spec = makeSpec(3, true);
    const decoder = addon().createDecoder(spec);
    const pages = makePages(spec, 128);
    const ids = Int32Array.of(1, 2, 3);
    const good = () => makeStep(spec, ids, [{ pages, length: 62 }]);
    assert.equal(decoder.step(good()), true);
    const wrong: [RegExp, Partial<Record<keyof NativeStep, unknown>>][] = [
      [/ids\[1\]: found 53/, { ids: Int32Array.of(1, 53, 3) }],
      [/ids\[0\]: found -1/, { ids: Int32Array.of(-1, 2, 3) }],
      [/length of ids/, { pos: 4 }],
      [/batch: found 0/, { batch: 0 }],
      [/pos: found NaN/, { pos: NaN }],
      [/length of sequences/, { sequences: [] }],
      [/pages: found 1, expected at least 2/, { sequences: [{ pages: pages.slice(0, 1), length: 62 }] }],
      [/pages\[1\]: found Uint16Array, expected as sequences\[0\].pages\[0\]/, { sequences: [{ pages: [pages[0], ...makePages(spec, 64, 'f16')], length: 62 }] }],
      [/pages\[0\]: found Float64Array, expected a Float32Array, Uint16Array or Int8Array/, { sequences: [{ pages: [new Float64Array(3), pages[1]], length: 62 }] }],
      [/pages\[1\]: found 3/, { sequences: [{ pages: [pages[0], new Float32Array(3)], length: 62 }] }],
      [/found 201, expected at most 200/, { sequences: [{ pages, length: 198 }] }],
      [/length: found -1/, { sequences: [{ pages, length: -1 }] }],
      [/length of logits/, { logits: new Float32Array(53) }],
      [/a Float32Array/, { logits: new Float64Array(53) }],
      [/a hook name/, { captures: [{ name: 'hook_embde', values: new Float32Array(1) }] }],
      [/of one of 2 layers/, { captures: [{ name: 'blocks.2.hook_resid_pre', values: new Float32Array(1) }] }],
      [/of one of 2 layers/, { captures: [{ name: 'blocks.01.hook_resid_pre', values: new Float32Array(1) }] }],
      [/a hook name/, { captures: [{ name: 'blocks.0.hook_embed', values: new Float32Array(1) }] }],
      [/a hook name/, { captures: [{ name: 'hook_resid_pre', values: new Float32Array(1) }] }],
      [/length of hook_embed/, { captures: [{ name: 'hook_embed', values: new Float32Array(1) }] }],
      [/true or false/, { allLogits: 1 }],
      [/length of abort/, { abort: new Int32Array(0) }],
    ];
    for (const [message, change] of wrong) {
      const step = { ...good(), ...change } as NativeStep;
      assert.throws(() => decoder.step(step), message);
      await assert.rejects(decoder.stepAsync(step), message);
    }
    assert.equal(decoder.step(good()), true);
  });

  test('refuses wrong specs, and weights that were taken away', () => {
    const spec = makeSpec(3, true);
    const layer = spec.layers[0];
    const wrong: [RegExp, Record<string, unknown>][] = [
      [/kvHeads: found 0/, { kvHeads: 0 }],
      [/heads: found 4, expected a multiple of kvHeads 3/, { kvHeads: 3 }],
      [/dHead: found 9, expected an even/, { dHead: 9 }],
      [/length of cos/, { cos: new Float32Array(3) }],
      [/shape of layers\[0\].q.weight: found \[40, 44\]/, { heads: 8, kvHeads: 4 }],
      [/length of layers/, { layers: [] }],
      [/layers\[0\].q: found null/, { layers: [{ ...layer, q: null }] }],
      [/shape of embedding/, { vocabSize: 52 }],
      [/rmsNormEps/, { rmsNormEps: Infinity }],
    ];
    for (const [message, change] of wrong) {
      assert.throws(() => addon().createDecoder({ ...spec, ...change } as NativeDecoderSpec), message);
    }
    const finalNorm = new Float32Array(spec.finalNorm);
    const decoder = addon().createDecoder({ ...spec, finalNorm });
    const step = makeStep(spec, Int32Array.of(1), [{ pages: makePages(spec, 1), length: 0 }]);
    assert.equal(decoder.step(step), true);
    structuredClone(finalNorm.buffer, { transfer: [finalNorm.buffer] });
    assert.throws(() => decoder.step(step), /detached/);
    assert.throws(() => Reflect.apply(decoder.step, {}, [step]), TypeError);
  });
});
