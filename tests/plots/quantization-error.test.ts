import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ShapeError } from '../../src/base/errors.js';
import { plotQuantizationError } from '../../src/plots/index.js';
import { checkFigure, checkSnapshot, noise, specOf } from './figures.js';

describe('plotQuantizationError', () => {
  test('counts every weight once, symmetrically about 0', () => {
    const before = noise(40, 2);
    const after = before.map((value) => Math.round(value * 4) / 4);
    const input = { name: 'o_proj', outFeatures: 5, inFeatures: 8, before, after };
    const figure = plotQuantizationError(input);
    checkFigure(figure, 6000);
    checkSnapshot('quantization-error', figure);
    const { x = [], y = [] } = specOf(figure).data[0];
    assert.equal(x.length, 101);
    assert.equal(x[50], 0);
    x.forEach((at, i) => assert.ok(Math.abs((at ?? 0) + (x[100 - i] ?? 0)) < 1e-6));
    assert.ok(Math.abs(y.reduce<number>((sum, share) => sum + (share ?? 0), 0) - 100) < 0.1);
  });

  test('takes errors of 0, and gives the root mean square', () => {
    const before = Float32Array.of(3, -4);
    const exact = specOf(plotQuantizationError({ name: 'w', outFeatures: 1, inFeatures: 2, before, after: before }));
    assert.equal(exact.data[0].y?.[50], 100);
    const off = specOf(
      plotQuantizationError({ name: 'w', outFeatures: 1, inFeatures: 2, before, after: Float32Array.of(3.5, -3.5) }),
    );
    // √(0.5² + 0.5²) / √(3² + 4²) = 14.1 %
    assert.match(off.layout.title.subtitle?.text ?? '', /root mean square 0\.5, 14\.1 %/);
  });

  test('refuses what does not fit', () => {
    const before = new Float32Array(2);
    assert.throws(
      () => plotQuantizationError({ name: 'w', outFeatures: 1, inFeatures: 3, before, after: before }),
      ShapeError,
    );
  });
});
