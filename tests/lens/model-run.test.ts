import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { OptionError, UnknownNameError } from '../../src/base/errors.js';
import { VERSION } from '../../src/base/version.js';
import { bundled, loadModel } from '../../src/index.js';
import { native } from '../../src/native/native.js';
import { assertSameBits } from '../native/support.js';
import { readGolden } from '../support/golden.js';
import { smallModel, someIds } from './support.js';

const model = smallModel();
const sequences = [someIds(1, 5), someIds(2, 5)];
const run = await model.run(sequences, { capture: 'all' });

const folder = mkdtempSync(join(tmpdir(), 'nibblelens-lens-'));
after(() => rmSync(folder, { recursive: true }));

/** ln p of every token after a position, by the definition. */
function logProbabilities(position: number, sequence: number): number[] {
  const logits = [...run.logits.subarray((sequence * 5 + position) * 43, (sequence * 5 + position + 1) * 43)];
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  return logits.map((logit) => Math.log(Math.exp(logit) / total));
}

/** Ids by falling value, the lower id first among equals. */
const ranked = (values: readonly number[]): number[] =>
  [...values.keys()].sort((a, b) => values[b] - values[a] || a - b);

const rejects = (call: () => unknown, message: RegExp): void =>
  assert.throws(call, (error) => error instanceof OptionError && message.test(error.message));

const near = (found: number, expected: number, what: string): void =>
  assert.ok(Math.abs(found - expected) < 1e-5, `${what}: ${found}, expected ${expected}`);

describe('ModelRun', () => {
  test('holds ids, logits and how it came about', () => {
    assert.deepEqual(run.ids, sequences);
    assert.equal(run.logits.length, 2 * 5 * 43);
    assert.equal(run.record.path, native() ? 'fused' : 'composed');
    assert.equal(run.record.model, 'random');
    assert.equal(run.record.precision, 'int4 g16');
    assert.match(run.record.kernels, native() ? /^native \w+$/ : /^typescript$/);
    assert.deepEqual(run.record.versions, { nibblelens: VERSION, node: process.versions.node });
  });

  test('has readable tokens', () => {
    assert.deepEqual(
      run.tokens(),
      Array.from(sequences[0], (id) => `⟨${id}⟩`),
    );
    assert.deepEqual(
      run.tokens(1),
      Array.from(sequences[1], (id) => `⟨${id}⟩`),
    );
    assert.equal(run.label(42), '⟨42⟩');
    rejects(() => run.tokens(2), /sequence: found 2, expected 0 to 1/);
  });

  test('log-probabilities are those of the definition', () => {
    for (const sequence of [0, 1]) {
      for (let position = 0; position < 5; position++) {
        const found = run.logProbabilities(position, sequence);
        logProbabilities(position, sequence).forEach((value, id) => near(found[id], value, `${position}, ${id}`));
      }
    }
    rejects(() => run.logProbabilities(5), /position: found 5, expected 0 to 4/);
    rejects(() => run.logProbabilities(-1), /position: found -1/);
    rejects(() => run.logProbabilities(0.5), /position: found 0\.5/);
    rejects(() => run.logProbabilities(0, 2), /sequence: found 2, expected 0 to 1/);
  });

  test('predictions are the likeliest tokens, with probabilities', () => {
    const expected = logProbabilities(3, 1);
    const rows = run.predictions(3, 7, 1).objects() as { token: string; id: number; probability: number }[];
    assert.deepEqual(
      rows.map(({ id }) => id),
      ranked(expected).slice(0, 7),
    );
    for (const { token, id, probability } of rows) {
      assert.equal(token, `⟨${id}⟩`);
      near(probability, Math.exp(expected[id]), token);
    }
    assert.equal(run.predictions(0).numRows(), 5);
    assert.equal(run.predictions(0, 0).numRows(), 0);
    assert.equal(run.predictions(0, 1000).numRows(), 43);
    rejects(() => run.predictions(0, 1.5), /number of predictions: found 1\.5/);
    rejects(() => run.predictions(0, NaN), /number of predictions: found NaN/);
  });

  test('pattern is one head’s part of what was captured; its rows sum up to 1 and see nothing later', async () => {
    const whole = run.activations.get('blocks.1.attn.hook_pattern').values; // [2, 4, 5, 5]
    for (const sequence of [0, 1]) {
      for (let head = 0; head < 4; head++) {
        const pattern = run.pattern(1, head, sequence);
        assert.deepEqual(pattern, whole.slice((sequence * 4 + head) * 25, (sequence * 4 + head + 1) * 25));
        for (let query = 0; query < 5; query++) {
          const row = pattern.subarray(query * 5, query * 5 + 5);
          near(
            row.reduce((a, b) => a + b),
            1,
            `row ${query}`,
          );
          assert.ok(row.every((value, key) => (key > query ? value === 0 : value > 0)));
        }
      }
    }
    run.pattern(0, 0).fill(NaN);
    assert.ok(!run.activations.get('blocks.0.attn.hook_pattern').values.some(Number.isNaN));
    rejects(() => run.pattern(0, 4), /head: found 4, expected 0 to 3/);
    rejects(() => run.pattern(0, 0, 2), /sequence: found 2, expected 0 to 1/);
    assert.throws(() => run.pattern(2, 0), UnknownNameError);
    const bare = await model.run(sequences[0]);
    assert.throws(() => bare.pattern(0, 0), {
      message: 'captured point: found blocks.0.attn.hook_pattern, expected none was captured',
    });
  });

  test('its table has what was predicted and how well what came was', () => {
    const rows = run.toTable(1).objects() as {
      position: number;
      token: string;
      predicted: string;
      probability: number;
      loss: number | null;
    }[];
    assert.equal(rows.length, 5);
    for (const { position, token, predicted, probability, loss } of rows) {
      const expected = logProbabilities(position, 1);
      const [top] = ranked(expected);
      assert.equal(token, `⟨${sequences[1][position]}⟩`);
      assert.equal(predicted, `⟨${top}⟩`);
      near(probability, Math.exp(expected[top]), token);
      if (position === 4) assert.equal(loss, null);
      else near(loss ?? NaN, -expected[sequences[1][position + 1]], `loss at ${position}`);
    }
    assert.equal(run.toTable(0).get('token', 0), `⟨${sequences[0][0]}⟩`);
    rejects(() => run.toTable(-1), /sequence: found -1/);
  });

  test('of a text has the tokens of the text', async () => {
    const storyteller = await loadModel(bundled.storyteller);
    const story = await storyteller.run('Once upon a time');
    assert.deepEqual(story.ids, [storyteller.tokenizer.encode('Once upon a time')]);
    assert.deepEqual(
      story.tokens(),
      Array.from(story.ids[0], (id) => storyteller.tokenizer.label(id)),
    );
    assert.match(story.tokens().join(''), /Once.*upon.*a.*time/);
  });
});

describe('ActivationCache', () => {
  const { activations } = run;

  test('has names, sizes and points', () => {
    assert.deepEqual(activations.names, model.hookNames);
    assert.deepEqual(
      [...activations].map(({ name }) => name),
      activations.names,
    );
    assert.equal(
      activations.bytes,
      [...activations].reduce((sum, { shape }) => sum + 4 * shape.reduce((a, b) => a * b), 0),
    );
    assert.ok(activations.has('hook_embed'));
    assert.ok(!activations.has('blocks.2.hook_resid_pre'));
    assert.throws(
      () => activations.get('blocks.2.hook_resid_pre'),
      /captured point: found blocks\.2\.hook_resid_pre, expected such as blocks\.[01]\.hook_resid_pre/,
    );
  });

  test('its table sums up each point, without what is masked', () => {
    const rows = activations.toTable().objects() as {
      name: string;
      shape: string;
      mean: number;
      std: number;
      rms: number;
      min: number;
      max: number;
    }[];
    assert.equal(rows.length, activations.names.length);
    rows.forEach((row, i) => {
      const { name, shape, values } = [...activations][i];
      const seen = [...values].filter((value) => value !== -Infinity);
      const mean = (of: readonly number[]) => of.reduce((a, b) => a + b, 0) / of.length;
      assert.equal(row.name, name);
      assert.equal(row.shape, shape.join(' × '));
      near(row.mean, mean(seen), name);
      near(row.std, Math.sqrt(mean(seen.map((value) => (value - mean(seen)) ** 2))), name);
      near(row.rms, Math.sqrt(mean(seen.map((value) => value ** 2))), name);
      assert.equal(row.min, Math.min(...seen));
      assert.equal(row.max, Math.max(...seen));
    });
  });

  test('is saved as a safetensors file that others can read', async () => {
    const path = join(folder, 'activations.safetensors');
    await activations.save(path);
    const read = readGolden(path);
    assert.deepEqual(new Set(read.keys()), new Set(activations.names));
    for (const { name, shape, values } of activations) {
      const found = read.get(name);
      assert.ok(found?.values instanceof Float32Array);
      assert.deepEqual(found.shape, shape);
      assertSameBits(found.values, values, name);
    }
    const bytes = readFileSync(path);
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0))));
    assert.equal(header.__metadata__.format, 'nibblelens activations');
    await assert.rejects(activations.save(join(folder, 'missing', 'file')));
  });
});
