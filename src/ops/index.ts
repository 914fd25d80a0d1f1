export { ready, type BackendName } from '../kernels/backend.js';
export { add } from './add.js';
export {
  attention,
  attentionMix,
  attentionScores,
  type AttentionMixOptions,
  type AttentionOptions,
} from './attention.js';
export { embedding } from './embedding.js';
export { lastRows } from './last-rows.js';
export { matmul } from './matmul.js';
export { reshape } from './reshape.js';
export { divideRows, multiplyColumns, rmsNorm, rmsNormScale } from './rms-norm.js';
export { rope, type RotaryTable } from './rope.js';
export { roundToCache } from './round-to-cache.js';
export { softmax } from './softmax.js';
export { swiglu } from './swiglu.js';
export { tensorValues, tidyValues } from './values.js';
export { vectorJacobian, watch } from './vector-jacobian.js';
