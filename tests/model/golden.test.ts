import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { f16ToF32, f32ToF16 } from '../../src/base/float16.js';
import { openCheckpoint } from '../../src/checkpoint/index.js';
import { bundled, loadModel, type HookName, type LlamaConfig, type OpenedModel } from '../../src/index.js';
import { inverseFrequencies } from '../../src/layers/rotary-table.js';
import { run } from '../../src/lens/run.js';
import { loadWeights } from '../../src/model/load-weights.js';
import { ModelDecoder } from '../../src/model/model-decoder.js';
import { native } from '../../src/native/native.js';
import type { RotaryTable } from '../../src/ops/index.js';
import { float64Pass } from '../support/float64-llama.js';
import { readGolden, worstExcess } from '../support/golden.js';
import { missing, sharedPath } from '../support/shared.js';

/** What is promised of logits and hidden states: |difference| ≤ ABSOLUTE + RELATIVE·|value|; and of patterns. */
const ABSOLUTE = 1e-4;
const RELATIVE = 1e-5;
const PATTERN = 1e-5;

/** Golden values that miss the promise against a float64 computation themselves (as a test below shows), by key. */
const NOISY: Readonly<Record<string, number>> = { 'llama-gqa long.hidden.2': 2e-4 };

const PATHS = native() ? (['fused', 'composed'] as const) : (['composed'] as const);

type Golden = ReturnType<typeof readGolden>;

function entry(golden: Golden, name: string): { shape: number[]; values: Float32Array } {
  const found = golden.get(name);
  assert.ok(found?.values instanceof Float32Array, name);
  return { shape: found.shape, values: found.values };
}

const float = (golden: Golden, name: string): Float32Array => entry(golden, name).values;

function ids(golden: Golden, name: string): Int32Array {
  const values = golden.get(name)?.values;
  assert.ok(values instanceof Int32Array, name);
  return values;
}

function assertClose(
  actual: Float32Array,
  expected: Float32Array,
  what: string,
  bound = NOISY[what] ?? ABSOLUTE,
): void {
  const excess = worstExcess(actual, expected, RELATIVE);
  assert.ok(excess <= bound, `${what}: off by ${excess} more than the relative part`);
}

function assertPattern(actual: Float32Array, expected: Float32Array, what: string): void {
  const worst = worstExcess(actual, expected);
  assert.ok(worst <= PATTERN, `${what}: off by ${worst}`);
}

/** Greedy continuation through the cache, and the likeliest ids of one pass over all of it on the given path. */
async function assertGreedy(
  model: OpenedModel,
  path: 'fused' | 'composed',
  prompt: Int32Array,
  greedy: Int32Array,
): Promise<void> {
  const options = { temperature: 0, maxTokens: greedy.length, ignoreEos: true };
  assert.deepEqual([...(await model.generate(prompt, options)).ids], [...greedy]);
  const { logits } = await model.run(Int32Array.from([...prompt, ...greedy.subarray(0, -1)]), { path });
  const { vocabSize } = model.config;
  const likeliest = all(greedy.length).map((i) => {
    const row = logits.subarray((prompt.length - 1 + i) * vocabSize, (prompt.length + i) * vocabSize);
    return row.indexOf(Math.max(...row));
  });
  assert.deepEqual(likeliest, [...greedy]);
}

/** Rows of every head of a pattern [head, pos, pos], those of the given queries: [head, queries, pos]. */
function patternRows(pattern: Float32Array, pos: number, queries: readonly number[]): Float32Array {
  const heads = pattern.length / pos ** 2;
  const rows = Array.from({ length: heads }, (_, head) => queries.map((query) => (head * pos + query) * pos)).flat();
  return Float32Array.from(rows.flatMap((from) => [...pattern.subarray(from, from + pos)]));
}

const all = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

const TINY = [
  'llama-mha',
  'llama-gqa',
  'llama-mqa',
  'llama-bf16',
  'llama-tied',
  'llama-headdim',
  'llama-bias',
  'llama-sharded',
  'rope-linear',
  'rope-yarn',
  'rope-llama3',
];

for (const path of PATHS) {
  describe(`tiny checkpoints, ${path}`, { skip: missing('models/tiny') }, () => {
    for (const name of TINY) {
      test(`${name}: all that its golden file holds`, async () => {
        const folder = sharedPath(`models/tiny/${name}`) ?? '';
        const golden = readGolden(`${folder}/golden.safetensors`);
        const model = await loadModel(folder);
        const hookOf = (key: string): HookName =>
          key === 'hidden.norm'
            ? 'unembed.hook_in'
            : key === 'hidden.0'
              ? 'blocks.0.hook_resid_pre'
              : key === 'attn0'
                ? 'blocks.0.attn.hook_pattern'
                : (`blocks.${Number(key.slice('hidden.'.length)) - 1}.hook_resid_post` as HookName);
        for (const prompt of ['short', 'long']) {
          const keys = [...golden.keys()]
            .filter((key) => key.startsWith(`${prompt}.`))
            .map((key) => key.split(`${prompt}.`)[1]);
          const points = keys.filter((key) => key.startsWith('hidden.') || key === 'attn0');
          const layers = model.config.numHiddenLayers;
          assert.ok(points.length >= layers + 2, 'a state before and after every layer, and a pattern');
          assert.deepEqual(keys.filter((key) => !points.includes(key)).sort(), ['greedy', 'input_ids', 'logits']);

          const input = ids(golden, `${prompt}.input_ids`);
          const result = await model.run(input, { path, capture: points.map(hookOf) });
          assert.equal(result.record.path, path);
          assertClose(result.logits, float(golden, `${prompt}.logits`), `${name} ${prompt}.logits`);
          for (const key of points) {
            const { shape, values: expected } = entry(golden, `${prompt}.${key}`);
            const { values } = result.activations.get(hookOf(key));
            const what = `${name} ${prompt}.${key}`;
            if (key !== 'attn0') assertClose(values, expected, what);
            // a short prompt's pattern is there in full, every tenth row of a long one's
            else {
              const queries = all(shape[1]).map((row) => (shape[1] === input.length ? row : 10 * row + 9));
              assertPattern(patternRows(values, input.length, queries), expected, what);
            }
          }
          await assertGreedy(model, path, input, ids(golden, `${prompt}.greedy`));
        }
      });
    }
  });
}

test(
  'float64 misses the noisy golden values by more than is promised, and no others',
  { skip: missing('models/tiny') },
  () => {
    for (const name of ['llama-gqa', 'llama-mha']) {
      const folder = sharedPath(`models/tiny/${name}`) ?? '';
      const golden = readGolden(`${folder}/golden.safetensors`);
      for (const prompt of ['short', 'long']) {
        const { hidden, logits } = float64Pass(folder, ids(golden, `${prompt}.input_ids`));
        const exact = new Map([
          [`${prompt}.logits`, logits],
          ...hidden.map((values, i) => [`${prompt}.hidden.${i}`, values] as const),
        ]);
        for (const [key, values] of exact) {
          const isMissed = worstExcess(values, float(golden, key), RELATIVE) > ABSOLUTE;
          assert.equal(isMissed, `${name} ${key}` in NOISY, `${name} ${key}`);
        }
      }
    }
  },
);

for (const path of PATHS) {
  test(`storyteller, ${path}: all that its golden file holds`, async () => {
    const golden = readGolden(join(bundled.storyteller, 'golden.safetensors'));
    const model = await loadModel(bundled.storyteller);
    const layers = model.config.numHiddenLayers;
    const hookOf = (key: string): HookName => {
      const [kind, index] = key.split('.');
      if (kind === 'attention') return `blocks.${Number(index)}.attn.hook_pattern`;
      if (index === '0') return 'hook_embed';
      return Number(index) === layers ? 'unembed.hook_in' : `blocks.${Number(index) - 1}.hook_resid_post`;
    };
    for (const prompt of ['a', 'b']) {
      const keys = [...golden.keys()].filter((key) => key.startsWith(`${prompt}.`)).map((key) => key.slice(2));
      const points = keys.filter((key) => /^(hidden_states|attention)\./.test(key));
      assert.equal(points.length, 2 * layers + 1, 'states before and after every layer, and every pattern');
      const others = keys.filter((key) => !points.includes(key)).sort();
      assert.deepEqual(others, prompt === 'a' ? ['greedy', 'input_ids', 'logits'] : ['input_ids', 'logits']);

      const input = ids(golden, `${prompt}.input_ids`);
      const result = await model.run(input, { path, capture: points.map(hookOf) });
      // of the long prompt the golden file holds the last positions
      const tail = (values: Float32Array, { length }: Float32Array) => values.subarray(values.length - length);
      const logits = float(golden, `${prompt}.logits`);
      assertClose(tail(result.logits, logits), logits, `${prompt}.logits`);
      for (const key of points) {
        const { values } = result.activations.get(hookOf(key));
        const expected = float(golden, `${prompt}.${key}`);
        if (!key.startsWith('attention')) assertClose(tail(values, expected), expected, `${prompt}.${key}`);
        else {
          const queries = prompt === 'a' ? all(input.length) : [input.length - 1];
          assertPattern(patternRows(values, input.length, queries), expected, `${prompt}.${key}`);
        }
      }
    }
    const greedy = ids(golden, 'a.greedy');
    const prompt = ids(golden, 'a.input_ids');
    assert.deepEqual(greedy.subarray(0, prompt.length), prompt);
    await assertGreedy(model, path, prompt, greedy.subarray(prompt.length));
  });
}

test('stories260K: 256 greedy steps, id for id', { skip: missing('data/stories260K') }, async () => {
  const expected = JSON.parse(readFileSync(sharedPath('data/stories260K/greedy.json') ?? '', 'utf8'));
  const model = await loadModel(sharedPath('data/stories260K/hf') ?? '');
  const [bos, ...steps] = expected.greedy_ids as number[];
  assert.equal(steps.length, 256);
  for (const path of PATHS) await assertGreedy(model, path, Int32Array.of(bos), Int32Array.from(steps));
  const { logits } = await model.run(Int32Array.of(bos));
  assertClose(logits, Float32Array.from(expected.logits_pos0 as number[]), 'logits after BOS');
});

describe('AWQ checkpoint', { skip: missing('models/awq') }, () => {
  const folder = sharedPath('models/awq/tiny-llama-awq-gemm') ?? '';
  const golden = folder === '' ? new Map() : readGolden(`${folder}/golden.safetensors`);

  /**
   * The golden logits were computed by a model that had been turned to float16 and back, which leaves RoPE's
   * frequencies rounded to float16, by up to 4e-4 of themselves: with the same rounding, and with it alone, they agree.
   */
  for (const path of PATHS) {
    test(`logits of the dequantised weights, ${path}, with the frequencies of the golden model`, async () => {
      const checkpoint = await openCheckpoint(folder);
      const weights = await loadWeights(checkpoint);
      await checkpoint.close();
      const decoder = new ModelDecoder(weights, { rotary: tableOfFloat16Frequencies(weights.config) });
      for (const prompt of ['short', 'long']) {
        const { logits } = await run(decoder, [ids(golden, `${prompt}.input_ids`)], { path });
        assertClose(logits, float(golden, `${prompt}.logits`), prompt);
      }
    });
  }

  test('as loadModel opens it: greedy ids, and the logits that no rotation touches', async () => {
    const model = await loadModel(folder);
    for (const prompt of ['short', 'long']) {
      const input = ids(golden, `${prompt}.input_ids`);
      const { logits } = await model.run(input);
      const expected = float(golden, `${prompt}.logits`);
      assertClose(logits.subarray(0, 256), expected.subarray(0, 256), `${prompt}, position 0`);
      // the exact frequencies differ from the golden model's: 70 positions of that turn the logits by up to 0.024
      assert.ok(worstExcess(logits, expected) < 0.03, `${prompt}: ${worstExcess(logits, expected)}`);
      for (const path of PATHS) await assertGreedy(model, path, input, ids(golden, `${prompt}.greedy`));
    }
  });
});

function tableOfFloat16Frequencies({ rope, headDim, maxPositionEmbeddings: positions }: LlamaConfig): RotaryTable {
  const frequencies = inverseFrequencies(rope, headDim).map((frequency) => f16ToF32(f32ToF16(frequency)));
  const angles = Float32Array.from({ length: positions * frequencies.length }, (_, at) => {
    return Math.floor(at / frequencies.length) * frequencies[at % frequencies.length];
  });
  return { positions, cos: angles.map(Math.cos), sin: angles.map(Math.sin) };
}
