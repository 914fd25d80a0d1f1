export * from './base/errors.js';
export { LOG_LEVELS, setLogger, setLogLevel, type Logger, type LogLevel } from './base/logger.js';
export { bundled } from './bundled.js';
export { VERSION } from './base/version.js';
export type { LlamaConfig, QuantizationConfig, RopeConfig } from './checkpoint/config.js';
export { inspectCheckpoint } from './checkpoint/index.js';
export {
  compareModels,
  ModelComparison,
  type PointDifference,
  type PositionDifference,
  type Runnable,
} from './comparison/compare-models.js';
export type * from './generation/index.js';
export { hookNames, LAYER_POINTS, MODEL_POINTS, type HookName, type LayerPoint, type ModelPoint } from './layers/hook-names.js';
export { ActivationCache, type Activation } from './lens/activations.js';
export { ModelRun } from './lens/model-run.js';
export type { Hook, HookSelector, RunOptions } from './lens/run-options.js';
export { bitsPerWeight, dequantize } from './matrix/index.js';
export type { DenseStorage, MatrixStorage, PackedStorage } from './matrix/storage.js';
export type { Graph, GraphNode } from './model/graph.js';
export type { RunRecord } from './model/run-record.js';
export type { LinearName } from './model/weights.js';
export { environment } from './kernels/environment.js';
export * from './notebook/index.js';
export { loadModel, OpenedModel, type LoadOptions, type RunInput } from './opened-model.js';
export * from './plots/index.js';
export { quantizeCheckpoint } from './quantization/index.js';
export { openTokenizer } from './tokenizer/index.js';
export type { EncodedText, EncodeOptions, Tokenizer, TokenStream } from './tokenizer/tokenizer.js';
