import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ContextFullError, OptionError, ShapeError, UnknownNameError } from '../../src/base/errors.js';
import { hookNames, type HookName } from '../../src/layers/hook-names.js';
import { run } from '../../src/lens/run.js';
import type { HookSelector } from '../../src/lens/run-options.js';
import type { ModelDecoder } from '../../src/model/model-decoder.js';
import { native } from '../../src/native/native.js';
import { assertSameBits } from '../native/support.js';
import { anyDecoder, assertSameNumbers, smallDecoder, someIds } from './support.js';

const PATHS = native() ? (['fused', 'composed'] as const) : (['composed'] as const);
const decoder = smallDecoder();
const names = hookNames(2);
const ids = someIds(1, 9);

const idsFor = ({ vocabSize }: ModelDecoder, seed: number, count: number): Int32Array =>
  someIds(seed, count, vocabSize);

/** Shapes that hooks see at all points: those of the tensors themselves. */
async function tensorShapes(
  of: ModelDecoder,
  sequences: readonly Int32Array[],
): Promise<Map<HookName, readonly number[]>> {
  const shapes = new Map<HookName, readonly number[]>();
  const see = ({ name, shape }: { name: HookName; shape: readonly number[] }) => void shapes.set(name, shape);
  await run(of, sequences, {
    hooks: Object.fromEntries(hookNames(of.weights.layers.length).map((name) => [name, see])),
  });
  return shapes;
}

for (const path of PATHS) {
  describe(`capture on the ${path} path`, () => {
    test('keeps the points that a selector means, in the order of a pass', async () => {
      const captured = async (capture?: HookSelector) =>
        (await run(decoder, [ids], { path, capture })).activations.names;
      assert.deepEqual(await captured(), []);
      assert.deepEqual(await captured([]), []);
      assert.deepEqual(await captured('all'), names);
      assert.deepEqual(await captured('blocks.1.attn.hook_pattern'), ['blocks.1.attn.hook_pattern']);
      assert.deepEqual(await captured(['unembed.hook_in', 'hook_embed', 'hook_embed']), [
        'hook_embed',
        'unembed.hook_in',
      ]);
      const patterns = await captured((name) => name.endsWith('hook_pattern'));
      assert.deepEqual(patterns, ['blocks.0.attn.hook_pattern', 'blocks.1.attn.hook_pattern']);
    });

    test('gives a point the same bits alone and among all', async () => {
      const { activations: all } = await run(decoder, [ids], { path, capture: 'all' });
      for (const { name, values, shape } of all) {
        const alone = (await run(decoder, [ids], { path, capture: name })).activations.get(name);
        assert.deepEqual(alone.shape, shape);
        assertSameBits(alone.values, values, name);
      }
    });

    test('shapes are those of the tensors, over random models', async () => {
      await fc.assert(
        fc.asyncProperty(
          anyDecoder,
          fc.integer({ min: 1, max: 3 }),
          fc.integer({ min: 1, max: 9 }),
          async (of, batch, pos) => {
            const sequences = Array.from({ length: batch }, (_, b) => idsFor(of, b, pos));
            const shapes = await tensorShapes(of, sequences);
            const { activations } = await run(of, sequences, { path, capture: 'all' });
            assert.deepEqual([...shapes.keys()].sort(), [...activations.names].sort());
            for (const { name, shape, values } of activations) {
              assert.deepEqual(shape, shapes.get(name), name);
              assert.equal(
                values.length,
                shape.reduce((a, b) => a * b),
                name,
              );
            }
          },
        ),
        { numRuns: 10 },
      );
    });

    test('the last point is the logits', async () => {
      const { logits, activations } = await run(decoder, [ids], { path, capture: 'unembed.hook_out' });
      assertSameBits(activations.get('unembed.hook_out').values, logits, 'logits');
    });

    test('a batch has the numbers of its sequences alone', async () => {
      const sequences = [ids, someIds(2, 9), someIds(3, 9)];
      const batch = await run(decoder, sequences, { path, capture: 'all' });
      for (const [b, sequence] of sequences.entries()) {
        const alone = await run(decoder, [sequence], { path, capture: 'all' });
        const part = (of: Float32Array) => of.slice((b * of.length) / 3, ((b + 1) * of.length) / 3);
        assertSameBits(part(batch.logits), alone.logits, `logits of ${b}`);
        for (const { name, values, shape } of batch.activations) {
          assertSameBits(part(values), alone.activations.get(name).values, `${name} of ${b}`);
          assert.deepEqual(shape, [3, ...alone.activations.get(name).shape.slice(1)]);
        }
      }
    });

    test('in chunks of positions has the numbers of one piece', async () => {
      const long = [someIds(4, 300), someIds(5, 300)];
      const steps: number[] = [];
      const chunked = await run(decoder, long, { path, capture: 'all', onProgress: (done) => steps.push(done) });
      const whole = await run(decoder, long, { capture: 'all', hooks: { hook_embed: () => {} } });
      assert.ok(steps.length > 1, `in one piece: ${steps}`);
      assertSameNumbers(chunked.logits, whole.logits, 'logits');
      for (const { name, values, shape } of whole.activations) {
        assert.deepEqual(chunked.activations.get(name).shape, shape);
        assertSameNumbers(chunked.activations.get(name).values, values, name);
      }
    });

    test('tells its progress in positions', async () => {
      const steps: [number, number][] = [];
      const { path: taken } = await run(decoder, [someIds(6, 300)], {
        path,
        onProgress: (...step) => steps.push(step),
      });
      assert.equal(taken, path);
      assert.deepEqual(steps[steps.length - 1], [300, 300]);
      assert.ok(steps.every(([done, total], i) => total === 300 && done > (steps[i - 1]?.[0] ?? 0)));
    });
  });
}

test('captured values are the run’s own: what is done to them touches nothing else', async () => {
  const first = await run(decoder, [ids], { path: 'composed', capture: 'all' });
  const kept = new Map([...first.activations].map(({ name, values }) => [name, values.slice()]));
  for (const { values } of first.activations) values.fill(NaN);
  for (const { name, values } of (await run(decoder, [ids], { path: 'composed', capture: 'all' })).activations) {
    assertSameBits(values, kept.get(name) ?? assert.fail(name), name);
  }
});

describe('what cannot be run is a typed error', () => {
  const rejects = (
    sequences: readonly Int32Array[],
    options: Parameters<typeof run>[2],
    Kind: typeof ShapeError,
    message: RegExp,
  ) =>
    assert.rejects(run(decoder, sequences, options), (error) => error instanceof Kind && message.test(error.message));

  test('an unknown name, with the nearest ones', async () => {
    const pattern = 'blocks.0.attn.hook_patern' as HookName;
    await rejects(
      [ids],
      { capture: pattern },
      UnknownNameError,
      /hook name: found blocks\.0\.attn\.hook_patern, expected such as blocks\.0\.attn\.hook_pattern, /,
    );
    await rejects(
      [ids],
      { capture: ['hook_embed', 'blocks.2.hook_resid_pre'] },
      UnknownNameError,
      /such as blocks\.[01]\.hook_resid_pre/,
    );
    await rejects([ids], { hooks: { [pattern]: () => {} } }, UnknownNameError, /blocks\.0\.attn\.hook_pattern/);
  });

  test('sequences of unequal lengths, none, empty ones, ids outside the vocabulary, and too many', async () => {
    await rejects(
      [ids, ids.subarray(1)],
      {},
      ShapeError,
      /lengths of the sequences of one run: found \[9, 8\], expected at least one, all equal/,
    );
    await rejects([], {}, ShapeError, /lengths/);
    await rejects([new Int32Array(0)], {}, ShapeError, /token ids: found none/);
    await rejects([Int32Array.of(1, 43)], {}, OptionError, /token id at 1: found 43, expected 0 to 42/);
    await rejects([Int32Array.of(-1)], {}, OptionError, /token id at 0: found -1/);
    await rejects([new Int32Array(401)], {}, ContextFullError, /positions: found 401, expected at most 400/);
  });

  test('options, selectors and hooks that are none', async () => {
    const as = (options: object) => options as Parameters<typeof run>[2];
    await rejects([ids], as({ hook: {} }), UnknownNameError, /option of run: found hook, expected hooks/);
    await rejects(
      [ids],
      as({ capture: 3 }),
      OptionError,
      /points: found number, expected 'all', names, or a function of names/,
    );
    await rejects(
      [ids],
      as({ hooks: { hook_embed: 3 } }),
      OptionError,
      /hook: found number, expected a function \(hook_embed\)/,
    );
    await rejects([ids], as({ path: 'fast' }), OptionError, /path: found fast, expected fused or composed/);
    const none = await run(decoder, [ids], { hooks: { hook_embed: undefined } });
    assert.equal(none.path, PATHS[0]);
  });

  test('a path that there is none of', async () => {
    await rejects(
      [ids],
      { path: 'fused', hooks: { hook_embed: () => {} } },
      OptionError,
      /path: found fused, expected composed: hooks need it/,
    );
    if (!native())
      await rejects([ids], { path: 'fused' }, OptionError, /expected composed: the native addon is not loaded/);
  });
});
