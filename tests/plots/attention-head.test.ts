import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import { plotAttentionHead } from '../../src/plots/index.js';
import { causalPattern, checkFigure, checkSnapshot, specOf } from './figures.js';

const tokens = ['<s>', '·the', '·cat', '·the'];

describe('plotAttentionHead', () => {
  test('draws queries from top to bottom, keys from left to right, in percent', () => {
    const pattern = Float32Array.of(1, 0, 0, 0, 0.25, 0.75, 0, 0, 0, 0.5, 0.5, 0, 0.125, 0.125, 0.25, 0.5);
    const figure = plotAttentionHead({ tokens, pattern, layer: 3, head: 5, kvHead: 1 });
    checkFigure(figure, 5000);
    checkSnapshot('attention-head', figure);
    const { data, layout } = specOf(figure);
    assert.deepEqual(data[0].z, [[100], [25, 75], [0, 50, 50], [12.5, 12.5, 25, 50]]);
    for (const axis of [layout.xaxis, layout.yaxis]) {
      assert.deepEqual(axis.tickvals, [0, 1, 2, 3]);
      assert.deepEqual(axis.ticktext, ['&lt;s&gt;', '·the', '·cat', '·the']);
    }
    assert.deepEqual(layout.yaxis.range, [3.5, -0.5]);
    assert.match(String(data[0].hovertemplate), /%\{y\} → %\{x\}: %\{z/);
    assert.match(layout.title.text, /layer 3, head 5/);
    assert.match(layout.title.subtitle?.text ?? '', /key\/value head 1/);
  });

  test('shows weight on later keys where there is some', () => {
    const { data } = specOf(
      plotAttentionHead({ tokens: ['a', 'b'], pattern: Float32Array.of(0.5, 0.5, 1, 0), layer: 0, head: 0 }),
    );
    assert.deepEqual(data[0].z, [
      [50, 50],
      [100, 0],
    ]);
  });

  test('stays small for 128 tokens', () => {
    const many = Array.from({ length: 128 }, (_, i) => `t${i}`);
    checkFigure(plotAttentionHead({ tokens: many, pattern: causalPattern(128, 3), layer: 0, head: 0 }), 60_000);
  });

  test('refuses what does not fit', () => {
    const input = { tokens, pattern: causalPattern(4, 1), layer: 0, head: 1 };
    assert.throws(() => plotAttentionHead({ ...input, pattern: causalPattern(3, 1) }), ShapeError);
    assert.throws(() => plotAttentionHead({ ...input, tokens: Array<string>(200).fill('a') }), ShapeError);
    assert.throws(() => plotAttentionHead({ ...input, layer: -1 }), OptionError);
    assert.throws(() => plotAttentionHead({ ...input, kvHead: 2 }), OptionError);
    assert.throws(() => plotAttentionHead({ ...input, pattern: new Float32Array(16).fill(NaN) }), OptionError);
    assert.throws(() => plotAttentionHead({ ...input, tokens: JSON.parse('["a", "b", "c", 4]') }), OptionError);
  });
});
