import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { from } from 'arquero';
import fc from 'fast-check';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import { plotHeads } from '../../src/plots/index.js';
import { checkFigure, checkSnapshot, noise, specOf, type Axis } from './figures.js';

interface HeadValues {
  layer: number;
  head: number;
  a: number;
  b: number;
}

function rowsOf(layers: readonly number[], heads: number): HeadValues[] {
  const [a, b] = [noise(layers.length * heads, 1).map(Math.abs), noise(layers.length * heads, 2)];
  return layers.flatMap((layer, i) =>
    Array.from({ length: heads }, (_, head) => ({ layer, head, a: a[i * heads + head], b: b[i * heads + head] })),
  );
}

describe('plotHeads', () => {
  test('draws a map per value, layers from the top, groups under bands', () => {
    const rows = rowsOf([0, 1, 2], 4);
    const values = { a: 'entropy / bits', b: 'change / nats' };
    const figure = plotHeads({ rows: rows.toReversed(), kvHeads: 2, values });
    checkFigure(figure, 9000);
    checkSnapshot('heads', figure);
    const { data, layout } = specOf(figure);
    for (const [i, value] of (['a', 'b'] as const).entries()) {
      data[i].z?.forEach((row, layer) =>
        row.forEach((shown, head) => assert.ok(Math.abs(shown - rows[layer * 4 + head][value]) < 1e-4)),
      );
    }
    assert.deepEqual(layout.yaxis.range, [2.5, -0.5]);
    assert.deepEqual(layout.annotations?.map(({ text }) => text), ['<b>entropy / bits</b>', '<b>change / nats</b>']);
    assert.equal(layout.shapes?.filter(({ type }) => type === 'rect').length, 4, 'a band for each group of each map');
  });

  test('colours begin at 0, or are centred on 0 where numbers are signed', () => {
    const { data } = specOf(plotHeads({ rows: rowsOf([0], 8), values: { a: 'a', b: 'b' } }));
    assert.equal(data[0].zmin, 0);
    assert.equal(data[1].zmin, -Number(data[1].zmax));
    for (const { z, zmax } of data) assert.ok((z ?? []).flat().every((value) => Math.abs(value) <= Number(zmax)));
  });

  test('writes numbers where cells have room for them, and a colour bar where not', () => {
    const few = specOf(plotHeads({ rows: rowsOf([0, 1], 4), values: { a: 'a' } }));
    const [{ z = [], text }] = few.data;
    const shown = (text as string[][]).flat().map(Number);
    shown.forEach((value, i) => assert.ok(Math.abs(value - z.flat()[i]) < 0.006));
    const many = specOf(plotHeads({ rows: rowsOf([0, 1], 64), values: { a: 'a', b: 'b' } }));
    assert.ok(many.data.every((trace) => trace.text === undefined && typeof trace.colorbar === 'object'));
    const tiny = specOf(plotHeads({ rows: [{ layer: 0, head: 0, a: 5e-324 }], values: { a: 'a' } }));
    assert.deepEqual(tiny.data[0].text, [['4.9e−324']]);
  });

  test('takes a table, its order and filter, and any layers and groups', () => {
    const rows = rowsOf([3, 7], 2);
    const shown = specOf(plotHeads({ rows: from(rows).filter('d => d.layer > 3').reify(), values: { a: 'a' } }));
    assert.deepEqual(shown.layout.yaxis.ticktext, ['7']);
    assert.deepEqual(shown.data[0].customdata, [[7, 7]]);
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 0, max: 99 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 4 }),
        (layers, kvHeads, size) => {
          const figure = plotHeads({ rows: rowsOf(layers, kvHeads * size), kvHeads, values: { a: 'a', b: 'b' } });
          checkFigure(figure, 60_000);
          for (const name of ['xaxis', 'xaxis2']) {
            const { domain: [start, end] = [1, 0] } = Reflect.get(specOf(figure).layout, name) as Axis;
            assert.ok(start >= 0 && start < end && end <= 1);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  test('refuses what does not fit', () => {
    const rows = rowsOf([0, 1], 4);
    const values = { a: 'a' };
    assert.throws(() => plotHeads({ rows: rows.slice(1), values }), /one for each of 2 × 4 heads/);
    assert.throws(() => plotHeads({ rows: [...rows.slice(1), rows[1]], values }), ShapeError);
    assert.throws(() => plotHeads({ rows, values, kvHeads: 3 }), ShapeError);
    assert.throws(() => plotHeads({ rows, values: {} }), ShapeError);
    assert.throws(() => plotHeads({ rows, values: { missing: 'm' } }), /missing/);
    assert.throws(() => plotHeads({ rows: [{ layer: 0, head: 0, a: NaN }], values }), OptionError);
    assert.throws(() => plotHeads({ rows: [{ layer: 0.5, head: 0, a: 1 }], values }), OptionError);
  });
});
