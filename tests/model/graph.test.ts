import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { memory, zeros } from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import { hookNames } from '../../src/layers/hook-names.js';
import { run } from '../../src/lens/run.js';
import type { Graph } from '../../src/model/graph.js';
import type { ModelDecoder } from '../../src/model/model-decoder.js';
import { recordGraph, replayGraph } from '../../src/model/record-graph.js';
import { add, ready } from '../../src/ops/index.js';
import { anyDecoder, smallDecoder, smallModel, someIds } from '../lens/support.js';
import { assertSameBits } from '../native/support.js';

async function graphOf(decoder: ModelDecoder, batch: number, pos: number): Promise<Graph> {
  const caches = Array.from({ length: batch }, () => decoder.createSequence());
  try {
    return await recordGraph(await decoder.composed(), decoder.weights, new Int32Array(batch * pos), caches);
  } finally {
    for (const cache of caches) cache.dispose();
  }
}

describe('a pass as data', () => {
  test('run again on any ids gives the run’s bits, and shapes and points are those of the run', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyDecoder,
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 8 }),
        fc.nat(),
        async (decoder, batch, pos, from) => {
          const graph = await graphOf(decoder, batch, pos);
          assert.deepEqual([graph.batch, graph.pos], [batch, pos]);
          const sequences = Array.from({ length: batch }, (_, b) => someIds(from + b, pos, decoder.vocabSize));
          const { logits, activations } = await run(decoder, sequences, { path: 'composed', capture: 'all' });
          const ids = Int32Array.from(sequences.flatMap((sequence) => [...sequence]));
          assertSameBits(replayGraph(graph, ids), logits, 'logits');

          for (const { shape, hooks } of graph.nodes) {
            for (const name of hooks) {
              assert.equal(
                shape.reduce((a, b) => a * b),
                activations.get(name).values.length,
                name,
              );
              assert.deepEqual(shape, activations.get(name).shape, name);
            }
          }
        },
      ),
      { numRuns: 12 },
    );
  });

  test('has every named point once, each node’s in the order of a pass', async () => {
    const { nodes } = await smallModel({ layers: 3 }).graph();
    const known = hookNames(3);
    const found = nodes.flatMap(({ hooks }) => hooks);
    assert.equal(found.length, known.length);
    assert.deepEqual(new Set(found), new Set(known));
    for (const { hooks } of nodes) {
      const places = hooks.map((name) => known.indexOf(name));
      assert.deepEqual(
        places,
        [...places].sort((a, b) => a - b),
      );
    }
    const firsts = nodes.flatMap(({ hooks }) => hooks.slice(0, 1)).filter((name) => !name.endsWith('hook_in'));
    const places = firsts.map((name) => known.indexOf(name));
    assert.deepEqual(
      places,
      [...places].sort((a, b) => a - b),
      'nodes are in the order of a pass',
    );
  });

  test('each node reads nodes before it, and the first one the ids; the last one is the logits', async () => {
    const { nodes } = await smallModel().graph(5);
    nodes.forEach(({ inputs, kernel }, i) => {
      const from = Object.values(inputs);
      assert.ok(from.length > 0);
      if (i === 0) assert.deepEqual([kernel, inputs], ['NibbleEmbedding', { ids: -1 }]);
      else
        assert.ok(
          from.every((node) => node >= 0 && node < i),
          `${kernel} reads ${from}`,
        );
    });
    const used = new Set(nodes.flatMap(({ inputs }) => Object.values(inputs)));
    for (let i = 0; i < nodes.length - 1; i++) assert.ok(used.has(i), `nothing reads node ${i}, ${nodes[i].kernel}`);
    assert.deepEqual(nodes[nodes.length - 1].shape, [1, 5, 43]);
    assert.deepEqual(nodes[nodes.length - 1].hooks, ['unembed.hook_out']);
  });

  test('names every weight as the checkpoint does, once each', async () => {
    const { nodes } = await smallModel({ bias: true }).graph();
    const linear = (name: string) => [`${name}.weight`, `${name}.bias`];
    const layer = (i: number) => [
      `layers.${i}.input_layernorm`,
      ...['q_proj', 'k_proj', 'v_proj', 'o_proj'].flatMap((name) => linear(`layers.${i}.${name}`)),
      `layers.${i}.post_attention_layernorm`,
      ...['gate_proj', 'up_proj', 'down_proj'].flatMap((name) => linear(`layers.${i}.${name}`)),
    ];
    const found = nodes.flatMap(({ weights }) => weights);
    assert.deepEqual(found, ['embed_tokens', ...layer(0), ...layer(1), 'norm', 'lm_head.weight']);
  });

  test('leaves out what others run meanwhile, and leaves no tensor', async () => {
    await ready('cpu');
    const decoder = smallDecoder({ layers: 40 });
    const plain = await graphOf(decoder, 1, 3);
    const before = memory().numTensors;
    const x = zeros([2, 2]);
    let calls = 0;
    const busy = setInterval(() => {
      add(x, x).dispose();
      calls++;
      const end = performance.now() + 20;
      while (performance.now() < end);
    }, 0);
    const others = await (async () => {
      try {
        const slow = await decoder.composed();
        return await recordGraph(
          slow,
          decoder.weights,
          new Int32Array(3 * 40),
          Array.from({ length: 40 }, () => decoder.createSequence()),
        );
      } finally {
        clearInterval(busy);
      }
    })();
    x.dispose();
    assert.equal(memory().numTensors, before);
    assert.deepEqual(
      others.nodes.map(({ kernel }) => kernel),
      plain.nodes.map(({ kernel }) => kernel),
      `${calls} other calls`,
    );
  });
});
