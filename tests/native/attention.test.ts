import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CACHE_TYPES, makePage, roundRows, writeRow } from '../../src/native/cache-pages.js';
import { PAGE_POSITIONS, type AttentionSizes, type CacheType, type Past } from '../../src/native/native.js';
import { asFloats, cached, longest, mixOf, scoresOf, softmaxOf } from './attention-support.js';
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
    group: fc.constantFrom(1, 2, 3, 4, 5, 8, 17, 34),
    dHead: fc.constantFrom(1, 2, 6, 8, 15, 16, 32, 40, 65, 128),
    layers: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ group, ...rest }): AttentionSizes => ({ ...rest, heads: rest.kvHeads * group }));
const cacheType = fc.constantFrom(...CACHE_TYPES);
const pastLengths = fc.array(fc.constantFrom(0, 1, 5, 63, 64, 65, 130), { minLength: 3, maxLength: 3 });

interface Call {
  sizes: AttentionSizes;
  past: Past;
  q: Float32Array;
  k: Float32Array;
  v: Float32Array;
  keys: number;
}

function makeCall(sizes: AttentionSizes, lengths: number[] | null, from: number, by: number, type?: CacheType): Call {
  const random = randoms(from);
  const { batch, pos, heads, kvHeads, dHead, layers } = sizes;
  const past = lengths && Array.from({ length: batch }, (_, b) => cached(sizes, lengths[b], layers - 1, random, type));
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

/** Rows [.., dHead] as a cache of the type gives them back. */
function rounded(type: CacheType, x: Float32Array, dHead: number): Float32Array {
  const y = room(x.length);
  roundRows(type, x, dHead, y);
  return y;
}

function joined({ sizes, past, q, k, v }: Call): Float32Array {
  const z = room(q.length, 2);
  addon().attention(q, k, v, sizes, past, SCALE, z);
  return z;
}

describe('attention', { skip: withoutAddon }, () => {
  test('scores, pattern and mix are those of float64 loops; joined it has the same bits', () => {
    fc.assert(
      fc.property(sizesOf, fc.option(pastLengths), cacheType, seed, shift, (sizes, lengths, type, from, by) => {
        const call = makeCall(sizes, lengths, from, by, type);
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
        fc.property(fc.integer({ min: 1, max: 150 }), fc.constantFrom(8, 30, 64), cacheType, seed, (pos, dHead, type, from) => {
          const sizes: AttentionSizes = { batch: 1, pos, heads: 4, kvHeads: 2, dHead, layers: 1 };
          const exact = makeCall(sizes, null, from, 0);
          const whole = { ...exact, k: rounded(type, exact.k, dHead), v: rounded(type, exact.v, dHead) };
          const pages = [0, 1, 2].map(() => makePage(type, sizes));
          for (let row = 0; row < 2 * pos; row++) {
            const [page, slot] = [pages[Math.floor(row / 2 / PAGE_POSITIONS)], Math.floor(row / 2) % PAGE_POSITIONS];
            const at = [row * dHead, (row + 1) * dHead] as const;
            writeRow(page, sizes, { layer: 0, kind: 0, kvHead: row % 2, slot }, exact.k.subarray(...at));
            writeRow(page, sizes, { layer: 0, kind: 1, kvHead: row % 2, slot }, exact.v.subarray(...at));
          }
          onEachIsa((isa) => {
            addon().setThreads(1);
            const z = joined(whole);
            for (const count of [2, 3, 4]) {
              addon().setThreads(count);
              assertSameBits(joined(whole), z, `${isa}, ${count} threads`);
            }
            for (const t of [0, Math.floor(pos / 2), pos - 1]) {
              const part = (of: Float32Array, width: number) => of.slice(t * width, (t + 1) * width);
              const [k, v] = [whole.k, whole.v].map((rows) => part(rows, 2 * dHead));
              const past = [{ pages, length: t, layer: 0 }];
              const single = { sizes: { ...sizes, pos: 1 }, past, q: part(whole.q, 4 * dHead), k, v, keys: t + 1 };
              assertSameBits(joined(single), part(z, 4 * dHead), `${isa}, position ${t} alone`);
            }
          });
        }),
        { numRuns: 40 },
      );
    } finally {
      addon().setThreads(threads);
    }
  });

  test('over long pasts, whose chunks threads share, it has the bits of its parts on any threads', () => {
    const { threads } = addon().info();
    const long = fc.array(fc.constantFrom(5, 1022, 1023, 1024, 1025, 2047, 2048, 2100), { minLength: 2, maxLength: 2 });
    try {
      fc.assert(
        fc.property(fc.constantFrom(1, 3), fc.constantFrom(1, 3, 35), long, cacheType, seed, (kvHeads, group, lengths, type, from) => {
          const sizes: AttentionSizes = { batch: 2, pos: 1, heads: kvHeads * group, kvHeads, dHead: 12, layers: 2 };
          const call = makeCall(sizes, lengths, from, 1, type);
          const floatPast = asFloats(call.past, sizes);
          const expected = mixOf(softmaxOf(scoresOf(call.q, call.k, sizes, floatPast, SCALE), call.keys), call.v, sizes, floatPast);
          onEachIsa((isa) => {
            const { z } = inParts(call);
            assertNear(z, (i) => ({ value: expected[i], size: 1 }), 1e-5, isa);
            for (const count of [1, 2, 3, 4]) {
              addon().setThreads(count);
              assertSameBits(joined(call), z, `${isa}, ${count} threads`);
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
      fc.property(sizesOf, pastLengths, cacheType, seed, (sizes, lengths, type, from) => {
        const call = makeCall(sizes, lengths, from, 0, type);
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
