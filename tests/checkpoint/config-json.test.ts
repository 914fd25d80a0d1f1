import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { configJson } from '../../src/checkpoint/config-json.js';
import type { LlamaConfig, RopeConfig } from '../../src/checkpoint/config.js';
import { parseConfig } from '../../src/checkpoint/index.js';
import { parseJsonObject } from '../../src/checkpoint/json.js';

const ROPES: readonly RopeConfig[] = [
  { type: 'default', theta: 500000 },
  { type: 'linear', theta: 10000, factor: 4 },
  { type: 'llama3', theta: 10000, factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositionEmbeddings: 64 },
  {
    type: 'yarn',
    theta: 10000,
    factor: 4,
    betaFast: 30,
    betaSlow: 2,
    originalMaxPositionEmbeddings: 32,
    attentionFactor: 1.25,
    truncate: false,
  },
  { type: 'factors', theta: 10000, factors: [1, 1.5, 2, 7.25] },
];

const config = (rope: RopeConfig): LlamaConfig => ({
  architecture: 'LlamaForCausalLM',
  modelType: 'llama',
  hiddenSize: 48,
  intermediateSize: 80,
  numHiddenLayers: 3,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  headDim: 8,
  vocabSize: 100,
  maxPositionEmbeddings: 128,
  rmsNormEps: 1e-6,
  rope,
  attentionBias: true,
  mlpBias: false,
  tieWordEmbeddings: true,
  bosTokenId: null,
  eosTokenIds: [2, 7],
  quantization: null,
});

const parsed = (json: object): LlamaConfig => parseConfig(parseJsonObject(Buffer.from(JSON.stringify(json)), 'config.json'), 'config.json');

describe('configJson', () => {
  for (const rope of ROPES) {
    test(`is read as what it was made of: RoPE ${rope.type}`, () => {
      const whole = config(rope);
      assert.deepEqual(parsed(configJson(whole)), whole);
    });
  }

  test('factors of RoPE that cannot be are refused', () => {
    for (const factors of [[1, 1, 1], [1, 1, 1, 0], [1, 1, 1, '1'], 'many']) {
      const json = { ...configJson(config(ROPES[0])), rope_parameters: { rope_type: 'factors', rope_theta: 10000, factors } };
      assert.throws(() => parsed(json), /rope_parameters\.factors: found .*, expected 4 numbers over 0/);
    }
  });
});
