import type { Tensor } from '@tensorflow/tfjs-core';
import { OptionError } from '../base/errors.js';
import { rope as kernel } from '../kernels/rope.js';
import { runKernel } from '../kernels/run.js';
import { checkSize, checkTensor } from './check.js';

/** Cosines and sines [positions, d_head / 2] of the angle by which each pair of a head turns at each position. */
export interface RotaryTable {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
  readonly positions: number;
}

/**
 * Rotary position embedding (Su et al. 2021, arXiv:2104.09864) on pairs (i, i + d_head / 2), the layout of Hugging Face
 * checkpoints: x [batch, pos, head, d_head], positions [batch·pos] → the shape of x.
 * @throws ShapeError where sizes do not fit, OptionError for a position that the table does not hold.
 */
export function rope(x: Tensor, positions: Int32Array, table: RotaryTable): Tensor {
  checkTensor('rope', 'x', x, [4]);
  const [batch, pos, , dHead] = x.shape;
  checkSize('rope', 'number of positions', positions.length, batch * pos);
  checkSize('rope', 'd_head', dHead, (2 * table.cos.length) / table.positions);
  const wrong = positions.find((position) => position < 0 || position >= table.positions);
  if (wrong !== undefined) {
    throw new OptionError({ thing: 'position', found: wrong, expected: `0 to ${table.positions - 1}`, where: 'rope' });
  }
  return runKernel(kernel.name, { x }, { positions, table, sign: 1 });
}
