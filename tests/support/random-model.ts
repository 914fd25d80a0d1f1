import fc from 'fast-check';
import { f32ToF16, f32ToBf16 } from '../../src/base/float16.js';
import type { LlamaConfig } from '../../src/checkpoint/config.js';
import { packMatrix } from '../../src/matrix/pack.js';
import { groupsPerRow, type DenseStorage, type MatrixStorage } from '../../src/matrix/storage.js';
import type { LinearWeights, LlamaWeights } from '../../src/model/weights.js';

/** A small generator of numbers in [0, 1): mulberry32, enough for test data. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export interface RandomModelShape {
  layers: number;
  dModel: number;
  dFf: number;
  kvHeads: number;
  group: number;
  dHead: number;
  vocab: number;
  weights: 'int4' | 'f32' | 'f16' | 'bf16';
  groupSize: number;
  bias: boolean;
  tied: boolean;
  seed: number;
}

/** Odd small LLaMA shapes of every stored type. */
export const randomShape: fc.Arbitrary<RandomModelShape> = fc.record({
  layers: fc.integer({ min: 1, max: 3 }),
  dModel: fc.integer({ min: 3, max: 40 }),
  dFf: fc.integer({ min: 1, max: 50 }),
  kvHeads: fc.integer({ min: 1, max: 3 }),
  group: fc.integer({ min: 1, max: 3 }),
  dHead: fc.integer({ min: 1, max: 10 }).map((half) => 2 * half),
  vocab: fc.integer({ min: 2, max: 70 }),
  weights: fc.constantFrom('int4', 'f32', 'f16', 'bf16'),
  groupSize: fc.integer({ min: 16, max: 48 }),
  bias: fc.boolean(),
  tied: fc.boolean(),
  seed: fc.nat(),
});

/** A LLaMA of random weights, with activations of order one. */
export function randomWeights(shape: RandomModelShape, contextLength = 200): LlamaWeights {
  const random = randomNumbers(shape.seed);
  const normal = (count: number, scale: number) =>
    Float32Array.from({ length: count }, () => (random() + random() + random() - 1.5) * 2 * scale);
  const { dModel, dFf, dHead, vocab, kvHeads } = shape;
  const heads = kvHeads * shape.group;
  const matrix = (outFeatures: number, inFeatures: number): MatrixStorage =>
    shape.weights === 'int4'
      ? randomPacked(random, outFeatures, inFeatures, shape.groupSize)
      : dense(normal(outFeatures * inFeatures, 1 / Math.sqrt(inFeatures)), outFeatures, inFeatures, shape.weights);
  const linear = (outFeatures: number, inFeatures: number): LinearWeights => ({
    weight: matrix(outFeatures, inFeatures),
    bias: shape.bias ? normal(outFeatures, 0.1) : null,
  });
  const gain = () => normal(dModel, 0.1).map((value) => 1 + value);
  const table = dense(normal(vocab * dModel, 1), vocab, dModel, shape.weights === 'int4' ? 'f16' : shape.weights);
  const config: LlamaConfig = {
    architecture: 'LlamaForCausalLM',
    modelType: 'llama',
    hiddenSize: dModel,
    intermediateSize: dFf,
    numHiddenLayers: shape.layers,
    numAttentionHeads: heads,
    numKeyValueHeads: kvHeads,
    headDim: dHead,
    vocabSize: vocab,
    maxPositionEmbeddings: contextLength,
    rmsNormEps: 1e-5,
    rope: { type: 'default', theta: 10000 },
    attentionBias: shape.bias,
    mlpBias: shape.bias,
    tieWordEmbeddings: shape.tied,
    bosTokenId: null,
    eosTokenIds: [],
    quantization: null,
  };
  return {
    config,
    embed_tokens: table,
    layers: Array.from({ length: shape.layers }, () => ({
      input_layernorm: gain(),
      q_proj: linear(heads * dHead, dModel),
      k_proj: linear(kvHeads * dHead, dModel),
      v_proj: linear(kvHeads * dHead, dModel),
      o_proj: linear(dModel, heads * dHead),
      post_attention_layernorm: gain(),
      gate_proj: linear(dFf, dModel),
      up_proj: linear(dFf, dModel),
      down_proj: linear(dModel, dFf),
    })),
    norm: gain(),
    lm_head: shape.tied ? { weight: table, bias: null } : { weight: matrix(vocab, dModel), bias: null },
  };
}

export const randomIds = (seed: number, count: number, vocab: number): Int32Array => {
  const random = randomNumbers(seed);
  return Int32Array.from({ length: count }, () => Math.floor(random() * vocab));
};

function dense(values: Float32Array, outFeatures: number, inFeatures: number, dtype: DenseStorage['dtype']): DenseStorage {
  const toBits = dtype === 'f16' ? f32ToF16 : f32ToBf16;
  const stored = dtype === 'f32' ? values : Uint16Array.from(values, toBits);
  return { kind: 'dense', dtype, outFeatures, inFeatures, values: stored };
}

function randomPacked(random: () => number, outFeatures: number, inFeatures: number, groupSize: number): MatrixStorage {
  const perGroup = { length: outFeatures * groupsPerRow(inFeatures, groupSize) };
  return packMatrix({
    outFeatures,
    inFeatures,
    groupSize,
    codes: Uint8Array.from({ length: outFeatures * inFeatures }, () => Math.floor(random() * 16)),
    scales: Uint16Array.from(perGroup, () => f32ToF16((0.5 + random()) / (5 * Math.sqrt(inFeatures)))),
    zeros: Uint8Array.from(perGroup, () => Math.floor(6 + 4 * random())),
  });
}
