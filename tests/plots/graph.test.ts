import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import { plotGraph, type GraphNodeLike } from '../../src/plots/index.js';
import { checkFigure, checkSnapshot, specOf } from './figures.js';

const node = (
  kernel: string,
  inputs: number[],
  shape: number[],
  hooks: string[] = [],
  weights: string[] = [],
): GraphNodeLike => {
  return { kernel, inputs: Object.fromEntries(inputs.map((input, i) => [`x${i}`, input])), shape, hooks, weights };
};

/** A pass with one layer of one matrix each. */
const nodes: readonly GraphNodeLike[] = [
  node('NibbleEmbedding', [-1], [1, 3, 8], ['hook_embed', 'blocks.0.hook_resid_pre'], ['embed_tokens']),
  node('NibbleRMSNorm', [0], [1, 3, 8], ['blocks.0.attn.q_proj.hook_in'], ['layers.0.input_layernorm']),
  node('NibbleMatMulPacked', [1], [1, 3, 8], ['blocks.0.attn.q_proj.hook_out'], ['layers.0.q_proj.weight']),
  node('NibbleReshape', [2], [1, 3, 2, 4], ['blocks.0.attn.hook_q']),
  node('NibbleRoPE', [3], [1, 3, 2, 4], ['blocks.0.attn.hook_rot_q']),
  node('NibbleMatMulPacked', [1], [1, 3, 8], ['blocks.0.attn.v_proj.hook_out'], ['layers.0.v_proj.weight']),
  node('NibbleAttention', [4, 5], [1, 3, 8], ['blocks.0.attn.hook_z']),
  node('NibbleAdd', [0, 6], [1, 3, 8], ['blocks.0.hook_resid_mid']),
  node('NibbleMatMulDense', [7], [1, 3, 16], ['blocks.0.mlp.hook_pre'], ['layers.0.up_proj.weight']),
  node('NibbleAdd', [7, 8], [1, 3, 8], ['blocks.0.hook_resid_post']),
  node('NibbleMatMulDense', [9], [1, 3, 32], ['unembed.hook_out'], ['lm_head.weight']),
];

type Annotation = { text: string; x: number; y: number; hovertext: string; bordercolor: string };
const boxes = (input: Parameters<typeof plotGraph>[0]): Map<string, Annotation> => {
  const annotations = (specOf(plotGraph(input)).layout.annotations ?? []) as unknown[] as Annotation[];
  return new Map(annotations.map((one) => [one.text.replace(/<br>.*/, '').replace(/<[^>]*>/g, ''), one]));
};

describe('plotGraph', () => {
  test('draws ops below what they read, with shapes, and reshapes with what they reshape', () => {
    const figure = plotGraph({ nodes });
    checkFigure(figure, 12_000);
    checkSnapshot('graph', figure);
    const drawn = boxes({ nodes });
    assert.equal(specOf(figure).layout.annotations?.length, 10);
    assert.match(drawn.get('q_proj')?.text ?? '', /MatMulPacked · 1 × 3 × 2 × 4/);
    assert.equal(drawn.get('q_proj')?.hovertext, 'blocks.0.attn.q_proj.hook_out<br>blocks.0.attn.hook_q');
    const level = (name: string): number => drawn.get(name)?.y ?? NaN;
    assert.deepEqual(['embed_tokens', 'input_layernorm', 'q_proj', 'RoPE', 'Attention'].map(level), [0, 1, 2, 3, 4]);
    assert.equal(level('v_proj'), level('q_proj'));
    assert.ok((drawn.get('v_proj')?.x ?? 0) - (drawn.get('q_proj')?.x ?? 0) >= 1, 'boxes of a level do not overlap');
  });

  test('draws an edge for each input, thick along the residual stream at the left', () => {
    const edges = specOf(plotGraph({ nodes })).layout.shapes ?? [];
    assert.equal(edges.length, 12);
    const thick = edges.filter(({ line }) => Reflect.get(line as object, 'width') === 5);
    assert.equal(thick.length, 2);
    for (const { path } of thick) assert.match(String(path), /^M0,.*L0,.*C0,/);
    assert.equal(boxes({ nodes }).get('Add')?.x, 0);
  });

  test('draws a part, told by its named points', () => {
    const drawn = boxes({ nodes, prefix: 'blocks.0.' });
    assert.equal(drawn.has('lm_head'), false);
    assert.equal(drawn.get('embed_tokens')?.hovertext, 'hook_resid_pre');
    assert.equal(boxes({ nodes, prefix: 'unembed' }).size, 1);
  });

  test('refuses what cannot be drawn', () => {
    assert.throws(() => plotGraph({ nodes: [] }), ShapeError);
    assert.throws(() => plotGraph({ nodes, prefix: 'blocks.1.' }), ShapeError);
    assert.throws(() => plotGraph({ nodes: [node('NibbleAdd', [0], [1])] }), OptionError);
    assert.throws(() => plotGraph({ nodes: Array.from({ length: 300 }, () => nodes[0]) }), /1 to 200/);
  });
});
