import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { table } from 'arquero';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import type { PointDifference } from '../../src/comparison/compare-models.js';
import { hookNames } from '../../src/layers/hook-names.js';
import { plotErrorOverDepth } from '../../src/plots/index.js';
import { checkFigure, checkSnapshot, specOf } from './figures.js';

/** A row of every named point of a model, its error growing with depth. */
function points(layers: number): PointDifference[] {
  return hookNames(layers).map((name, i, { length }) => {
    const [, layer, point = name] = /^blocks\.(\d+)\.(.*)$/.exec(name) ?? [];
    const relativeError = name === 'hook_embed' ? 0 : 0.5 * ((i + 1) / length) ** 2;
    return {
      name,
      layer: layer === undefined ? null : Number(layer),
      point,
      relativeError,
      cosine: 1 - relativeError ** 2 / 2,
    };
  });
}

const few = points(2).filter(({ point }) => /resid_post|embed|mlp_out|ln_final.hook_scale|attn_out/.test(point));

describe('plotErrorOverDepth', () => {
  test('draws a line per kind of point in two panels', () => {
    const figure = plotErrorOverDepth(few);
    checkFigure(figure, 9000);
    checkSnapshot('error-over-depth', figure);
    const { data, layout } = specOf(figure);
    assert.equal(layout.yaxis.type, 'log');
    assert.deepEqual(layout.xaxis.ticktext, ['embed', '0', '1', 'ln_final', 'unembed']);
    assert.deepEqual(layout.xaxis.tickvals, [-1, 0, 1, 2, 3]);
    const line = data.find(
      ({ customdata, yaxis }) => yaxis === undefined && JSON.stringify(customdata).includes('blocks.1.hook_mlp_out'),
    );
    assert.deepEqual(line?.x, [0, 1]);
    const ring = data.find(({ name }) => name === 'equal (error 0)');
    assert.deepEqual(ring?.x, [-1]);
    assert.equal(layout.yaxis.ticktext?.[0], '0');
    assert.match(layout.title.subtitle?.text ?? '', /unembed.hook_out/);
  });

  test('every row is drawn once in each panel, and a family has one place in the legend', () => {
    const rows = points(6);
    const figure = plotErrorOverDepth(rows);
    checkFigure(figure, 90_000);
    const { data } = specOf(figure);
    const drawn = (bottom: boolean): number =>
      data
        .filter(({ yaxis }) => (yaxis === 'y2') === bottom)
        .flatMap(({ y }) => y?.filter((value) => value !== null) ?? []).length;
    assert.deepEqual([drawn(false), drawn(true)], [rows.length, rows.length]);
    const legend = data.filter(({ showlegend }) => showlegend !== false).map(({ name }) => name);
    assert.deepEqual(legend.toSorted(), ['MLP', 'attention', 'equal (error 0)', 'logits', 'norms', 'residual stream']);
  });

  test('takes a table, a model equal to its reference, and a single layer', () => {
    const columns = (key: keyof PointDifference): unknown[] => few.map((row) => row[key]);
    const asTable = table({
      name: columns('name'),
      layer: columns('layer'),
      point: columns('point'),
      relativeError: columns('relativeError'),
      cosine: columns('cosine'),
    });
    assert.deepEqual(plotErrorOverDepth(asTable).toJSON(), plotErrorOverDepth(few).toJSON());
    checkFigure(plotErrorOverDepth(few.map((row) => ({ ...row, relativeError: 0, cosine: 1 }))), 9000);
    checkFigure(
      plotErrorOverDepth([
        { name: 'blocks.3.hook_mlp_out', layer: 3, point: 'hook_mlp_out', relativeError: 0.1, cosine: 0.99 },
      ]),
      5000,
    );
    checkFigure(plotErrorOverDepth(few.filter(({ layer }) => layer === null)), 6000);
  });

  test('refuses bad rows', () => {
    assert.throws(() => plotErrorOverDepth([]), ShapeError);
    assert.throws(() => plotErrorOverDepth([{ ...few[0], relativeError: NaN }]), OptionError);
    assert.throws(() => plotErrorOverDepth([{ ...few[0], relativeError: Infinity }]), OptionError);
    assert.throws(() => plotErrorOverDepth([{ ...few[0], cosine: 2 }]), OptionError);
  });
});
