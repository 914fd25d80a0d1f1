import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import { plotRoofline } from '../../src/plots/index.js';
import { checkFigure, checkSnapshot, specOf } from './figures.js';

/** A product of 2048 × 2048 in 4.5 bits: half a byte and some per weight, two operations per weight and row. */
const product = (hook: string, rows: number, microseconds: number) => ({
  hook,
  rows,
  bytes: 2048 * 2048 * 0.5625 + rows * 16384,
  operations: 2 * rows * 2048 * 2048,
  microseconds,
});
const rows = [
  product('blocks.0.attn.q_proj.hook_out', 1, 80),
  product('blocks.0.attn.q_proj.hook_out', 128, 2600),
  product('blocks.1.attn.q_proj.hook_out', 1, 85),
  { hook: 'blocks.0.ln1.hook_normalized', rows: 1, bytes: 24576, operations: 8192, microseconds: 2 },
];

describe('plotRoofline', () => {
  test('places a module by operations per byte and operations a second, under the line of the memory', () => {
    const figure = plotRoofline({ rows, bandwidth: 33e9 });
    checkFigure(figure, 6000);
    checkSnapshot('roofline', figure);
    const { data } = specOf(figure);
    const [roof, products, norms] = data;
    assert.deepEqual(data.map(({ name }) => name), ['roof', 'attention’s projections', 'norms']);
    // 2 operations for 0.5625 bytes, but for the activations
    assert.ok(Math.abs((products.x?.[0] ?? 0) - 2 / 0.5664) < 0.05);
    assert.equal(products.y?.[0], Number((8388.608 / 80).toPrecision(4)));
    assert.deepEqual([norms.x, norms.y], [[0.3333], [4.096]]);
    const [x, y] = [roof.x as number[], roof.y as number[]];
    assert.ok(Math.abs(y[0] / x[0] / 33 - 1) < 1e-3, 'the slanted part is the bandwidth');
    assert.equal(y[2], Math.max(...(products.y as number[])));
  });

  test('refuses bad rows and bandwidths', () => {
    assert.throws(() => plotRoofline({ rows: [], bandwidth: 1 }), ShapeError);
    assert.throws(() => plotRoofline({ rows: [{ ...rows[0], microseconds: 0 }], bandwidth: 1 }), OptionError);
    for (const bandwidth of [0, NaN, Infinity]) assert.throws(() => plotRoofline({ rows, bandwidth }), OptionError);
  });
});
