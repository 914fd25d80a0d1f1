import type { Tensor } from '@tensorflow/tfjs-core';
import { ShapeError } from '../base/errors.js';
import { checkWhole } from '../base/options.js';
import { rope as kernel } from '../kernels/rope.js';
import { runKernel } from '../kernels/run.js';
import { checkSize, checkTensor } from './check.js';

/** Cosines and sines [positions, d_head / 2] of the angle by which each pair of a head turns at each position. */
export interface RotaryTable {
  readonly cos: Float32Array;
  readonly sin: Float32Array;
  readonly positions: number;
  /** Makes the rows before `end`, where they are made as they are needed. */
  readonly reach?: (end: number) => void;
  /** Rows made so far, where they are made as they are needed. */
  readonly made?: number;
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
  if (dHead % 2 !== 0)
    throw new ShapeError({ thing: 'd_head', found: dHead, expected: 'an even number', where: 'rope' });
  checkSize('rope', 'length of cos', table.cos.length, (table.positions * dHead) / 2);
  checkSize('rope', 'length of sin', table.sin.length, table.cos.length);
  for (const position of positions) checkWhole('rope', 'position', position, 0, table.positions - 1);
  table.reach?.(positions.reduce((most, position) => Math.max(most, position), 0) + 1);
  return runKernel(kernel.name, { x }, { positions, table, sign: 1 });
}
