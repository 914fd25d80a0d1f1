export * from './base/errors.js';
export { LOG_LEVELS, setLogger, setLogLevel, type Logger, type LogLevel } from './base/logger.js';
export { bundled } from './bundled.js';
export { VERSION } from './base/version.js';
export type { LlamaConfig, QuantizationConfig, RopeConfig } from './checkpoint/config.js';
export {
  inspectCheckpoint,
  type CheckpointSummary,
  type CheckpointTensor,
  type MatrixSummary,
} from './checkpoint/index.js';
export type { GgmlTypeName } from './checkpoint/ggml-types.js';
export type { Dtype } from './checkpoint/tensor-info.js';
export { convertCheckpoint, type ConversionResult, type ConvertOptions } from './checkpoint/convert-checkpoint.js';
export {
  makeWeights,
  type MadeWeights,
  type MakeWeightsOptions,
  type WeightFormat,
} from './checkpoint/random/make-weights.js';
export type { WeightShape } from './checkpoint/random/shapes.js';
export {
  compareModels,
  ModelComparison,
  type CompareOptions,
  type PointDifference,
  type PositionDifference,
  type Runnable,
} from './comparison/compare-models.js';
export {
  productErrors,
  ProductErrors,
  type ProductError,
  type ProductErrorOptions,
  type WithMatrices,
} from './comparison/product-errors.js';
export {
  evaluateModels,
  Evaluation,
  type Evaluable,
  type EvaluateOptions,
  type ModelEvaluation,
} from './comparison/evaluate.js';
export {
  GenerationResult,
  readTokenFile,
  writeTokenFile,
  type Alternative,
  type GenerateOptions,
  type Generation,
  type GenerationStep,
  type GenerationTimings,
  type StopReason,
  type TokenFile,
} from './generation/index.js';
export { environment } from './kernels/environment.js';
export { hookNames, LAYER_POINTS, MODEL_POINTS, type HookName, type LayerPoint, type ModelPoint } from './layers/hook-names.js';
export { ActivationCache, type Activation } from './lens/activations.js';
export type { GradientOptions, GradientOutput, GradientRun } from './lens/gradient-options.js';
export {
  logitDifference,
  logProbability,
  nextTokenLoss,
  type Metric,
  type MetricInput,
  type MetricPlace,
} from './lens/metrics.js';
export { Roofline } from './lens/roofline.js';
export type { ModuleSpeed, RooflineOptions } from './lens/roofline-options.js';
export { ModelRun } from './lens/model-run.js';
export type { Hook, Hooks, HookSelector, RunOptions } from './lens/run-options.js';
export { bitsPerWeight, dequantize, packMatrix, type UnpackedMatrix } from './matrix/index.js';
export type { CodeBits, DenseStorage, MatrixStorage, Mode, PackedStorage } from './matrix/storage.js';
export type { Graph, GraphNode } from './model/graph.js';
export type { RunRecord } from './model/run-record.js';
export type { LinearName } from './model/weights.js';
export type { CacheType } from './native/native.js';
export * from './notebook/index.js';
export { loadModel, OpenedModel, type LoadOptions, type RunInput } from './opened-model.js';
export * from './plots/index.js';
export type { OuterType } from './quantization/outer-types.js';
export {
  QuantizationResult,
  quantizeCheckpoint,
  type QuantizationRecord,
  type QuantizedMatrix,
  type QuantizeOptions,
} from './quantization/index.js';
export { openTokenizer, type OpenTokenizerOptions } from './tokenizer/index.js';
export type { EncodedText, EncodeOptions, Tokenizer, TokenStream } from './tokenizer/tokenizer.js';
