export { generate, generateBatch, generateSamples } from './generate.js';
export type { GenerateOptions } from './options.js';
export type { Prompt } from './prompt.js';
export {
  GenerationResult,
  type Alternative,
  type Generation,
  type GenerationStep,
  type GenerationTimings,
  type StopReason,
} from './result.js';
export { readTokenFile, writeTokenFile, type TokenFile } from './token-files.js';
