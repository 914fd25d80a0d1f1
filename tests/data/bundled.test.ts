import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { bundled, evaluateModels, loadModel } from '../../src/index.js';
import { missing, sharedPath } from '../support/shared.js';

const [FLOAT, INT4] = [bundled.storyteller, bundled.storytellerInt4];
const read = (folder: string, name: string): Promise<string> => readFile(join(folder, name), 'utf8');
const [floatCard, int4Card] = await Promise.all([FLOAT, INT4].map((folder) => read(folder, 'README.md')));

/** What a card's table says of something. */
function entry(card: string, name: string): string {
  const row = card.split('\n').find((line) => line.startsWith(`| ${name} |`));
  return row?.split('|')[2].trim() ?? assert.fail(`no row "${name}"`);
}

/** The first number of a text, with or without thousands separators. */
const numberIn = (text: string): number => Number(/\d[\d,]*(\.\d+)?/.exec(text)?.[0].replaceAll(',', '') ?? NaN);

describe('the bundled models', () => {
  test('are folders in Hugging Face’s layout, with what their cards say', async () => {
    const shared = [
      'README.md',
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer.model',
      'tokenizer_config.json',
    ];
    const texts = ['calibration.txt', 'golden.safetensors', 'golden_tokens.json', 'heldout.txt', 'training'];
    assert.deepEqual((await readdir(INT4)).sort(), shared);
    assert.deepEqual((await readdir(FLOAT)).sort(), [...shared, ...texts].sort());
    for (const name of ['tokenizer.json', 'tokenizer.model', 'tokenizer_config.json', 'generation_config.json']) {
      assert.deepEqual(await readFile(join(INT4, name)), await readFile(join(FLOAT, name)), name);
    }
    for (const card of [floatCard, int4Card]) assert.match(card, /MIT for the weights/);
    assert.match(floatCard, /public domain/);
    assert.match(await read(join(FLOAT, '..'), '.gitattributes'), /^\* -text$/m);
  });

  test('are of the size and shape that the card says', async () => {
    const { config, tokenizer, ...model } = await loadModel(FLOAT);
    const { size } = { size: entry(floatCard, 'size') };
    const linear = config.hiddenSize * config.headDim * 2 * (config.numAttentionHeads + config.numKeyValueHeads);
    const perLayer = linear + 3 * config.hiddenSize * config.intermediateSize + 2 * config.hiddenSize;
    const parameters = config.numHiddenLayers * perLayer + 2 * config.vocabSize * config.hiddenSize + config.hiddenSize;
    assert.equal(numberIn(size), parameters);
    const bytes = (await readFile(join(FLOAT, 'model.safetensors'))).length;
    assert.ok(size.includes(`${(bytes / 1e6).toFixed(1)} MB`), size);
    const architecture = entry(floatCard, 'architecture');
    for (const [words, value] of [
      ['%s layers', config.numHiddenLayers],
      ['d_model %s', config.hiddenSize],
      ['%s heads', config.numAttentionHeads],
      ['over %s key-value heads', config.numKeyValueHeads],
      ['heads of %s', config.headDim],
      ['d_ff %s', config.intermediateSize],
      ['context of %s', config.maxPositionEmbeddings],
      ['vocabulary of %s', config.vocabSize],
    ] as const) {
      assert.ok(architecture.replaceAll(',', '').includes(words.replace('%s', String(value))), words);
    }
    assert.equal(config.tieWordEmbeddings, !architecture.includes('untied'));
    assert.equal(tokenizer.vocabSize, config.vocabSize);
    assert.equal(model.path, FLOAT);

    const int4 = await loadModel(INT4);
    const [packedBytes, bits] = [
      (await readFile(join(INT4, 'model.safetensors'))).length,
      entry(int4Card, 'bits per weight'),
    ];
    assert.ok(
      entry(int4Card, 'size').startsWith(
        `${(packedBytes / 1e6).toFixed(2)} MB (float: ${(bytes / 1e6).toFixed(2)} MB)`,
      ),
    );
    assert.equal(int4.config.quantization?.groupSize, numberIn(/--group-size (\d+)/.exec(int4Card)?.[1] ?? ''));
    const { tensors } = await import('../../src/checkpoint/index.js').then(({ openCheckpoint }) =>
      openCheckpoint(INT4),
    );
    const weights = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
    assert.ok(bits.includes(`${((8 * weights) / parameters).toFixed(2)} over all`), bits);
  });

  test('come with texts of as many tokens as the card says', async () => {
    const { tokenizer } = await loadModel(FLOAT);
    for (const name of ['calibration.txt', 'heldout.txt']) {
      const tokens = tokenizer.encode(await read(FLOAT, name), { addSpecialTokens: false }).length;
      const [, said] = new RegExp(`\`${name}\` \\(from[^,]*, ([\\d,]+) tokens\\)`).exec(floatCard) ?? [];
      assert.equal(numberIn(said), tokens, name);
    }
  });

  test('show what the card’s code says that they show', async () => {
    const [, code] = /```js\n([^]*?)```/.exec(floatCard) ?? assert.fail('no code');
    const folder = await mkdtemp(join(tmpdir(), 'nibblelens-card-'));
    after(() => rm(folder, { recursive: true, force: true }));
    const library = new URL('../../src/index.ts', import.meta.url).href;
    const script = join(folder, 'card.mjs');
    await writeFile(script, code.replace(`'nibblelens'`, `'${library}'`));
    const tsx = import.meta.resolve('tsx');
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', tsx, pathToFileURL(script).pathname]);
    const [previous, once, twice] = stdout.trim().split(' ');
    assert.ok(entry(floatCard, 'attention').includes(`(head 1 with ${previous} of its weight)`), previous);
    assert.ok(
      entry(floatCard, 'repetition').includes(`${once} nats per token the first time, ${twice} the second`),
      stdout,
    );
  });

  test('stand as close to each other as rounding to 4 bits lets them', async () => {
    const models = await Promise.all([FLOAT, INT4].map((folder) => loadModel(folder)));
    const {
      models: [reference, int4],
    } = await evaluateModels([models[0], models[1]], await read(FLOAT, 'heldout.txt'), { windows: 1 });
    assert.ok(reference.perplexity > 1 && reference.perplexity < 200, String(reference.perplexity));
    // a fault in codes, scales or zero points gives tenths of a nat and more
    assert.ok(int4.meanKl > 0 && int4.meanKl < 0.1, String(int4.meanKl));
    assert.ok(int4.topAgreement > 0.75 && int4.topAgreement < 1, String(int4.topAgreement));
  });
});

test(
  'the float model is the one that was trained for this project',
  { skip: missing('models/storyteller') },
  async () => {
    const original = sharedPath('models/storyteller') ?? '';
    const entries = await readdir(original, { withFileTypes: true, recursive: true });
    const files = entries.filter((each) => each.isFile() && each.name !== 'README.md');
    assert.ok(files.length > 10);
    for (const { name, parentPath } of files) {
      const place = join(parentPath.slice(original.length), name);
      assert.ok((await readFile(join(original, place))).equals(await readFile(join(FLOAT, place))), basename(place));
    }
  },
);
