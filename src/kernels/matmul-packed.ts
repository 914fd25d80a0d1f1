import type { PackedStorage } from '../matrix/storage.js';
import { native } from '../native/native.js';
import { rowsOf, type Kernel, type Operand } from './kernel.js';
import { matmulGradientReference, matmulReference, withColumns } from './matmul.js';
import { execute } from './tfjs.js';

interface MatMulPackedAttributes {
  readonly weight: PackedStorage;
  /** [outFeatures] */
  readonly bias: Float32Array | null;
}

/** dx[r, k] = Σ_n dy[r, n]·W[n, k]; dy [..., outFeatures] → dx [..., inFeatures]. */
export const matmulPackedGradient: Kernel<{ dy: Operand }, MatMulPackedAttributes> = {
  name: 'NibbleMatMulPackedGradient',
  compute({ dy }, { weight }) {
    const rows = rowsOf(dy, weight.outFeatures);
    const dx = new Float32Array(rows * weight.inFeatures);
    (native()?.matmulPackedGradient ?? matmulGradientReference)(dy.values, rows, weight, dx);
    return { values: dx, shape: withColumns(dy.shape, weight.inFeatures) };
  },
};

/**
 * The product with 4-bit weights: y[r, n] = bias[n] + Σ_k x[r, k]·W[n, k], W as `PackedStorage` defines it;
 * x [..., inFeatures] → y [..., outFeatures].
 */
export const matmulPacked: Kernel<{ x: Operand }, MatMulPackedAttributes> = {
  name: 'NibbleMatMulPacked',
  compute({ x }, { weight, bias }) {
    const rows = rowsOf(x, weight.inFeatures);
    const y = new Float32Array(rows * weight.outFeatures);
    (native()?.matmulPacked ?? matmulReference)(x.values, rows, weight, bias, y);
    return { values: y, shape: withColumns(x.shape, weight.outFeatures) };
  },
  gradient: {
    savedInputs: [],
    backward: (dy, _, attributes) => ({ x: () => execute(matmulPackedGradient.name, { dy }, attributes)[0] }),
  },
};
