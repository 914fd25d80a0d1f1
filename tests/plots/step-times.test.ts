import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { table } from 'arquero';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import { plotStepTimes } from '../../src/plots/index.js';
import { checkFigure, checkSnapshot, specOf } from './figures.js';

const steps = [
  { token: '·Once', milliseconds: 40 },
  { token: '·upon', milliseconds: 3 },
  { token: '·a', milliseconds: 3.5 },
  { token: '·a', milliseconds: 4.25 },
  { token: '</s>', milliseconds: 3.25 },
];

describe('plotStepTimes', () => {
  test('draws each step over its token, with the median', () => {
    const figure = plotStepTimes(steps);
    checkFigure(figure, 5000);
    checkSnapshot('step-times', figure);
    const { data, layout } = specOf(figure);
    assert.deepEqual(data[0].y, [40, 3, 3.5, 4.25, 3.25]);
    assert.deepEqual(layout.xaxis.tickvals, [0, 1, 2, 3, 4]);
    assert.deepEqual(layout.xaxis.ticktext, ['·Once', '·upon', '·a', '·a', '&lt;/s&gt;']);
    assert.equal(layout.shapes?.[0].y0, 3.5);
    assert.match(layout.yaxis.title?.text ?? '', /ms/);
  });

  test('takes a logarithmic axis only where times differ much', () => {
    assert.equal(specOf(plotStepTimes(steps)).layout.yaxis.type, 'log');
    assert.equal(specOf(plotStepTimes(steps.slice(1))).layout.yaxis.type, undefined);
    checkFigure(plotStepTimes([{ token: 'a', milliseconds: 0 }]), 3500);
  });

  test('takes an arquero table, its order and filter', () => {
    const rows = table({ token: ['x', 'y', 'z'], milliseconds: Float32Array.of(1, 2, 4) });
    const shown = specOf(plotStepTimes(rows.filter('d => d.milliseconds > 1').orderby('token').reify()));
    assert.deepEqual(shown.data[0].customdata, ['y', 'z']);
    assert.deepEqual(shown.data[0].y, [2, 4]);
  });

  test('thins the ticks of a long text, and keeps its tokens under the pointer', () => {
    const long = Array.from({ length: 500 }, (_, i) => ({ token: `t${i}`, milliseconds: 1 + (i % 3) }));
    const figure = plotStepTimes(long);
    checkFigure(figure, 20_000);
    const { data, layout } = specOf(figure);
    assert.equal(data[0].customdata?.length, 500);
    assert.ok((layout.xaxis.tickvals?.length ?? 0) <= 72);
    layout.xaxis.tickvals?.forEach((position, i) => assert.equal(layout.xaxis.ticktext?.[i], `t${position}`));
  });

  test('takes the title that it is given, as plain text', () => {
    assert.match(specOf(plotStepTimes(steps, { title: 'KL < 1' })).layout.title.text, /KL &lt; 1/);
  });

  test('refuses bad rows', () => {
    assert.throws(() => plotStepTimes([]), ShapeError);
    assert.throws(() => plotStepTimes([{ token: 'a', milliseconds: NaN }]), OptionError);
    assert.throws(() => plotStepTimes([{ token: 'a', milliseconds: -1 }]), /row 0/);
    assert.throws(() => plotStepTimes(table({ token: ['a'] })), /milliseconds/);
    assert.throws(() => plotStepTimes(table({ token: [], milliseconds: [] })), ShapeError);
    assert.throws(() => plotStepTimes(JSON.parse('5')), OptionError);
    assert.throws(() => plotStepTimes(JSON.parse('[null]')), OptionError);
  });
});
