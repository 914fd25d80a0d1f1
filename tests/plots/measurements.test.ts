import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import { plotMeasurements } from '../../src/plots/index.js';
import { checkFigure, checkSnapshot, specOf } from './figures.js';

const rows = [
  { engine: 'fast', median: 38.2, low: 37, high: 39, unit: 'tok/s' },
  { engine: 'exact', median: 28, low: 25.5, high: 28.4, unit: 'tok/s' },
  { engine: 'node-llama-cpp', median: 24.6, low: 20, high: 26, unit: 'tok/s' },
];

describe('plotMeasurements', () => {
  test('draws a bar for each, whiskers to least and most, ours in another colour', () => {
    const figure = plotMeasurements(rows, { ours: ['fast', 'exact'], limit: { value: 47, label: 'read bandwidth' } });
    checkFigure(figure, 5000);
    checkSnapshot('measurements', figure);
    const { data, layout } = specOf(figure);
    const [{ x, marker, error_x: whiskers }] = data;
    assert.deepEqual(x, [38.2, 28, 24.6]);
    assert.deepEqual(whiskers, { ...(whiskers as object), array: [0.8, 0.4, 1.4], arrayminus: [1.2, 2.5, 4.6] });
    const [ours, same, theirs] = marker?.color as string[];
    assert.equal(ours, same);
    assert.notEqual(ours, theirs);
    assert.deepEqual(layout.yaxis.ticktext, ['fast', 'exact', 'node-llama-cpp']);
    assert.equal(layout.shapes?.[0].x0, 47);
    assert.ok(layout.annotations?.some(({ text }) => text === 'read bandwidth'));
  });

  test('refuses bad rows and rows of several units', () => {
    assert.throws(() => plotMeasurements([]), ShapeError);
    assert.throws(() => plotMeasurements([{ ...rows[0], median: NaN }]), OptionError);
    assert.throws(() => plotMeasurements([rows[0], { ...rows[1], unit: 'ms' }]), /unit: found ms, expected tok\/s/);
  });
});
