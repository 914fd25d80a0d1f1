import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import { plotStepProbabilities } from '../../src/plots/index.js';
import { checkFigure, checkSnapshot, specOf } from './figures.js';

const steps = [
  {
    token: '·a',
    probability: 0.5,
    alternatives: [
      { token: '·the', probability: 0.25 },
      { token: '·a', probability: 0.5 },
    ],
  },
  {
    token: '·fox',
    probability: 0.1,
    alternatives: [
      { token: '·boy', probability: 0.2 },
      { token: '·girl', probability: 0.3 },
    ],
  },
  { token: '⏎', probability: 0.9 },
];

describe('plotStepProbabilities', () => {
  test('stacks the likeliest others on the chosen token', () => {
    const figure = plotStepProbabilities(steps);
    checkFigure(figure, 5000);
    checkSnapshot('step-probabilities', figure);
    const { data, layout } = specOf(figure);
    assert.deepEqual(layout.xaxis.ticktext, ['·a', '·fox', '⏎']);
    assert.deepEqual(
      data.map(({ y }) => y),
      [
        [0.5, null, 0.9],
        [null, 0.1, null],
        [0.25, 0.3, null],
        [null, 0.2, null],
      ],
    );
    assert.match(layout.title.subtitle?.text ?? '', /2 of 3 steps/);
  });

  test('a stack is never higher than 1, and the spec of a long generation stays small', () => {
    const alternatives = Array.from({ length: 20 }, (_, i) => ({ token: `t${i}`, probability: 0.5 / 2 ** i }));
    const figure = plotStepProbabilities(
      Array.from({ length: 200 }, () => ({ token: 't3', probability: 0.0625, alternatives })),
    );
    checkFigure(figure, 120_000);
    const { data } = specOf(figure);
    const height = data.reduce((sum, { y }) => sum + (y?.[0] ?? 0), 0);
    assert.ok(height <= 1.001, `${height}`);
    assert.equal(data.length, 7);
  });

  test('refuses bad rows', () => {
    assert.throws(() => plotStepProbabilities([]), ShapeError);
    assert.throws(() => plotStepProbabilities([{ token: 'a', probability: 1.5 }]), OptionError);
    assert.throws(
      () => plotStepProbabilities([{ token: 'a', probability: 1, alternatives: [{ token: 'b', probability: NaN }] }]),
      /row 0, alternatives, row 0/,
    );
  });
});
