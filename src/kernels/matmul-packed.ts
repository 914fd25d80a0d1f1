import { GradientError } from '../base/errors.js';
import type { Mode, PackedStorage } from '../matrix/storage.js';
import { native } from '../native/native.js';
import { rowsOf, type Kernel, type Operand } from './kernel.js';
import { fastReference, matmulGradientReference, matmulReference, withColumns } from './matmul.js';
import { execute } from './tfjs.js';

interface MatMulPackedAttributes {
  readonly weight: PackedStorage;
  /** [outFeatures] */
  readonly bias: Float32Array | null;
  /** 'exact' where it is left out. */
  readonly mode?: Mode;
}

/** dx[r, k] = Σ_n dy[r, n]·W[n, k]; dy [..., outFeatures] → dx [..., inFeatures]. */
export const matmulPackedGradient: Kernel<{ dy: Operand }, MatMulPackedAttributes> = {
  name: 'NibbleMatMulPackedGradient',
  compute({ dy }, { weight }) {
    const rows = rowsOf(dy, weight.outFeatures);
    const dx = new Float32Array(rows * weight.inFeatures);
    (native()?.matmulGradient ?? matmulGradientReference)(dy.values, rows, weight, dx);
    return { values: dx, shape: withColumns(dy.shape, weight.inFeatures) };
  },
};

/**
 * The product with low-bit weights: y[r, n] = bias[n] + Σ_k x[r, k]·W[n, k], W as `PackedStorage` defines it and x as
 * `Mode` says; x [..., inFeatures] → y [..., outFeatures]. Only the exact product has a gradient.
 */
export const matmulPacked: Kernel<{ x: Operand }, MatMulPackedAttributes> = {
  name: 'NibbleMatMulPacked',
  compute({ x }, { weight, bias, mode = 'exact' }) {
    const rows = rowsOf(x, weight.inFeatures);
    const y = new Float32Array(rows * weight.outFeatures);
    const addon = native();
    if (addon) addon.matmul(x.values, rows, weight, bias, mode, y);
    else (mode === 'fast' ? fastReference : matmulReference)(x.values, rows, weight, bias, y);
    return { values: y, shape: withColumns(x.shape, weight.outFeatures) };
  },
  gradient: {
    savedInputs: [],
    backward: (dy, _, attributes) => {
      if (attributes.mode === 'fast') {
        throw new GradientError({ thing: 'gradient of a product', found: "mode 'fast'", expected: "mode 'exact'" });
      }
      return { x: () => execute(matmulPackedGradient.name, { dy }, attributes)[0] };
    },
  },
};
