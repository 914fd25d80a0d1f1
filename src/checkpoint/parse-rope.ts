import { ConfigFields } from './config-fields.js';
import type { RopeConfig } from './config.js';
import { asJsonObject } from './json.js';

const SUPPORTED = 'default, linear, yarn, llama3 or factors';

/**
 * RoPE from `rope_parameters` (transformers 5, which holds theta too) or `rope_scaling` beside `rope_theta`; the type
 * is under `rope_type`, in older files `type`. Defaults are those of transformers' `modeling_rope_utils.py`; `factors`
 * is of this library alone.
 */
export function parseRope(config: ConfigFields, maxPositionEmbeddings: number, headDim: number): RopeConfig {
  const key = config.get('rope_parameters') === undefined ? 'rope_scaling' : 'rope_parameters';
  const value = config.get(key) ?? {};
  const object = asJsonObject(value) ?? config.fail(key, value, 'an object');
  const rope = new ConfigFields(object, config.where, `${key}.`, config.names);
  const theta =
    rope.get('rope_theta') === undefined ? config.positive('rope_theta', 10_000) : rope.positive('rope_theta');
  if (theta <= 1) rope.fail('rope_theta', theta, 'a number over 1');
  const rotated = rope.get('partial_rotary_factor') ?? config.get('partial_rotary_factor') ?? 1;
  if (rotated !== 1) rope.fail('partial_rotary_factor', rotated, '1');
  const originalPositions = () =>
    rope.count(
      'original_max_position_embeddings',
      2 ** 24,
      config.get('original_max_position_embeddings') === undefined
        ? maxPositionEmbeddings
        : config.count('original_max_position_embeddings', 2 ** 24),
    );
  const type = rope.text(['rope_type', 'type'], 'default');
  switch (type) {
    case 'default':
      return { type, theta };
    case 'linear':
      return { type, theta, factor: rope.positive('factor') };
    case 'yarn':
      return parseYarn(rope, theta, originalPositions(), maxPositionEmbeddings);
    case 'llama3': {
      const [lowFreqFactor, highFreqFactor] = [rope.positive('low_freq_factor'), rope.positive('high_freq_factor')];
      if (highFreqFactor <= lowFreqFactor) rope.fail('high_freq_factor', highFreqFactor, `over ${lowFreqFactor}`);
      return {
        type,
        theta,
        factor: rope.positive('factor'),
        lowFreqFactor,
        highFreqFactor,
        originalMaxPositionEmbeddings: originalPositions(),
      };
    }
    case 'factors':
      return { type, theta, factors: parseFactors(rope, headDim) };
    case 'factors': {
      const factors = rope.get('factors');
      const isOfHeads = Array.isArray(factors) && factors.length === headDim / 2;
      if (isOfHeads && factors.every(isFactor)) return { type, theta, factors };
      return rope.fail('factors', factors, `${headDim / 2} numbers over 0`);
    }
    default:
      return rope.fail('rope_type', type, SUPPORTED);
  }
}

/** Of a config that was made of a GGUF file's: see `nibblelens convert`. */
function parseFactors(rope: ConfigFields, headDim: number): readonly number[] {
  const factors = rope.get('factors');
  const expected = `${headDim / 2} numbers over 0`;
  if (!Array.isArray(factors) || factors.length !== headDim / 2) return rope.fail('factors', factors, expected);
  return factors.map((factor: unknown) => {
    const isPositive = typeof factor === 'number' && factor > 0 && Number.isFinite(factor);
    return isPositive ? factor : rope.fail('factors', factor, expected);
  });
}

const isFactor = (value: unknown): value is number => typeof value === 'number' && value > 0 && value < Infinity;

/** Peng et al. 2023, arXiv 2309.00071; `mscale` and `mscale_all_dim` are DeepSeek's. */
function parseYarn(rope: ConfigFields, theta: number, originalPositions: number, maxPositions: number): RopeConfig {
  const factor = rope.positive('factor', maxPositions / originalPositions);
  const attention = (mscale: number) => (factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1);
  // transformers takes an mscale of 0 for one that is not given
  const given = (key: string) => (rope.get(key) === 0 ? undefined : rope.get(key));
  const both = given('mscale') !== undefined && given('mscale_all_dim') !== undefined;
  const derived = both ? attention(rope.positive('mscale')) / attention(rope.positive('mscale_all_dim')) : attention(1);
  const [betaFast, betaSlow] = [rope.positive('beta_fast', 32), rope.positive('beta_slow', 1)];
  if (betaFast < betaSlow) rope.fail('beta_fast', betaFast, `at least beta_slow, ${betaSlow}`);
  return {
    type: 'yarn',
    theta,
    factor,
    betaFast,
    betaSlow,
    originalMaxPositionEmbeddings: originalPositions,
    attentionFactor: rope.positive('attention_factor', derived),
    truncate: rope.flag('truncate', true),
  };
}
