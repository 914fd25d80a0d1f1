import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import type { PositionDifference } from '../../src/comparison/compare-models.js';
import { plotKlPerPosition } from '../../src/plots/index.js';
import { checkFigure, checkSnapshot, specOf } from './figures.js';

const positions: PositionDifference[] = [
  { position: 0, token: '<s>', kl: 0.01, referenceTop: '·The', otherTop: '·The', changed: false },
  { position: 1, token: '·The', kl: 0.2, referenceTop: '·cat', otherTop: '·dog', changed: true },
  { position: 2, token: '·cat', kl: 0.03, referenceTop: ' ', otherTop: ' ', changed: false },
];

describe('plotKlPerPosition', () => {
  test('marks the positions at which the likeliest token changed', () => {
    const figure = plotKlPerPosition(positions);
    checkFigure(figure, 5000);
    checkSnapshot('kl-per-position', figure);
    const { data, layout } = specOf(figure);
    assert.deepEqual(layout.xaxis.ticktext, ['&lt;s&gt;', '·The', '·cat']);
    assert.deepEqual(
      data.map(({ y }) => y),
      [
        [0.01, null, 0.03],
        [null, 0.2, null],
      ],
    );
    assert.notDeepEqual(data[0].marker?.color, data[1].marker?.color);
    assert.match(JSON.stringify(data[1].customdata?.[1]), /·cat → ·dog/);
    assert.match(JSON.stringify(data[0].customdata?.[2]), /· in both/);
    assert.match(layout.yaxis.title?.text ?? '', /nats/);
    assert.match(layout.title.subtitle?.text ?? '', /mean 0.08 .*changed at 1 of 3/);
  });

  test('refuses bad rows', () => {
    assert.throws(() => plotKlPerPosition([]), ShapeError);
    assert.throws(() => plotKlPerPosition([{ ...positions[0], kl: NaN }]), OptionError);
    assert.throws(() => plotKlPerPosition([{ ...positions[0], kl: -1 }]), OptionError);
    assert.throws(
      () => plotKlPerPosition(JSON.parse('[{"token": "a", "kl": 1, "referenceTop": "b", "otherTop": "c"}]')),
      /changed/,
    );
  });
});
