export { Checkpoint, openCheckpoint, type CheckpointLinear, type CheckpointTensor } from './checkpoint.js';
export type { LlamaConfig, QuantizationConfig, RopeConfig } from './config.js';
export { inspectCheckpoint, type CheckpointSummary, type MatrixSummary } from './inspect.js';
export { parseConfig } from './parse-config.js';
export { readConfig } from './read-config.js';
export {
  openSafetensors,
  SafetensorsFile,
  writeSafetensors,
  type LoadMode,
  type TensorToWrite,
} from './safetensors.js';
