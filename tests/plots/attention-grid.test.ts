import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import { plotAttentionGrid } from '../../src/plots/index.js';
import { causalPattern, checkFigure, checkSnapshot, specOf, type Axis } from './figures.js';

const words = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => ['<s>', '·Once', '·upon', '·a'][i % 4]);
const axis = (layout: object, name: string): Axis => Reflect.get(layout, name) as Axis;

describe('plotAttentionGrid', () => {
  test('draws a map of every head of every layer, rows by layer, columns by head', () => {
    const tokens = ['<s>', '·Once', '\n'];
    const patterns = new Map<string, Float32Array>();
    const pattern = (layer: number, head: number): Float32Array => {
      const values = causalPattern(3, 10 * layer + head + 1);
      patterns.set(`layer ${layer}, head ${head}`, values);
      return values;
    };
    const figure = plotAttentionGrid({ layers: 2, heads: 4, kvHeads: 2, tokens, pattern });
    checkFigure(figure, 20_000);
    checkSnapshot('attention-grid', figure);
    const { data, layout } = specOf(figure);
    assert.equal(data.length, 8);
    for (const { name = '', z, xaxis, yaxis } of data) {
      const [, layer, head] = /layer (\d), head (\d)/.exec(name) ?? [];
      assert.deepEqual([yaxis, xaxis], [`y${['', '2'][Number(layer)]}`, `x${['', '2', '3', '4'][Number(head)]}`]);
      const values = patterns.get(name) ?? new Float32Array(9);
      z?.forEach((row, query) => {
        assert.equal(row.length, query + 1, 'what the mask hides has no value');
        row.forEach((percent, key) => assert.ok(Math.abs(percent - 100 * values[query * 3 + key]) <= 0.0501));
      });
    }
    for (const name of ['xaxis', 'xaxis4', 'yaxis', 'yaxis2']) {
      assert.deepEqual(axis(layout, name).ticktext, ['&lt;s&gt;', '·Once', '⏎'], name);
    }
    assert.deepEqual(axis(layout, 'yaxis2').range, [2.5, -0.5], 'queries from top to bottom');
    const texts = layout.annotations?.map(({ text }) => text) ?? [];
    for (const text of ['head 3', '<b>layer 1</b>', '<b>key/value head 1</b>']) assert.ok(texts.includes(text), text);
  });

  test('sets groups apart, keeps maps equal, and layers from the top', () => {
    const tokens = words(5);
    const { layout } = specOf(
      plotAttentionGrid({
        layers: 3,
        heads: 6,
        kvHeads: 2,
        tokens,
        pattern: (layer, head) => causalPattern(5, layer + head + 1),
      }),
    );
    const columns = ['', 2, 3, 4, 5, 6].map((i) => axis(layout, `xaxis${i}`).domain ?? [0, 0]);
    const gaps = columns.slice(1).map(([from], i) => from - columns[i][1]);
    gaps.forEach((gap, i) => assert.equal(gap > 0.01, i === 2, `gap ${i} is ${gap}`));
    for (const [from, to] of columns) assert.ok(Math.abs(to - from - (columns[0][1] - columns[0][0])) < 1e-4);
    const [first, second] = [axis(layout, 'yaxis').domain, axis(layout, 'yaxis2').domain];
    assert.ok((first?.[0] ?? 0) > (second?.[1] ?? 1));
  });

  test('stays small for the bundled model, 40 tokens', () => {
    const figure = plotAttentionGrid({
      layers: 6,
      heads: 8,
      kvHeads: 2,
      tokens: words(40),
      pattern: (layer, head) => causalPattern(40, 8 * layer + head + 1),
    });
    checkFigure(figure, 280_000);
  });

  test('any grouping and any choice of layers', () => {
    const shapes = fc.record({
      groups: fc.integer({ min: 1, max: 8 }),
      size: fc.integer({ min: 1, max: 4 }),
      layers: fc.uniqueArray(fc.integer({ min: 0, max: 90 }), { minLength: 1, maxLength: 4 }),
      count: fc.integer({ min: 1, max: 12 }),
    });
    fc.assert(
      fc.property(shapes, ({ groups, size, layers, count }) => {
        const pattern = (layer: number, head: number): Float32Array => causalPattern(count, layer + head + 1);
        const figure = plotAttentionGrid({
          layers,
          heads: groups * size,
          kvHeads: groups,
          tokens: words(count),
          pattern,
        });
        checkFigure(figure, 400_000);
        const { data, layout } = specOf(figure);
        assert.equal(data.length, layers.length * groups * size);
        for (const [name, { domain }] of Object.entries(layout).filter(([key]) => /^[xy]axis/.test(key)) as [
          string,
          Axis,
        ][]) {
          assert.ok(domain && domain[0] >= 0 && domain[0] < domain[1] && domain[1] <= 1, `${name}: ${domain}`);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('refuses what does not fit', () => {
    const input = { layers: 1, heads: 4, kvHeads: 2, tokens: ['a', 'b'], pattern: () => causalPattern(2, 1) };
    assert.throws(() => plotAttentionGrid({ ...input, kvHeads: 3 }), ShapeError);
    assert.throws(() => plotAttentionGrid({ ...input, tokens: [] }), ShapeError);
    assert.throws(() => plotAttentionGrid({ ...input, tokens: ['a', 'b', 'c'] }), /layer 0, head 0/);
    assert.throws(() => plotAttentionGrid({ ...input, layers: [] }), OptionError);
    assert.throws(() => plotAttentionGrid({ ...input, layers: 1.5 }), OptionError);
    assert.throws(() => plotAttentionGrid({ ...input, pattern: () => Float32Array.of(1, 0, NaN, 1) }), OptionError);
    assert.throws(() => plotAttentionGrid({ ...input, pattern: () => Float32Array.of(1, 0, -0.5, 1.5) }), OptionError);
    assert.throws(
      () => plotAttentionGrid({ ...input, layers: 80, heads: 64, kvHeads: 8, tokens: words(64) }),
      /fewer tokens/,
    );
  });
});
