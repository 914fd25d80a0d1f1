import { engine, type Tensor } from '@tensorflow/tfjs-core';
import { runKernel } from '../kernels/run.js';
import { watch as watchKernel } from '../kernels/watch.js';
import { checkShape, checkTensor } from './check.js';

/**
 * dyᵀ·∂f/∂x at x, in one synchronous call: `f` is run on x under a tape, and its tape run back from `dy`, of the shape
 * of f(x). What `f` made is disposed of; the result [shape of x] is the caller's.
 * @throws ShapeError where dy has another shape, GradientError where a kernel of `f` has none.
 */
export function vectorJacobian(f: (x: Tensor) => Tensor, x: Tensor, dy: Tensor): Tensor {
  checkTensor('vectorJacobian', 'x', x, null);
  const { value, grads } = engine().gradients(
    () => {
      const y = f(x);
      checkShape('vectorJacobian', 'dy', dy.shape, y.shape);
      return y;
    },
    [x],
    dy,
  );
  value.dispose();
  return grads[0];
}

/**
 * x itself, as a point at which a backward pass tells `seen` the gradient by it: values of the shape of x, shared, only
 * to be read.
 */
export function watch(x: Tensor, seen: (gradient: Float32Array) => void): Tensor {
  checkTensor('watch', 'x', x, null);
  return runKernel(watchKernel.name, { x }, { seen });
}
