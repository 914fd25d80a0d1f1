import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OptionError } from '../../base/errors.js';
import { breather, type Breathe } from '../../base/event-loop.js';
import { checkOneOf, checkOptionNames, checkWhole } from '../../base/options.js';
import type { PackedForm, StorageForm } from '../../matrix/form.js';
import type { LlamaConfig } from '../config.js';
import { EMBEDDING, ggufNameOf, layerModules, LM_HEAD, outerModules, type ModuleSpec } from '../names.js';
import { writeFolder } from '../output-folder.js';
import { elementCount } from '../tensor-info.js';
import type { WriteOptions } from '../whole-file.js';
import { writeComputeFile, type ModuleToWrite } from '../write-compute.js';
import { ggufValue, writeGguf, type GgufTensorToWrite, type GgufValue } from '../write-gguf.js';
import { writeSafetensors, type TensorToWrite } from '../write-safetensors.js';
import { randomDense, randomPacked, randomQ4Blocks } from './random-matrix.js';
import { randomVocabulary } from './random-vocabulary.js';
import { RandomWords } from './random-words.js';
import { randomConfig, randomConfigJson, WEIGHT_SHAPES, type WeightShape } from './shapes.js';

/** How `makeWeights` stores a model. */
export const WEIGHT_FORMATS = ['gguf', 'int4', 'mixed', 'bf16'] as const;
export type WeightFormat = (typeof WEIGHT_FORMATS)[number];

/** What `makeWeights` makes. */
export interface MakeWeightsOptions {
  /** Weights of the model, about: "24m", "1.1b" or "3b". */
  shape: WeightShape;
  /**
   * - 'gguf': a file, all matrices in Q4_0, with a made-up vocabulary;
   * - 'int4': a folder in compute layout, 4 bits in groups of 128 with zero points, as AWQ has them;
   * - 'mixed': the same, every second matrix in 3 bits: 3.5 on average;
   * - 'bf16': a folder in Hugging Face's layout.
   *
   * Of 'int4' and 'mixed' the embedding is float16, and lm_head has 4 bits in groups of 32, as Q4_0 has.
   */
  format: WeightFormat;
  /** A whole number below 2^32, 0 unless given; the same seed gives the same bytes. */
  seed?: number;
  signal?: AbortSignal;
  /** Bytes written, of all. */
  onProgress?: (done: number, total: number) => void;
}

/** What `makeWeights` made. */
export interface MadeWeights {
  readonly path: string;
  readonly shape: WeightShape;
  readonly format: WeightFormat;
  readonly seed: number;
  /** Weights of the model. */
  readonly parameters: number;
  /** Of the file that holds them. */
  readonly bytes: number;
}

/**
 * Writes a LLaMA of random weights, for measurements that need a model of some size and nothing of what it says. Weights
 * have mean 0 and a variance of 1 / inputs, so that activations stay of order 1; gains are 1.
 * `output` appears whole, or, after an error or an abort, not at all.
 * @throws OptionError for options that cannot be, and where there is something at `output` already.
 */
export async function makeWeights(output: string, options: MakeWeightsOptions): Promise<MadeWeights> {
  checkOptionNames(options, ['shape', 'format', 'seed', 'signal', 'onProgress'], 'option of makeWeights');
  const { shape, format, seed = 0, ...write } = options;
  checkOneOf('shape', shape, Object.keys(WEIGHT_SHAPES));
  checkOneOf('format', format, WEIGHT_FORMATS);
  checkWhole('makeWeights', 'seed', seed, 0, 2 ** 32 - 1);
  const config = randomConfig(shape);
  const specs = modulesOf(config);
  const breathe = breather(options.signal);
  const recipe: Recipe = { seed, breathe };
  if (format === 'gguf') await writeRandomGguf(output, config, specs, recipe, write);
  else {
    await writeFolder(output, async (folder) => {
      const file = join(folder, 'model.safetensors');
      await writeFile(join(folder, 'config.json'), `${JSON.stringify(randomConfigJson(shape), null, 2)}\n`);
      if (format === 'bf16') {
        await writeSafetensors(file, specs.map((spec) => bf16Tensor(spec, recipe)), { format: 'pt' }, write);
      } else {
        const modules = specs.map((spec, i) => computeModule(spec, formOfModule(spec, i, format), recipe));
        await writeComputeFile(file, modules, { 'nibblelens.source': `random weights, seed ${seed}` }, write);
      }
    });
  }
  const { size } = await stat(format === 'gguf' ? output : join(output, 'model.safetensors'));
  const parameters = specs.reduce((sum, spec) => sum + elementCount(spec.shape), 0);
  return { path: output, shape, format, seed, parameters, bytes: size };
}

interface Recipe {
  readonly seed: number;
  readonly breathe: Breathe;
}

function modulesOf(config: LlamaConfig): ModuleSpec[] {
  const { embedding, norm, lmHead } = outerModules(config);
  const layers = Array.from({ length: config.numHiddenLayers }, (_, i) => layerModules(config, i));
  return [embedding, ...layers.flat(), norm, lmHead];
}

/** Rows of the embedding are activations themselves. */
const varianceOf = ({ name, shape: [, input] }: ModuleSpec): number => (name === EMBEDDING ? 1 : 1 / input);

async function writeRandomGguf(
  path: string,
  config: LlamaConfig,
  specs: readonly ModuleSpec[],
  { seed, breathe }: Recipe,
  options: WriteOptions,
): Promise<void> {
  const there = await stat(path).catch(() => null);
  if (there) {
    const found = there.isDirectory() ? 'a folder' : 'a file';
    throw new OptionError({ thing: 'output file', found, expected: 'a name that is not taken', where: path });
  }
  const tensors = specs.map((spec): GgufTensorToWrite => {
    const { name, kind, shape } = spec;
    const named = { name: ggufNameOf(`${name}.weight`) ?? name, shape };
    if (kind === 'norm') return { ...named, type: 'F32', data: new Uint8Array(new Float32Array(shape[0]).fill(1).buffer) };
    const blocks = elementCount(shape) / 32;
    return { ...named, type: 'Q4_0', data: () => randomQ4Blocks(new RandomWords(seed, name), blocks, varianceOf(spec)) };
  });
  await writeGguf(path, { metadata: { ...ggufMetadata(config, seed), ...(await randomVocabulary(config.vocabSize, breathe)) }, tensors }, options);
}

function ggufMetadata(config: LlamaConfig, seed: number): Record<string, GgufValue> {
  const { uint32, float32, text } = ggufValue;
  return {
    'general.architecture': text('llama'),
    'general.name': text(`random weights, seed ${seed}`),
    'general.quantization_version': uint32(2),
    // llama.cpp's number for "mostly Q4_0"
    'general.file_type': uint32(2),
    'llama.vocab_size': uint32(config.vocabSize),
    'llama.context_length': uint32(config.maxPositionEmbeddings),
    'llama.embedding_length': uint32(config.hiddenSize),
    'llama.block_count': uint32(config.numHiddenLayers),
    'llama.feed_forward_length': uint32(config.intermediateSize),
    'llama.attention.head_count': uint32(config.numAttentionHeads),
    'llama.attention.head_count_kv': uint32(config.numKeyValueHeads),
    'llama.attention.layer_norm_rms_epsilon': float32(config.rmsNormEps),
    'llama.rope.dimension_count': uint32(config.headDim),
    'llama.rope.freq_base': float32(config.rope.theta),
  };
}

function bf16Tensor(spec: ModuleSpec, recipe: Recipe): TensorToWrite {
  const { name, kind, shape } = spec;
  const ones = new Uint16Array(shape[0]).fill(0x3f80);
  const data = async (): Promise<ArrayBufferView> => (kind === 'norm' ? ones : (await dense(spec, 'bf16', recipe)).values);
  return { name: `${name}.weight`, dtype: 'BF16', shape, data };
}

const dense = ({ name, ...spec }: ModuleSpec, dtype: 'f16' | 'bf16', { seed, breathe }: Recipe) => {
  const [outFeatures, inFeatures] = spec.shape;
  const sizes = { dtype, outFeatures, inFeatures };
  return randomDense(new RandomWords(seed, name), sizes, varianceOf({ name, ...spec }), breathe);
};

/** `index`: of the module in a pass, so that over two layers each matrix is once in 3 and once in 4 bits. */
function formOfModule({ name }: ModuleSpec, index: number, format: 'int4' | 'mixed'): StorageForm {
  if (name === EMBEDDING) return { kind: 'dense', dtype: 'f16' };
  const packed: PackedForm = { kind: 'packed', bits: 4, groupSize: 128, scales: 'f16', zeros: true, offsets: false };
  if (name === LM_HEAD) return { ...packed, groupSize: 32, zeros: false };
  return format === 'mixed' && index % 2 === 0 ? { ...packed, bits: 3 } : packed;
}

function computeModule(spec: ModuleSpec, form: StorageForm, recipe: Recipe): ModuleToWrite {
  const { name, kind, shape } = spec;
  if (kind === 'norm') return { kind, name, size: shape[0], read: async () => new Float32Array(shape[0]).fill(1) };
  const [outFeatures, inFeatures] = shape;
  const read = async () => ({
    weight:
      form.kind === 'packed'
        ? await randomPacked(new RandomWords(recipe.seed, name), form, { outFeatures, inFeatures }, recipe.breathe)
        : await dense(spec, 'f16', recipe),
    bias: null,
  });
  return { kind: 'matrix', name, outFeatures, inFeatures, form, hasBias: false, read };
}
