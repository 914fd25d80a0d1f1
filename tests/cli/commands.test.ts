import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { bundled } from '../../src/bundled.js';
import type { CheckpointSummary } from '../../src/checkpoint/inspect.js';
import { loadModel } from '../../src/opened-model.js';
import { nibblelens } from './nibblelens.js';

const folder = mkdtempSync(join(tmpdir(), 'nibblelens-commands-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Standard output of a command that succeeds in silence. */
async function output(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { status, stdout, stderr } = await nibblelens(args, { env });
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  return stdout;
}

describe('nibblelens inspect', { concurrency: 2 }, () => {
  test('tells configuration, sizes and tensors as the files and the loaded model have them', async () => {
    const summary = JSON.parse(await output(['inspect', bundled.storytellerInt4, '--json'])) as CheckpointSummary;
    const { config, files, tensors, matrices, totals, memory } = summary;
    const [vocab, layers, dModel, dFf, kvDim] = [4096, 6, 256, 768, 64];
    const inLayer = 2 * dModel * dModel + 2 * dModel * kvDim + 3 * dModel * dFf;
    assert.equal(config.vocabSize, vocab);
    assert.equal(totals.parameters, 2 * vocab * dModel + layers * (inLayer + 2 * dModel) + dModel);
    // a group of 64 codes of 4 bits has a scale of 16 and a zero point of 4
    const packed = matrices.filter(({ precision }) => precision === 'int4 g64');
    assert.equal(packed.length, 7 * layers);
    for (const { bitsPerWeight } of packed) assert.equal(bitsPerWeight, 4 + 20 / 64);
    const file = join(bundled.storytellerInt4, 'model.safetensors');
    const headerBytes = 8 + Number(readFileSync(file).readBigUInt64LE(0));
    assert.equal(headerBytes + tensors.reduce((sum, { bytes }) => sum + bytes, 0), statSync(file).size);
    assert.deepEqual(files.map(({ name }) => name), ['model.safetensors']);
    assert.equal(memory.kvCachePer1000Tokens, 1000 * layers * 2 * kvDim * 4);
    const model = await loadModel(bundled.storytellerInt4);
    const held = model.memory().objects() as { kind: string; bytes: number }[];
    const weights = held.filter(({ kind }) => kind !== 'rotary table');
    assert.equal(memory.weights, weights.reduce((sum, { bytes }) => sum + bytes, 0));
    model.dispose();
  });

  test('the same in words', async () => {
    const text = await output(['inspect', bundled.storytellerInt4]);
    for (const line of [
      /^architecture +LlamaForCausalLM$/m,
      /^heads +8 of 32, 2 for keys and values$/m,
      /^quantisation +awq, 4 bits, groups of 64$/m,
      /^parameters +6,622,464$/m,
      /^memory needed +[\d.]+ MB for weights$/m,
      /^matrix +shape +precision +bytes +bits per weight$/m,
      /^model\.layers\.0\.self_attn\.k_proj +64 × 256 +int4 g64 +8832 +4\.31$/m,
      /^model\.layers\.5\.mlp\.down_proj\.qweight +i32 +768 × 32 +98304 +model\.safetensors$/m,
    ]) {
      assert.match(text, line);
    }
  });
});

describe('nibblelens quantize', { concurrency: 2 }, () => {
  test('makes the bundled INT4 model, byte for byte, as its card says', async () => {
    const twin = join(folder, 'twin');
    const text = await output(['quantize', bundled.storyteller, twin, '--group-size', '64']);
    assert.match(text, /^matrix +out +in +relative error +bits per weight$/m);
    assert.match(text, /twin: relative error 0\.\d{4} over all matrices$/m);
    for (const name of readdirSync(twin)) {
      assert.ok(readFileSync(join(twin, name)).equals(readFileSync(join(bundled.storytellerInt4, name))), name);
    }
    assert.deepEqual([...readdirSync(twin), 'README.md'].sort(), readdirSync(bundled.storytellerInt4).sort());
  });
});

describe('nibblelens convert', { concurrency: 2 }, () => {
  test('writes a model that says the same, and tells what it wrote', async () => {
    const converted = join(folder, 'converted');
    const text = await output(['convert', bundled.storytellerInt4, converted]);
    for (const line of [/^written +.*converted$/m, /^weights +6\.7 MB$/m, /^matrices +2 in bf16, 42 in int4 g64$/m, /^made of +storyteller-int4, hash [0-9a-f]{64}$/m]) {
      assert.match(text, line);
    }
    const generate = (model: string) => output(['generate', '--model', model, '--prompt', 'Once', '--max-tokens', '8', '--seed', '2']);
    assert.equal(await generate(converted), await generate(bundled.storytellerInt4));
    const again = JSON.parse(await output(['convert', converted, join(folder, 'again'), '--json'])) as { matrices: object };
    assert.deepEqual(again.matrices, { bf16: 2, 'int4 g64': 42 });
  });
});

describe('nibblelens make-weights', { concurrency: 2 }, () => {
  test('writes a file that opens, the same for the same seed', async () => {
    const path = join(folder, 'random.gguf');
    const text = await output(['make-weights', path, '--shape', '24m', '--seed', '9']);
    for (const line of [/^parameters +24,407,712$/m, /^weights +14\.4 MB, 4\.72 bits per weight$/m, /^seed +9$/m]) assert.match(text, line);
    const model = await loadModel(path);
    assert.equal(model.config.hiddenSize, 288);
    model.dispose();
    const other = join(folder, 'other.gguf');
    const made = JSON.parse(await output(['make-weights', other, '--shape', '24m', '--format', 'gguf', '--seed', '9', '--json'])) as { bytes: number };
    assert.equal(made.bytes, statSync(path).size);
    assert.ok(readFileSync(other).equals(readFileSync(path)));
  });
});

describe('nibblelens generate --head', { concurrency: 2 }, () => {
  test('holds the output matrix as asked for, and the record tells', async () => {
    const args = ['generate', '--prompt', 'Once', '--max-tokens', '2', '--seed', '1', '--json'];
    const headOf = async (...more: string[]) => (JSON.parse(await output([...args, ...more])) as { record: { head: string } }).record.head;
    assert.equal(await headOf(), 'bf16');
    assert.equal(await headOf('--head', 'int8', '--embedding', 'f16'), 'int8 g32');
  });
});

describe('nibblelens environment', { concurrency: 2 }, () => {
  test('the table and the JSON tell the same', async () => {
    const env = { NIBBLELENS_NATIVE: 'off' };
    const [text, json] = await Promise.all([output(['environment'], env), output(['environment', '--json'], env)]);
    const rows = JSON.parse(json) as { what: string; picked: string; why: string }[];
    assert.deepEqual(rows.map(({ what }) => what), ['nibblelens', 'node', 'machine', 'kernels', 'threads', 'tfjs backend']);
    assert.deepEqual(text.split('\n').slice(1, -1).map((line) => line.split(/ {2,}/)), rows.map((row) => Object.values(row)));
    const kernels = rows.find(({ what }) => what === 'kernels');
    assert.deepEqual(kernels, { what: 'kernels', picked: 'typescript', why: 'tens of times slower; native addon: switched off by NIBBLELENS_NATIVE=off' });
  });

  test('generation tells of it without loading TensorFlow.js', async () => {
    const { stdout } = await nibblelens(['generate', '--prompt', 'a', '--max-tokens', '1', '--environment']);
    assert.match(stdout, /^tfjs backend +not loaded +generation needs none$/m);
  });
});
