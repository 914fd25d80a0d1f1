import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { memory } from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { ShapeError } from '../../src/base/errors.js';
import { bundled, loadModel } from '../../src/index.js';
import { hookNames, type HookName } from '../../src/layers/hook-names.js';
import type { ModelRun } from '../../src/lens/model-run.js';
import { run } from '../../src/lens/run.js';
import type { Hook, RunOptions } from '../../src/lens/run-options.js';
import { native } from '../../src/native/native.js';
import { assertSameBits } from '../native/support.js';
import { randomNumbers } from '../support/random-model.js';
import { equations } from './equations.js';
import { anyDecoder, assertSameNumbers, smallDecoder, smallModel, someIds } from './support.js';

const decoder = smallDecoder();
const names = hookNames(2);
const ids = someIds(1, 6);

/** A change that keeps what is masked, and grows nothing beyond measure. */
const changed = (values: Float32Array): Float32Array => values.map((value, i) => 0.7 * value + 0.1 + 0.01 * (i % 5));

describe('hooks', () => {
  test('with any of them replacing, each point is what the model makes of the points before it', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyDecoder,
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 2 }),
        fc.nat(),
        async (of, pos, batch, from) => {
          const { weights } = of;
          const known = hookNames(weights.layers.length);
          const random = randomNumbers(from);
          const sequences = Array.from({ length: batch }, (_, b) => someIds(from + b, pos, of.vocabSize));
          const chosen = new Set(known.filter(() => random() < 0.15));
          const hooks = Object.fromEntries(
            [...chosen].map((name): [HookName, Hook] => [name, ({ values }) => changed(values)]),
          );
          const { activations, logits, path } = await run(of, sequences, { capture: 'all', hooks, path: 'composed' });
          assert.equal(path, 'composed');
          for (const { point, value } of equations(weights, batch, pos)) {
            const expected = value(activations);
            assertSameBits(activations.get(point).values, chosen.has(point) ? changed(expected) : expected, point);
          }
          assertSameBits(logits, activations.get('unembed.hook_out').values, 'logits');
        },
      ),
      { numRuns: 20 },
    );
  });

  test('are called in the order of the names', async () => {
    const order: HookName[] = [];
    const note: Hook = ({ name }) => void order.push(name);
    await run(decoder, [ids], { hooks: Object.fromEntries(names.map((name) => [name, note])) });
    assert.deepEqual(order, names);
  });

  test('each point can be read and replaced: what follows sees the new values, what came before is as it was', async () => {
    const plain = await run(decoder, [ids], { capture: 'all', path: 'composed' });
    for (const [order, name] of names.entries()) {
      let seen: Float32Array | null = null;
      const hook: Hook = ({ name: at, values }) => {
        assert.equal(at, name);
        assert.equal(seen, null, 'called twice');
        seen = values.slice();
        return changed(values);
      };
      const { activations, logits } = await run(decoder, [ids], { capture: 'all', hooks: { [name]: hook } });
      assertSameBits(seen ?? assert.fail(`${name} was not called`), plain.activations.get(name).values, name);
      assertSameBits(activations.get(name).values, changed(plain.activations.get(name).values), `${name}, replaced`);
      for (const before of names.slice(0, order)) {
        assertSameBits(
          activations.get(before).values,
          plain.activations.get(before).values,
          `${before}, before ${name}`,
        );
      }
      assert.notDeepEqual(logits, plain.logits, `${name} changes nothing`);
    }
  });

  test('patching the residual stream with that of another text gives the other text’s predictions', async () => {
    const other = someIds(2, 6);
    const source = await run(decoder, [other], { capture: 'all' });
    for (const name of [
      'hook_embed',
      'blocks.1.hook_resid_pre',
      'blocks.1.hook_resid_post',
      'unembed.hook_in',
    ] as const) {
      const patched = await run(decoder, [ids], { hooks: { [name]: () => source.activations.get(name).values } });
      assertSameNumbers(patched.logits, source.logits, name);
    }
  });

  test('a head that is told to look at the first token alone takes its value', async () => {
    const onFirst: Hook = ({ values, shape: [, , pos, keys] }) =>
      values.map((_, i) => (i % keys === 0 && i < pos * keys ? 1 : 0));
    const options: RunOptions = { capture: 'all', hooks: { 'blocks.0.attn.hook_pattern': onFirst } };
    const { activations } = await run(decoder, [ids], options);
    const z = activations.get('blocks.0.attn.hook_z').values; // [1, 6, 4, 8]
    const v = activations.get('blocks.0.attn.hook_v').values; // [1, 6, 2, 8]
    for (let position = 0; position < 6; position++) {
      assert.deepEqual(z.slice(position * 32, position * 32 + 8), v.slice(0, 8));
      assert.ok(z.slice(position * 32 + 8, position * 32 + 32).every((value) => value === 0));
    }
  });

  test('see copies: only what they return counts, as it is when they return it', async () => {
    const plain = await run(decoder, [ids], { path: 'composed', capture: 'all' });
    const spoil: Hook = ({ values }) => void values.fill(NaN);
    const spoilt = await run(decoder, [ids], {
      capture: 'all',
      hooks: Object.fromEntries(names.map((name) => [name, spoil])),
    });
    for (const { name, values } of plain.activations) assertSameBits(spoilt.activations.get(name).values, values, name);

    const kept: Float32Array[] = [];
    const later = await run(decoder, [ids], {
      capture: 'all',
      hooks: {
        'blocks.0.hook_resid_pre': ({ values }) => {
          kept.push(values);
          return values;
        },
        'blocks.0.attn.hook_z': () => void kept[0].fill(NaN),
      },
    });
    for (const { name, values } of plain.activations) assertSameBits(later.activations.get(name).values, values, name);
  });

  test('see all positions of a long text at once', async () => {
    const seen: number[] = [];
    await run(decoder, [someIds(3, 300)], {
      hooks: { 'blocks.1.hook_resid_pre': ({ shape }) => void seen.push(shape[1]) },
    });
    assert.deepEqual(seen, [300]);
  });

  test('what they return must be as many float32 values', async () => {
    const wrong: [returned: () => object, found: string][] = [
      [() => new Float32Array(143), '143 values'],
      [() => new Float64Array(144), 'object'],
      [() => Array(144).fill(0), 'object'],
      [async () => new Float32Array(144), 'object'],
    ];
    for (const [returned, found] of wrong) {
      const hooks = { 'blocks.1.hook_resid_mid': returned as Hook };
      await assert.rejects(run(decoder, [ids], { hooks }), (error) => {
        assert.ok(error instanceof ShapeError);
        const message = `values returned by a hook: found ${found}, expected a Float32Array of 144 (1 × 6 × 24) (blocks.1.hook_resid_mid)`;
        assert.equal(error.message, message);
        return true;
      });
    }
  });
});

describe('runs at the same time', () => {
  /** Takes longer than a run holds the event loop, so that others have their turn before the next layer. */
  const slow: Hook = ({ values }) => {
    const end = performance.now() + 35;
    while (performance.now() < end);
    return changed(values);
  };
  const options: RunOptions[] = [
    { capture: 'all', hooks: { 'blocks.0.hook_resid_mid': slow, 'blocks.1.attn.hook_pattern': slow } },
    {
      capture: 'all',
      hooks: { hook_embed: ({ values }) => values.map((value) => -value), 'blocks.1.ln2.hook_scale': slow },
    },
    { capture: 'all', path: 'composed' },
  ];

  test('have the bits that each has alone, also while text is generated', async () => {
    const model = smallModel({ layers: 3 });
    const runs = () => options.map((one, i) => model.run([someIds(i, 30), someIds(i + 9, 30)], one));
    const generation = () => model.generate(ids, { maxTokens: 40, temperature: 1, seed: 5, ignoreEos: true });
    const alone: ModelRun[] = [];
    for (const one of options.keys())
      alone.push(await model.run([someIds(one, 30), someIds(one + 9, 30)], options[one]));
    const text = await generation();

    const [together, textTogether] = await Promise.all([Promise.all(runs()), generation()]);
    assert.deepEqual([...textTogether.ids], [...text.ids]);
    together.forEach(({ logits, activations }, i) => {
      assertSameBits(logits, alone[i].logits, `logits of run ${i}`);
      for (const { name, values } of activations) assertSameBits(values, alone[i].activations.get(name).values, name);
    });
  });

  test('of a model whose fused passes leave the main thread, too', async () => {
    const model = await loadModel(bundled.storytellerInt4);
    const text = 'Once upon a time there was a girl who lived in a house by the sea. '.repeat(4);
    const inputs = [70, 64, 50].map((count) => model.tokenizer.encode(text).slice(0, count));
    const start = (i: number) => model.run(inputs[i], [{}, { capture: 'all' as const }, options[0]][i]);
    const generation = () => model.generate(inputs[2], { maxTokens: 20, temperature: 1, seed: 5, ignoreEos: true });
    const alone = [await start(0), await start(1), await start(2)];
    const story = await generation();
    const [together, first, second] = await Promise.all([
      Promise.all(inputs.map((_, i) => start(i))),
      generation(),
      generation(),
    ]);
    assert.deepEqual([first.text, second.text], [story.text, story.text]);
    together.forEach(({ logits, activations }, i) => {
      assertSameBits(logits, alone[i].logits, `logits of run ${i}`);
      for (const { name, values } of activations) assertSameBits(values, alone[i].activations.get(name).values, name);
    });
    model.dispose();
  });

  test('one that fails does not harm those that wait', async () => {
    const failing = run(decoder, [ids], {
      hooks: {
        'blocks.1.hook_resid_pre': () => {
          throw new Error('mine');
        },
      },
    });
    const waiting = run(decoder, [ids], { path: 'composed' });
    await assert.rejects(failing, /^Error: mine$/);
    assertSameBits((await waiting).logits, (await run(decoder, [ids], { path: 'composed' })).logits, 'logits');
  });
});

describe('stopping', () => {
  test('an aborted signal ends a run between layers, with its reason', async () => {
    const before = AbortSignal.abort();
    for (const path of native() ? (['fused', 'composed'] as const) : (['composed'] as const)) {
      await assert.rejects(run(decoder, [ids], { path, signal: before }), { name: 'AbortError' });
    }
    const during = new AbortController();
    const reached: HookName[] = [];
    const hooks: RunOptions['hooks'] = {
      'blocks.0.hook_attn_out': () => during.abort(new Error('enough')),
      'blocks.0.hook_resid_post': ({ name }) => void reached.push(name),
      'blocks.1.hook_resid_pre': ({ name }) => void reached.push(name),
    };
    await assert.rejects(run(decoder, [ids], { hooks, signal: during.signal }), /^Error: enough$/);
    assert.deepEqual(reached, ['blocks.0.hook_resid_post']);
  });

  test('and between chunks', async () => {
    for (const path of native() ? (['fused', 'composed'] as const) : (['composed'] as const)) {
      const controller = new AbortController();
      const done: number[] = [];
      const onProgress = (count: number) => {
        done.push(count);
        controller.abort();
      };
      await assert.rejects(run(decoder, [someIds(1, 300)], { path, signal: controller.signal, onProgress }), {
        name: 'AbortError',
      });
      assert.equal(done.length, 1);
    }
  });
});

test('no tensor is left over: after runs, and after those that fail or are stopped', async () => {
  const fail: Hook = () => {
    throw new Error('mine');
  };
  const stop = new AbortController();
  const attempts: [options: RunOptions, rejects: boolean][] = [
    [{ path: 'composed' }, false],
    [{ path: 'composed', capture: 'all' }, false],
    [
      {
        capture: 'all',
        hooks: Object.fromEntries(names.map((name) => [name, ({ values }: { values: Float32Array }) => values])),
      },
      false,
    ],
    ...names.map((name): [RunOptions, boolean] => [{ hooks: { [name]: fail } }, true]),
    [{ hooks: { 'blocks.0.hook_resid_pre': () => new Float32Array(1) } }, true],
    [{ hooks: { 'blocks.0.hook_resid_post': () => stop.abort() }, signal: stop.signal }, true],
    [
      {
        path: 'composed',
        onProgress: () => {
          throw new Error('mine');
        },
      },
      true,
    ],
  ];
  await decoder.composed();
  const before = memory();
  for (const [options, rejects] of attempts) {
    const outcome = run(decoder, [ids, someIds(2, 6)], options);
    if (rejects) await assert.rejects(outcome);
    else await outcome;
    const { numTensors, numDataBuffers } = memory();
    assert.deepEqual(
      { numTensors, numDataBuffers },
      { numTensors: before.numTensors, numDataBuffers: before.numDataBuffers },
    );
  }
});
