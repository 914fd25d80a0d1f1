import { describe, test } from 'node:test';
import fc from 'fast-check';
import { PAGE_POSITIONS, type AttentionSizes, type Past } from '../../src/native/native.js';
import { cached, longest, mixOf, scoresOf, softmaxOf } from './attention-support.js';
import {
  addon,
  assertNear,
  assertSameBits,
  floats,
  inner,
  onEachIsa,
  randoms,
  room,
  seed,
  shift,
  withoutAddon,
} from './support.js';

const SCALE = 0.35;

const sizesOf = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    pos: fc.integer({ min: 1, max: 9 }),
    kvHeads: fc.integer({ min: 1, max: 3 }),
    group: fc.integer({ min: 1, max: 3 }),
    dHead: fc.constantFrom(1, 2, 6, 8, 15, 16, 32, 40, 65, 128),
    layers: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ group, ...rest }): AttentionSizes => ({ ...rest, heads: rest.kvHeads * group }));
const pastLengths = fc.array(fc.constantFrom(0, 1, 5, 63, 64, 65, 130), { minLength: 3, maxLength: 3 });

interface Call {
  sizes: AttentionSizes;
  past: Past;
  q: Float32Array;
  k: Float32Array;
  v: Float32Array;
  keys: number;
}

function makeCall(sizes: AttentionSizes, lengths: number[] | null, from: number, by: number): Call {
  const random = randoms(from);
  const { batch, pos, heads, kvHeads, dHead, layers } = sizes;
  const past = lengths && Array.from({ length: batch }, (_, b) => cached(sizes, lengths[b], layers - 1, random));
  const rows = batch * pos;
  const [k, v] = [floats(rows * kvHeads * dHead, random, by), floats(rows * kvHeads * dHead, random, by)];
  return { sizes, past, q: floats(rows * heads * dHead, random, by), k, v, keys: pos + longest(past) };
}

/** Scores, pattern and z from the three kernels. */
function inParts({ sizes, past, q, k, v, keys }: Call) {
  const count = sizes.batch * sizes.heads * sizes.pos * keys;
  const [scores, pattern, z] = [room(count, 1), room(count, 1), room(q.length, 1)];
  addon().attentionScores(q, k, sizes, past, SCALE, scores);
  addon().softmax(scores, keys, pattern);
  addon().attentionMix(pattern, v, sizes, past, z);
  return { scores, pattern, z };
}

function joined({ sizes, past, q, k, v }: Call): Float32Array {
  const z = room(q.length, 2);
  addon().attention(q, k, v, sizes, past, SCALE, z);
  return z;
}

describe('attention', { skip: withoutAddon }, () => {
  test('scores, pattern and mix are those of float64 loops; joined it has the same bits', () => {
    fc.assert(
      fc.property(sizesOf, fc.option(pastLengths), seed, shift, (sizes, lengths, from, by) => {
        const call = makeCall(sizes, lengths, from, by);
        const expectedScores = scoresOf(call.q, call.k, sizes, call.past, SCALE);
        const expectedPattern = softmaxOf(expectedScores, call.keys);
        const expectedZ = mixOf(expectedPattern, call.v, sizes, call.past);
        onEachIsa((isa) => {
          const { scores, pattern, z } = inParts(call);
          scores.forEach((value, i) => {
            if (expectedScores[i] === -Infinity && value !== -Infinity) throw new Error(`${isa}: ${value} at ${i} is not masked`);
          });
          const seen = (i: number) => expectedScores[i] !== -Infinity;
          assertNear(scores.map((value, i) => (seen(i) ? value : 0)), (i) => ({ value: seen(i) ? expectedScores[i] : 0, size: 2 + sizes.dHead / 4 }), 1e-6, isa);
          assertNear(pattern, (i) => ({ value: expectedPattern[i], size: 1 }), 1e-5, isa);
          assertNear(z, (i) => ({ value: expectedZ[i], size: 1 }), 1e-5, isa);
          assertSameBits(joined(call), z, isa);
        });
      }),
      { numRuns: 60 },
    );
  });

  test('gives a position the same bits wherever its keys lie and whatever else is in the call, on any threads', () => {
    const { threads } = addon().info();
    try {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 150 }), fc.constantFrom(8, 30, 64), seed, (pos, dHead, from) => {
          const sizes: AttentionSizes = { batch: 1, pos, heads: 4, kvHeads: 2, dHead, layers: 1 };
          const whole = makeCall(sizes, null, from, 0);
          onEachIsa((isa) => {
            addon().setThreads(1);
            const z = joined(whole);
            for (const count of [2, 3]) {
              addon().setThreads(count);
              assertSameBits(joined(whole), z, `${isa}, ${count} threads`);
            }
            const rowFloats = 2 * dHead;
            const pages = [0, 1, 2].map(() => new Float32Array(2 * rowFloats * PAGE_POSITIONS).fill(1e9));
            whole.k.forEach((value, i) => pages[pageOf(i)].set([value], placeOf(0, i)));
            whole.v.forEach((value, i) => pages[pageOf(i)].set([value], placeOf(1, i)));
            for (const t of [0, Math.floor(pos / 2), pos - 1]) {
              const one = { ...sizes, pos: 1 };
              const part = (of: Float32Array, width: number) => of.slice(t * width, (t + 1) * width);
              const past = [{ pages, length: t, layer: 0 }];
              const single = { sizes: one, past, q: part(whole.q, 4 * dHead), k: part(whole.k, rowFloats), v: part(whole.v, rowFloats), keys: t + 1 };
              assertSameBits(joined(single), part(z, 4 * dHead), `${isa}, position ${t} alone`);
            }
            function pageOf(i: number): number {
              return Math.floor(i / rowFloats / PAGE_POSITIONS);
            }
            function placeOf(kind: number, i: number): number {
              const [position, head, d] = [Math.floor(i / rowFloats), Math.floor(i / dHead) % 2, i % dHead];
              return ((kind * 2 + head) * PAGE_POSITIONS + (position % PAGE_POSITIONS)) * dHead + d;
            }
          });
        }),
        { numRuns: 25 },
      );
    } finally {
      addon().setThreads(threads);
    }
  });

  test('sequences of unequal past have the bits they have alone', () => {
    fc.assert(
      fc.property(sizesOf, pastLengths, seed, (sizes, lengths, from) => {
        const call = makeCall(sizes, lengths, from, 0);
        onEachIsa((isa) => {
          const z = joined(call);
          const part = (of: Float32Array, b: number) => of.slice((b * of.length) / sizes.batch, ((b + 1) * of.length) / sizes.batch);
          for (let b = 0; b < sizes.batch; b++) {
            const past = call.past && [call.past[b]];
            const [q, k, v] = [call.q, call.k, call.v].map((of) => part(of, b));
            const alone = { sizes: { ...sizes, batch: 1 }, past, q, k, v, keys: sizes.pos + longest(past) };
            assertSameBits(joined(alone), part(z, b), isa);
          }
        });
      }),
      { numRuns: 40 },
    );
  });

  test('its gradients are adjoint to it: ⟨dy, A·x⟩ = ⟨Aᵀ·dy, x⟩ in each argument', () => {
    fc.assert(
      fc.property(sizesOf, seed, shift, (sizes, from, by) => {
        const call = makeCall(sizes, null, from, by);
        const random = randoms(from + 1);
        const count = sizes.batch * sizes.heads * sizes.pos * sizes.pos;
        const dscores = floats(count, random, by);
        const pattern = floats(count, random, by);
        const dz = floats(call.q.length, random, by);
        onEachIsa((isa) => {
          const equal = (a: number, b: number, what: string) =>
            assertNear(Float32Array.of(a), () => ({ value: b, size: Math.sqrt(count * sizes.dHead) }), 1e-5, `${what} on ${isa}`);
          const [dq, dk] = [room(call.q.length, by), room(call.k.length)];
          addon().attentionScoresGradient(dscores, call.q, call.k, sizes, SCALE, dq, dk);
          const scores = scoresOf(call.q, call.k, sizes, null, SCALE);
          const along = dscores.reduce((sum, value, i) => sum + (scores[i] === -Infinity ? 0 : value * scores[i]), 0);
          equal(inner(dq, call.q), along, 'dq');
          equal(inner(dk, call.k), along, 'dk');
          const [dpattern, dv] = [room(count, by), room(call.v.length)];
          addon().attentionMixGradient(dz, pattern, call.v, sizes, dpattern, dv);
          const z = Float32Array.from(mixOf(Float64Array.from(pattern), call.v, sizes, null));
          equal(inner(dpattern, pattern), inner(dz, z), 'dpattern');
          equal(inner(dv, call.v), inner(dz, z), 'dv');
        });
      }),
      { numRuns: 60 },
    );
  });
});
