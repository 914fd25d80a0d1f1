import type { DenseStorage } from '../matrix/storage.js';
import { native } from '../native/native.js';
import { rowsOf, type Kernel, type Operand } from './kernel.js';
import { matmulGradientReference, matmulReference, withColumns } from './matmul.js';
import { execute } from './tfjs.js';

interface MatMulDenseAttributes {
  readonly weight: DenseStorage;
  /** [outFeatures] */
  readonly bias: Float32Array | null;
}

/** dx[r, k] = Σ_n dy[r, n]·W[n, k]; dy [..., outFeatures] → dx [..., inFeatures]. */
export const matmulDenseGradient: Kernel<{ dy: Operand }, MatMulDenseAttributes> = {
  name: 'NibbleMatMulDenseGradient',
  compute({ dy }, { weight }) {
    const rows = rowsOf(dy, weight.outFeatures);
    const dx = new Float32Array(rows * weight.inFeatures);
    (native()?.matmulGradient ?? matmulGradientReference)(dy.values, rows, weight, dx);
    return { values: dx, shape: withColumns(dy.shape, weight.inFeatures) };
  },
};

/**
 * The product with float weights (f32, f16 or bf16): y[r, n] = bias[n] + Σ_k x[r, k]·W[n, k];
 * x [..., inFeatures] → y [..., outFeatures].
 */
export const matmulDense: Kernel<{ x: Operand }, MatMulDenseAttributes> = {
  name: 'NibbleMatMulDense',
  compute({ x }, { weight, bias }) {
    const rows = rowsOf(x, weight.inFeatures);
    const y = new Float32Array(rows * weight.outFeatures);
    const addon = native();
    if (addon) addon.matmul(x.values, rows, weight, bias, 'exact', y);
    else matmulReference(x.values, rows, weight, bias, y);
    return { values: y, shape: withColumns(x.shape, weight.outFeatures) };
  },
  gradient: {
    savedInputs: [],
    backward: (dy, _, attributes) => ({ x: () => execute(matmulDenseGradient.name, { dy }, attributes)[0] }),
  },
};
