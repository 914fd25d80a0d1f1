import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RopeConfig } from '../../src/checkpoint/config.js';
import { growingRotaryTable, inverseFrequencies, rotaryTable } from '../../src/layers/rotary-table.js';
import { missing, sharedPath } from '../support/shared.js';

test('a table turns by position times frequency', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 40 }), (half, positions) => {
      const config = { type: 'default', theta: 10000 } as const;
      const { cos, sin } = rotaryTable(config, 2 * half, positions);
      const frequencies = inverseFrequencies(config, 2 * half);
      assert.equal(frequencies[0], 1);
      for (let p = 0; p < positions; p++) {
        for (let i = 0; i < half; i++) {
          const at = p * half + i;
          assert.ok(Math.abs(cos[at] ** 2 + sin[at] ** 2 - 1) < 1e-6);
          assert.ok(Math.abs(Math.atan2(sin[at], cos[at]) - wrapped(p * 10000 ** (-i / half))) < 1e-5);
        }
      }
    }),
    { numRuns: 30 },
  );
});

const wrapped = (angle: number) => Math.atan2(Math.sin(angle), Math.cos(angle));

test("frequencies are those of transformers' own tests", { skip: missing('data/golden/hf_rope_inv_freq.json') }, () => {
  const golden = JSON.parse(readFileSync(sharedPath('data/golden/hf_rope_inv_freq.json') ?? '', 'utf8'));
  const { head_dim: dHead, rope_theta: theta, max_position_embeddings: original } = golden.common;
  const close = (config: RopeConfig, expected: number[]) => {
    const actual = inverseFrequencies(config, dHead);
    assert.equal(actual.length, expected.length);
    actual.forEach((frequency, i) => assert.ok(Math.abs(frequency - expected[i]) <= 1e-4 * expected[i] + 1e-9, `${config.type} ${i}`));
  };
  close({ type: 'default', theta }, golden.default);
  close(
    {
      type: 'llama3',
      theta,
      factor: golden.llama3.factor,
      lowFreqFactor: golden.llama3.low_freq_factor,
      highFreqFactor: golden.llama3.high_freq_factor,
      originalMaxPositionEmbeddings: golden.llama3.original_max_position_embeddings,
    },
    golden.llama3.inv_freq,
  );
  close(
    {
      type: 'yarn',
      theta,
      factor: golden.yarn.factor,
      betaFast: golden.yarn.beta_fast,
      betaSlow: golden.yarn.beta_slow,
      originalMaxPositionEmbeddings: original,
      attentionFactor: 1,
      truncate: true,
    },
    golden.yarn.inv_freq,
  );
});

test("the Llama 3.1 cache has torchtune's sum", { skip: missing('data/golden/torchtune_llama31_rope_cache.json') }, () => {
  const golden = JSON.parse(readFileSync(sharedPath('data/golden/torchtune_llama31_rope_cache.json') ?? '', 'utf8'));
  const { cos, sin } = rotaryTable(
    {
      type: 'llama3',
      theta: golden.theta,
      factor: golden.scale_factor,
      lowFreqFactor: golden.low_freq_factor,
      highFreqFactor: golden.high_freq_factor,
      originalMaxPositionEmbeddings: golden.old_context_len,
    },
    golden.dim,
    golden.positions,
  );
  const sum = [...cos, ...sin].reduce((a, b) => a + b, 0);
  assert.ok(Math.abs(sum - golden.cos_sin_cache.sum) < 0.02, `${sum}`);
});

test('a growing table has the rows of a whole one as far as it was reached, and no more', () => {
  const config = { type: 'llama3', theta: 5e5, factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositionEmbeddings: 32 } as const;
  const whole = rotaryTable(config, 16, 3000);
  const growing = growingRotaryTable(config, 16, 3000);
  assert.equal(growing.made, 0);
  for (const end of [1, 1, 700, 5, 3000]) {
    growing.reach?.(end);
    const made: number = growing.made ?? 0;
    assert.ok(made >= end && made <= 3000);
    for (const name of ['cos', 'sin'] as const) {
      assert.equal(growing[name].length, whole[name].length);
      assert.deepEqual(growing[name].subarray(0, made * 8), whole[name].subarray(0, made * 8));
      assert.ok(growing[name].subarray(made * 8).every((value) => value === 0));
    }
  }
});
