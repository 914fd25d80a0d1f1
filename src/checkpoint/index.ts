export { Checkpoint, openCheckpoint, type CheckpointLinear } from './checkpoint.js';
export type { LlamaConfig, QuantizationConfig, RopeConfig } from './config.js';
export { inspectCheckpoint, type CheckpointSummary, type MatrixSummary } from './inspect.js';
export type { CheckpointTensor } from './module-files.js';
export { parseConfig } from './parse-config.js';
export { readConfig } from './read-config.js';
export {
  openSafetensors,
  SafetensorsFile,
  writeSafetensors,
  type LoadMode,
  type TensorToWrite,
} from './safetensors.js';
