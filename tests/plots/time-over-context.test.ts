import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { table } from 'arquero';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import { plotTimeOverContext } from '../../src/plots/index.js';
import { checkFigure, checkSnapshot, specOf } from './figures.js';

describe('plotTimeOverContext', () => {
  test('draws a line per engine, ascending whatever the order of rows', () => {
    const figure = plotTimeOverContext([
      { context: 8192, milliseconds: 41, engine: 'fast' },
      { context: 64, milliseconds: 26, engine: 'fast' },
      { context: 512, milliseconds: 27, engine: 'fast' },
      { context: 64, milliseconds: 35, engine: 'exact' },
      { context: 512, milliseconds: 36, engine: 'exact' },
    ]);
    checkFigure(figure, 4000);
    checkSnapshot('time-over-context', figure);
    const { data, layout } = specOf(figure);
    assert.deepEqual(data.map(({ name, x, y }) => [name, x, y]), [
      ['fast', [64, 512, 8192], [26, 27, 41]],
      ['exact', [64, 512], [35, 36]],
    ]);
    assert.deepEqual(layout.xaxis.ticktext, ['64', '512', '8192']);
    assert.equal(layout.xaxis.type, 'log');
  });

  test('takes a table of one engine, which needs no legend', () => {
    const { layout } = specOf(plotTimeOverContext(table({ context: [1, 10], milliseconds: [1, 2] })));
    assert.equal(layout.showlegend, false);
  });

  test('refuses bad rows', () => {
    assert.throws(() => plotTimeOverContext([]), ShapeError);
    assert.throws(() => plotTimeOverContext([{ context: 0, milliseconds: 1 }]), OptionError);
    assert.throws(() => plotTimeOverContext([{ context: 1, milliseconds: -1 }]), OptionError);
  });
});
