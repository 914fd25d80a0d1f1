import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CheckpointError } from '../../src/base/errors.js';
import type { LlamaConfig, RopeConfig } from '../../src/checkpoint/config.js';
import { parseJsonObject, type JsonObject } from '../../src/checkpoint/json.js';
import { parseConfig } from '../../src/checkpoint/parse-config.js';
import { readConfig } from '../../src/checkpoint/read-config.js';
import { missing, sharedPath } from '../support/shared.js';
import { tinyCheckpoint, withFolder } from '../support/tiny-checkpoint.js';

const WHERE = '/model/config.json';
const BASE = tinyCheckpoint({ weights: 'gemm' }).config;

const asObject = (value: object): JsonObject => parseJsonObject(new TextEncoder().encode(JSON.stringify(value)), WHERE);
const parse = (change: object): LlamaConfig => parseConfig(asObject({ ...BASE, ...change }), WHERE);

function refuses(change: object, thing: string, found: string, expected: string): void {
  assert.throws(
    () => parse(change),
    (error) => {
      assert.ok(error instanceof CheckpointError, String(error));
      assert.ok(error.thing.includes(thing), error.message);
      assert.ok(String(error.found).includes(found), error.message);
      assert.ok(String(error.expected).includes(expected), error.message);
      assert.equal(error.where, WHERE);
      return true;
    },
    JSON.stringify(change),
  );
}

describe('config.json of transformers 5 and of transformers 4', { skip: missing('models/tiny') }, () => {
  const root = sharedPath('models/tiny') ?? '';
  const folders = readdirSync(root).filter((name) => /^(llama|rope)-/.test(name));
  const read = (folder: string, name: string): Record<string, unknown> =>
    JSON.parse(readFileSync(`${root}/${folder}/${name}`, 'utf8'));

  for (const folder of folders) {
    test(folder, () => {
      const [now, before] = ['config.json', 'config.legacy.json'].map((name) => read(folder, name));
      assert.ok('rope_parameters' in now && 'rope_scaling' in before && 'rope_theta' in before);
      if (folder === 'rope-dynamic' || folder === 'rope-longrope') {
        const key = folder === 'rope-dynamic' ? /rope_type: found "?dynamic/ : /architecture: found "Phi3ForCausalLM"/;
        for (const json of [now, before]) assert.throws(() => parseConfig(asObject(json), WHERE), key);
        return;
      }
      const config = parseConfig(asObject(now), WHERE);
      assert.deepEqual(parseConfig(asObject(before), WHERE), config);
      const heads = Number(now.num_attention_heads);
      assert.deepEqual(
        { ...config, rope: null },
        {
          architecture: 'LlamaForCausalLM',
          modelType: 'llama',
          hiddenSize: now.hidden_size,
          intermediateSize: now.intermediate_size,
          numHiddenLayers: now.num_hidden_layers,
          numAttentionHeads: heads,
          numKeyValueHeads: now.num_key_value_heads,
          headDim: now.head_dim ?? Number(now.hidden_size) / heads,
          vocabSize: now.vocab_size,
          maxPositionEmbeddings: now.max_position_embeddings,
          rmsNormEps: now.rms_norm_eps,
          rope: null,
          attentionBias: now.attention_bias,
          mlpBias: now.mlp_bias,
          tieWordEmbeddings: now.tie_word_embeddings,
          bosTokenId: now.bos_token_id,
          eosTokenIds: [now.eos_token_id],
          quantization: null,
        },
      );
      const rope = now.rope_parameters as Record<string, unknown>;
      assert.equal(config.rope.theta, rope.rope_theta);
      assert.equal(config.rope.type, rope.rope_type);
    });
  }

  test('scaled RoPE by its numbers', () => {
    const rope = (folder: string): RopeConfig => parseConfig(asObject(read(folder, 'config.legacy.json')), WHERE).rope;
    assert.deepEqual(rope('rope-linear'), { type: 'linear', theta: 10_000, factor: 4 });
    assert.deepEqual(rope('rope-llama3'), {
      type: 'llama3',
      theta: 500,
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositionEmbeddings: 32,
    });
    assert.deepEqual(rope('rope-yarn'), {
      type: 'yarn',
      theta: 10_000,
      factor: 4,
      betaFast: 2,
      betaSlow: 1,
      originalMaxPositionEmbeddings: 64,
      attentionFactor: 0.1 * Math.log(4) + 1,
      truncate: true,
    });
  });
});

describe('keys that may be absent', () => {
  test('the defaults of transformers', () => {
    const needed = ['hidden_size', 'intermediate_size', 'num_attention_heads', 'num_hidden_layers', 'vocab_size'];
    const few = Object.fromEntries(needed.map((key) => [key, BASE[key]]));
    const config = parseConfig(asObject({ ...few, architectures: ['LlamaForCausalLM'], head_dim: null }), WHERE);
    assert.equal(config.headDim, 16);
    assert.equal(config.numKeyValueHeads, config.numAttentionHeads);
    assert.equal(config.rmsNormEps, 1e-6);
    assert.equal(config.maxPositionEmbeddings, 2048);
    assert.deepEqual(config.rope, { type: 'default', theta: 10_000 });
    assert.deepEqual([config.attentionBias, config.mlpBias, config.tieWordEmbeddings], [false, false, false]);
    assert.deepEqual([config.bosTokenId, config.eosTokenIds], [null, []]);
    assert.equal(config.quantization, null);
  });

  test('the architecture by its older spelling, or by model_type alone', () => {
    assert.equal(parse({ architectures: ['LLaMAForCausalLM'] }).architecture, 'LlamaForCausalLM');
    assert.equal(parse({ architectures: undefined }).architecture, 'LlamaForCausalLM');
    assert.equal(parse({ architectures: [] }).architecture, 'LlamaForCausalLM');
  });

  test('RoPE of older files, and defaults of yarn', () => {
    const old = { rope_parameters: undefined, rope_theta: 5e5 };
    assert.deepEqual(parse({ ...old, rope_scaling: null }).rope, { type: 'default', theta: 5e5 });
    assert.deepEqual(parse({ ...old, rope_scaling: { type: 'linear', factor: 2 } }).rope, {
      type: 'linear',
      theta: 5e5,
      factor: 2,
    });
    const yarn = parse({
      ...old,
      rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 32 },
    }).rope;
    assert.deepEqual(yarn, {
      type: 'yarn',
      theta: 5e5,
      factor: 4,
      betaFast: 32,
      betaSlow: 1,
      originalMaxPositionEmbeddings: 32,
      attentionFactor: 0.1 * Math.log(4) + 1,
      truncate: true,
    });
    const deepseek = parse({
      ...old,
      rope_scaling: { type: 'yarn', factor: 40, mscale: 1, mscale_all_dim: 0.707 },
    }).rope;
    assert.ok(deepseek.type === 'yarn');
    assert.equal(deepseek.attentionFactor, (0.1 * Math.log(40) + 1) / (0.1 * 0.707 * Math.log(40) + 1));
  });

  test('end-of-text ids: a number or a list, from both files', async () => {
    assert.deepEqual(parse({ eos_token_id: [5, 6, 5] }).eosTokenIds, [5, 6]);
    assert.deepEqual(parse({ eos_token_id: null, bos_token_id: -1 }).eosTokenIds, []);
    assert.equal(parse({ bos_token_id: -1 }).bosTokenId, null);
    const files = {
      'config.json': { ...BASE, eos_token_id: 7 },
      'generation_config.json': { eos_token_id: [8, 7, 9] },
    };
    await withFolder(files, async (folder) => assert.deepEqual((await readConfig(folder)).eosTokenIds, [7, 8, 9]));
    const wrong = { ...files, 'generation_config.json': { eos_token_id: [8, 24] } };
    await withFolder(wrong, (folder) =>
      assert.rejects(readConfig(folder), /generation_config\.json: eos_token_id: found 24/),
    );
  });
});

describe('quantisation', () => {
  const quantized = (change: object) => parse({ quantization_config: change }).quantization;
  const awq = { method: 'awq', bits: 4, groupSize: 64, zeroPoint: true, version: 'gemm' };

  test('both spellings, in config.json and beside it', async () => {
    assert.deepEqual(
      quantized({ quant_method: 'awq', bits: 4, group_size: 64, zero_point: true, version: 'gemm' }),
      awq,
    );
    assert.deepEqual(
      quantized({ quant_method: 'AWQ', w_bit: 4, q_group_size: 64, zero_point: true, version: 'GEMM' }),
      awq,
    );
    assert.deepEqual(quantized({ w_bit: 4, q_group_size: 64, zero_point: true }), awq);
    assert.deepEqual(quantized({ quant_method: 'awq', group_size: 64 }), awq);
    assert.equal(quantized({ quant_method: 'awq', bits: 4 })?.groupSize, 128);
    assert.equal(quantized({ quant_method: 'awq', group_size: -1 })?.groupSize, Infinity);
    assert.equal(
      quantized({ quant_method: 'awq', zero_point: false, modules_to_not_convert: ['lm_head'] })?.zeroPoint,
      false,
    );
    assert.equal(parse({ quantization_config: null }).quantization, null);
    const { quantization_config: _, ...config } = BASE;
    for (const name of ['quant_config.json', 'quantize_config.json']) {
      const files = {
        'config.json': config,
        [name]: { zero_point: true, q_group_size: 64, w_bit: 4, version: 'GEMM' },
      };
      await withFolder(files, async (folder) => assert.deepEqual((await readConfig(folder)).quantization, awq));
    }
    const both = { 'config.json': BASE, 'quant_config.json': { w_bit: 3, q_group_size: 64 } };
    await withFolder(both, async (folder) => assert.equal((await readConfig(folder)).quantization?.groupSize, 32));
  });

  test('methods and sizes that are not supported', () => {
    const wrong = (config: unknown, thing: string, found: string, expected: string) =>
      refuses({ quantization_config: config }, thing, found, expected);
    for (const method of ['gptq', 'compressed-tensors', 'bitsandbytes', 'fp8', 'hqq']) {
      wrong({ quant_method: method, bits: 4, group_size: 128 }, 'quantization_config.quant_method', method, 'awq');
    }
    wrong({ load_in_4bit: true, bnb_4bit_quant_type: 'nf4' }, 'quantization_config.quant_method', 'nothing', 'awq');
    wrong({ quant_method: 7 }, 'quant_method', '7', 'awq');
    wrong('awq', 'quantization_config', '"awq"', 'an object');
    wrong([], 'quantization_config', '[]', 'an object');
    wrong({ quant_method: 'awq', bits: 3 }, 'bits', '3', '4');
    wrong({ w_bit: 3, q_group_size: 64 }, 'bits', '3', '4');
    wrong({ quant_method: 'awq', bits: '4' }, 'bits', '"4"', '4');
    for (const size of [0, -2, 1.5, '128', [128]])
      wrong({ quant_method: 'awq', group_size: size }, 'group_size', '', 'whole number');
    wrong({ quant_method: 'awq', zero_point: 1 }, 'zero_point', '1', 'true or false');
    wrong({ quant_method: 'awq', version: 2 }, 'version', '2', 'a string');
    refuses(
      { quantization_config: undefined, compression_config: { quant_method: 'compressed-tensors' } },
      'quant_method',
      'compressed',
      'awq',
    );
  });
});

describe('values that cannot be', () => {
  test('architectures and activations of other models', () => {
    for (const name of ['MistralForCausalLM', 'Qwen2ForCausalLM', 'constructor', '']) {
      refuses({ architectures: [name] }, 'architecture', JSON.stringify(name), 'LlamaForCausalLM');
    }
    refuses({ architectures: [7] }, 'architecture', '7', 'LlamaForCausalLM');
    refuses({ architectures: undefined, model_type: 'mistral' }, 'architectures', 'nothing', 'LlamaForCausalLM');
    refuses({ hidden_act: 'gelu' }, 'hidden_act', 'gelu', 'silu');
  });

  test('sizes', () => {
    const counts = [
      'hidden_size',
      'intermediate_size',
      'num_hidden_layers',
      'num_attention_heads',
      'num_key_value_heads',
      'vocab_size',
      'max_position_embeddings',
      'head_dim',
    ];
    for (const key of counts) {
      for (const value of [0, -1, 1.5, 2 ** 40, '64', [64], true])
        refuses({ [key]: value }, key, '', 'a whole number from 1 to');
    }
    for (const key of ['hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads', 'vocab_size']) {
      refuses({ [key]: undefined }, key, 'nothing', 'a whole number');
    }
    refuses({ num_key_value_heads: 3 }, 'num_key_value_heads', '3', 'a divisor of num_attention_heads, 4');
    refuses(
      { max_position_embeddings: 2 ** 24, head_dim: 64 },
      'max_position_embeddings',
      '16777216',
      'at most 8388608',
    );
    refuses({ head_dim: 15 }, 'head_dim', '15', 'an even number');
    refuses({ head_dim: undefined, hidden_size: 66 }, 'hidden_size', '66', 'a multiple of num_attention_heads');
    refuses(
      { num_attention_heads: 2 ** 16, num_key_value_heads: 1, head_dim: 2 ** 10 },
      'head_dim',
      '1024',
      'in all heads',
    );
    for (const value of [0, -1e-5, '1e-5', 1e39, 1e-50])
      refuses({ rms_norm_eps: value }, 'rms_norm_eps', '', 'a number over 0');
    for (const key of ['attention_bias', 'mlp_bias', 'tie_word_embeddings'])
      refuses({ [key]: 'no' }, key, '"no"', 'true or false');
    for (const key of ['bos_token_id', 'eos_token_id']) {
      for (const value of [24, -2, 0.5, '2', {}]) refuses({ [key]: value }, key, '', "an id below the vocabulary's 24");
    }
    refuses({ eos_token_id: new Array<number>(1001).fill(1) }, 'eos_token_id', '1001', 'at most 1000');
  });

  test('RoPE', () => {
    const wrong = (rope: unknown, thing: string, found: string, expected: string) =>
      refuses({ rope_parameters: rope }, thing, found, expected);
    for (const type of ['dynamic', 'longrope', 'su', 'mrope']) {
      wrong({ rope_type: type, rope_theta: 1e4 }, 'rope_parameters.rope_type', type, 'default, linear, yarn, llama3 or factors');
    }
    wrong({ rope_type: 7 }, 'rope_type', '7', 'a string');
    wrong('linear', 'rope_parameters', '"linear"', 'an object');
    wrong({ rope_type: 'default', rope_theta: 0 }, 'rope_theta', '0', 'a number over 0');
    wrong({ rope_type: 'default', rope_theta: 1 }, 'rope_theta', '1', 'a number over 1');
    wrong({ rope_type: 'linear', rope_theta: 1e4 }, 'factor', 'nothing', 'a number over 0');
    wrong({ rope_type: 'linear', rope_theta: 1e4, factor: -2 }, 'factor', '-2', 'a number over 0');
    const llama3 = { rope_type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 4 };
    wrong(llama3, 'high_freq_factor', '4', 'over 4');
    wrong({ rope_type: 'yarn', factor: 2, beta_fast: 1, beta_slow: 2 }, 'beta_fast', '1', 'at least beta_slow, 2');
    wrong(
      { rope_type: 'yarn', factor: 2, original_max_position_embeddings: 0.5 },
      'original_max_position_embeddings',
      '0.5',
      'whole',
    );
    wrong({ partial_rotary_factor: 0.5 }, 'partial_rotary_factor', '0.5', '1');
    refuses({ rope_parameters: undefined, rope_scaling: { type: 'ntk' } }, 'rope_scaling.rope_type', 'ntk', 'linear');
  });

  test('any value under any key gives a config or a typed error', () => {
    const keys = [...Object.keys(BASE), 'rope_scaling', 'rope_theta', 'partial_rotary_factor', 'compression_config'];
    fc.assert(
      fc.property(fc.constantFrom(...keys), fc.jsonValue(), (key, value) => {
        try {
          parse({ [key]: value });
        } catch (error) {
          assert.ok(error instanceof CheckpointError, error instanceof Error ? error.stack : String(error));
          assert.ok(error.message.length < 1000);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('JSON', () => {
  test('duplicate keys are found wherever they stand, and only they', () => {
    const parseText = (text: string) => parseJsonObject(new TextEncoder().encode(text), WHERE);
    for (const text of [
      '{"a":1,"a":2}',
      '{"a":{"b":[{"c":1,"c":2}]}}',
      '{"\\u0061":1,"a":2}',
      '{"":0,"":0}',
      '{"a\\"":1, "a\\u0022" : 2}',
      '{"__proto__":1,"__proto__":2}',
    ]) {
      assert.throws(() => parseText(text), /JSON key: found .* twice/, text);
    }
    for (const text of [
      '{"a":"a","b":"a"}',
      '{"a":{"a":1},"b":{"a":1}}',
      '{"a":["a","a"]}',
      '{"a:":1,"a":"\\":"}',
      '{"x":"{\\"x\\":1","y":"\\\\"}',
    ]) {
      assert.deepEqual(parseText(text), new Map(Object.entries(JSON.parse(text))));
    }
  });

  test('any object reads as JSON.parse reads it', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true }),
        fc.nat({ max: 4 }),
        (object, indent) => {
          const text = JSON.stringify(object, null, indent);
          assert.deepEqual(
            parseJsonObject(new TextEncoder().encode(text), WHERE),
            new Map(Object.entries(JSON.parse(text))),
          );
        },
      ),
      { numRuns: 300 },
    );
  });
});
