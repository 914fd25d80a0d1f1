import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { table } from 'arquero';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import { plotMemory } from '../../src/plots/index.js';
import { checkFigure, checkSnapshot, specOf } from './figures.js';

const MiB = 2 ** 20;

describe('plotMemory', () => {
  test('stacks kinds, a bar per model', () => {
    const figure = plotMemory([
      { model: 'float', kind: 'layers, float', bytes: 9 * MiB },
      { model: 'float', kind: 'embedding', bytes: 2 * MiB },
      { model: 'int4', kind: 'layers, int4', bytes: 2.5 * MiB },
      { model: 'int4', kind: 'embedding', bytes: 2 * MiB },
    ]);
    checkFigure(figure, 5000);
    checkSnapshot('memory', figure);
    const { data, layout } = specOf(figure);
    assert.deepEqual(
      data.map(({ name, x }) => [name, x]),
      [
        ['layers, float', [9, 0]],
        ['layers, int4', [0, 2.5]],
        ['embedding', [2, 2]],
      ],
    );
    assert.deepEqual(layout.yaxis.ticktext, ['float', 'int4']);
    assert.match(layout.xaxis.title?.text ?? '', /MiB/);
    assert.match(layout.title.subtitle?.text ?? '', /float 11 MiB, int4 4\.5 MiB/);
  });

  test('takes a table of one model, in the unit that suits it', () => {
    const figure = plotMemory(table({ kind: ['codes', 'scales'], count: [1, 1], bytes: [3 * 2 ** 30, 2 ** 29] }));
    checkFigure(figure, 5000);
    assert.match(specOf(figure).layout.xaxis.title?.text ?? '', /GiB/);
    checkFigure(plotMemory([{ kind: 'nothing', bytes: 0 }]), 3500);
  });

  test('refuses bad rows', () => {
    assert.throws(() => plotMemory([]), ShapeError);
    assert.throws(() => plotMemory([{ kind: 'a', bytes: -1 }]), OptionError);
    assert.throws(() => plotMemory([{ kind: 'a', bytes: Infinity }]), OptionError);
  });
});
