export { quantizeCheckpoint, type QuantizeOptions } from './quantize-checkpoint.js';
export { QuantizationResult, type QuantizationRecord, type QuantizedMatrix } from './result.js';
export { quantizeRtn } from './rtn.js';
