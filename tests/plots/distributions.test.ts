import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import { plotDistributions } from '../../src/plots/index.js';
import { checkFigure, checkSnapshot, noise, specOf } from './figures.js';

describe('plotDistributions', () => {
  test('shows quantiles, extremes and a histogram of each item', () => {
    const figure = plotDistributions([
      { name: 'hook_resid_pre', values: noise(401, 1) },
      { name: 'attn.hook_attn_scores', values: Float32Array.of(-Infinity, 0, 1, 2, 3, 4, -Infinity) },
      { name: 'constant', values: Float32Array.of(2, 2, 2) },
    ]);
    checkFigure(figure, 12_000);
    checkSnapshot('distributions', figure);
    const { data, layout } = specOf(figure);
    assert.deepEqual(layout.yaxis.ticktext, ['hook_resid_pre', 'attn.hook_attn_scores', 'constant']);
    const trace = (name: string) => data.find((candidate) => candidate.name === name);
    assert.deepEqual(trace('median')?.x?.slice(1), [2, 2]);
    assert.deepEqual(trace('middle half')?.x?.slice(3, 5), [1, 3]);
    assert.deepEqual(trace('least and greatest')?.x?.slice(2), [0, 4, 2, 2]);
    assert.match(String(trace('median')?.customdata?.[1]), /5 values, 2 infinite ones left out/);
  });

  test('never ships the values: 100,000 of them make a small spec', () => {
    checkFigure(plotDistributions([{ name: 'a', values: noise(100_000, 3) }]), 7000);
  });

  test('bends the axis where a few values are far out, and labels it with the values', () => {
    const values = noise(2000, 5);
    values[7] = 500;
    values[8] = -300;
    const figure = plotDistributions([{ name: 'a', values }]);
    checkFigure(figure, 9000);
    const { xaxis } = specOf(figure).layout;
    assert.match(xaxis.title?.text ?? '', /bent/);
    assert.deepEqual(xaxis.ticktext, ['−100', '−10', '−1', '0', '1', '10', '100']);
    xaxis.tickvals?.forEach((place, i, all) => assert.ok(i === 0 || place > all[i - 1]));
    assert.equal(xaxis.tickvals?.[3], 0);
    assert.equal(specOf(plotDistributions([{ name: 'a', values: noise(100, 5) }])).layout.xaxis.tickvals, undefined);
  });

  test('any finite values give finite figures within their rows', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float32Array({ minLength: 1, maxLength: 60, noNaN: true, noDefaultInfinity: true }), {
          minLength: 1,
          maxLength: 4,
        }),
        (arrays) => {
          const figure = plotDistributions(arrays.map((values, i) => ({ name: `item ${i}`, values })));
          checkFigure(figure, 60_000);
          const { data, layout } = specOf(figure);
          const [bottom, top] = layout.yaxis.range ?? [0, 0];
          for (const { y } of data)
            for (const value of y ?? []) assert.ok(value === null || (value <= bottom && value >= top));
        },
      ),
      { numRuns: 60 },
    );
  });

  test('refuses bad items', () => {
    assert.throws(() => plotDistributions([]), ShapeError);
    assert.throws(() => plotDistributions([{ name: 'a', values: new Float32Array(0) }]), ShapeError);
    assert.throws(() => plotDistributions([{ name: 'a', values: Float32Array.of(-Infinity) }]), ShapeError);
    assert.throws(() => plotDistributions([{ name: 'a', values: Float32Array.of(1, NaN) }]), /a, index 1/);
    assert.throws(() => plotDistributions(JSON.parse('[{"name":"a","values":[1]}]')), OptionError);
  });
});
