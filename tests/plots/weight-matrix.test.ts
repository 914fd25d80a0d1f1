import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import { plotWeightMatrix } from '../../src/plots/index.js';
import { checkFigure, checkSnapshot, noise, specOf } from './figures.js';

const input = { name: 'q_proj', outFeatures: 2, inFeatures: 3, before: Float32Array.of(1, -2, 0, 0.5, 0.25, -0.125) };

describe('plotWeightMatrix', () => {
  test('draws before, after and difference, white at 0', () => {
    const figure = plotWeightMatrix({
      ...input,
      after: Float32Array.of(1, -1.75, 0, 0.5, 0.5, 0),
      labels: ['float', 'INT4'],
    });
    checkFigure(figure, 8000);
    checkSnapshot('weight-matrix', figure);
    const { data, layout } = specOf(figure);
    assert.deepEqual(
      data.map(({ z }) => z),
      [
        [
          [1, -2, 0],
          [0.5, 0.25, -0.125],
        ],
        [
          [1, -1.75, 0],
          [0.5, 0.5, 0],
        ],
        [
          [0, 0.25, 0],
          [0, 0.25, 0.125],
        ],
      ],
    );
    assert.deepEqual(
      data.map(({ coloraxis }) => coloraxis),
      ['coloraxis', 'coloraxis', 'coloraxis2'],
    );
    for (const axis of [layout.coloraxis, layout.coloraxis2]) {
      assert.ok(axis && axis.cmax > 0 && axis.cmin === -axis.cmax, 'centred on 0');
      assert.equal(axis.colorscale[(axis.colorscale.length - 1) / 2][0], 0.5);
      assert.equal(axis.colorscale[(axis.colorscale.length - 1) / 2][1], '#F7F7F7');
    }
    assert.match(layout.title.text, /float, INT4/);
  });

  test('shrinks a large matrix by blocks and keeps every outlier', () => {
    const [outFeatures, inFeatures] = [300, 517];
    const before = noise(outFeatures * inFeatures, 9);
    const after = before.slice();
    before[123 * inFeatures + 400] = after[123 * inFeatures + 400] = -30;
    after[299 * inFeatures + 516] += 5;
    const figure = plotWeightMatrix({ name: 'up_proj', outFeatures, inFeatures, before, after });
    checkFigure(figure, 420_000);
    const { data } = specOf(figure);
    for (const { z = [] } of data) {
      assert.equal(z.length, 100); // blocks of 3 rows
      assert.equal(z[0].length, 104); // blocks of 5 columns
    }
    assert.equal(data[0].z?.[41][80], -30);
    assert.ok(Math.abs((data[2].z?.[99][103] ?? 0) - 5) < 0.01);
    assert.equal(data[2].z?.[0][0], 0);
    assert.deepEqual([data[0].dx, data[0].dy, data[0].x0, data[0].y0], [5, 3, 2.5, 1.5]);
  });

  test('any sizes: each cell is the entry of its block that is farthest from 0', () => {
    const side = fc.integer({ min: 1, max: 300 });
    fc.assert(
      fc.property(side, side, fc.integer({ min: 1, max: 1e6 }), (outFeatures, inFeatures, seed) => {
        const before = noise(outFeatures * inFeatures, seed);
        const figure = plotWeightMatrix({
          name: 'w',
          outFeatures,
          inFeatures,
          before,
          after: new Float32Array(before.length),
        });
        const { data } = specOf(figure);
        const { z = [], dx, dy } = data[0];
        assert.ok(z.length <= 128 && z[0].length <= 128);
        assert.equal(z.length, Math.ceil(outFeatures / Number(dy)));
        assert.equal(z[0].length, Math.ceil(inFeatures / Number(dx)));
        const largest = before.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        const shown = z.flat().reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        assert.ok(Math.abs(largest - shown) <= largest / 500, `${shown} of ${largest}`);
        data[2].z?.forEach((row, r) =>
          row.forEach((value, c) => assert.ok(Math.abs(value + z[r][c]) <= largest / 500)),
        );
      }),
      { numRuns: 25 },
    );
  });

  test('takes a matrix of zeros', () => {
    checkFigure(plotWeightMatrix({ ...input, before: new Float32Array(6), after: new Float32Array(6) }), 8000);
  });

  test('refuses what does not fit', () => {
    assert.throws(() => plotWeightMatrix({ ...input, after: new Float32Array(5) }), ShapeError);
    assert.throws(() => plotWeightMatrix({ ...input, outFeatures: 0, after: input.before }), OptionError);
    assert.throws(() => plotWeightMatrix({ ...input, after: input.before.map(() => NaN) }), /weights after.*index 0/);
    assert.throws(() => plotWeightMatrix({ ...input, after: JSON.parse('[1,2,3,4,5,6]') }), OptionError);
  });
});
