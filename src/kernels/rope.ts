import { native, type NativeAddon } from '../native/native.js';
import type { Kernel, Operand } from './kernel.js';
import { execute } from './tfjs.js';

interface RoPEAttributes {
  /** [batch·pos]: the row of the tables for each row of x. */
  readonly positions: Int32Array;
  /** cos and sin [positions, d_head / 2] of the angles. */
  readonly table: { readonly cos: Float32Array; readonly sin: Float32Array };
  /** 1 turns forward, −1 back. */
  readonly sign: 1 | -1;
}

/** (a, b) → (a·cos − b·sin, b·cos + a·sin), with a = x[i] and b = x[i + d_head / 2]; sin takes the sign. */
export const ropeReference: NativeAddon['rope'] = (x, heads, dHead, positions, cos, sin, sign, y) => {
  const half = dHead / 2;
  positions.forEach((position, row) => {
    for (let head = 0; head < heads; head++) {
      const start = (row * heads + head) * dHead;
      for (let i = 0; i < half; i++) {
        const c = cos[position * half + i];
        const s = sign * sin[position * half + i];
        const a = x[start + i];
        const b = x[start + half + i];
        y[start + i] = a * c - b * s;
        y[start + half + i] = b * c + a * s;
      }
    }
  });
};

/**
 * Rotary position embedding (Su et al. 2021) on pairs (i, i + d_head / 2), x [batch, pos, head, d_head] → the same
 * shape. The gradient of a rotation is the rotation back, with the tables' factor, if any, kept.
 */
export const rope: Kernel<{ x: Operand }, RoPEAttributes> = {
  name: 'NibbleRoPE',
  compute({ x }, { positions, table, sign }) {
    const [, , heads, dHead] = x.shape;
    const y = new Float32Array(x.values.length);
    (native()?.rope ?? ropeReference)(x.values, heads, dHead, positions, table.cos, table.sin, sign, y);
    return { values: y, shape: x.shape };
  },
  gradient: {
    savedInputs: [],
    backward: (dy, _, attributes) => ({
      x: () => execute(rope.name, { x: dy }, { ...attributes, sign: -attributes.sign })[0],
    }),
  },
};
