import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { bundled } from '../../src/bundled.js';
import { reportFailure } from '../../src/cli/failure.js';
import { createProgram } from '../../src/cli/program.js';
import { native } from '../../src/native/native.js';
import { nibblelens, type Outcome } from './nibblelens.js';

const folder = mkdtempSync(join(tmpdir(), 'nibblelens-cli-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, 'file');
writeFileSync(file, 'no token file');
const absent = join(folder, 'absent');
const bare = join(folder, 'bare');
mkdirSync(bare);
const gemma = modelLike('gemma', { architectures: ['GemmaForCausalLM'] }, ['model.safetensors', 'tokenizer.model']);
const gptq = modelLike('gptq', { quantization_config: { quant_method: 'gptq', bits: 4, group_size: 64 } }, ['model.safetensors', 'tokenizer.model']);
const wordless = modelLike('wordless', {}, ['model.safetensors']);
const weightless = modelLike('weightless', {}, ['tokenizer.model']);

/** A folder with some of the bundled model's files, and its configuration with other words. */
function modelLike(name: string, words: object, files: readonly string[]): string {
  const model = join(folder, name);
  mkdirSync(model);
  const config = JSON.parse(readFileSync(join(bundled.storytellerInt4, 'config.json'), 'utf8')) as object;
  writeFileSync(join(model, 'config.json'), JSON.stringify({ ...config, ...words }));
  for (const one of files) symlinkSync(join(bundled.storytellerInt4, one), join(model, one));
  return model;
}

/** Arguments that are refused as they are read, and what the one line on standard error must say. */
const REFUSED: readonly (readonly [args: string, says: RegExp])[] = [
  ['generat', /unknown command 'generat'.*generate/],
  ['xyzzy', /unknown command 'xyzzy' \(--help lists what there is\)/],
  ['--verbose generate', /unknown option '--verbose'/],
  ['generate --tempperature 1', /unknown option '--tempperature'.*--temperature/],
  ['generate -x', /unknown option '-x' \(--help lists what there is\)/],
  ['generate --prompt', /'--prompt <text>' argument missing/],
  ['generate extra', /too many arguments/],
  ['generate --prompt a --temperature -1', /--temperature: found "-1", expected a number from 0 up/],
  ['generate --prompt a --temperature warm', /--temperature: found "warm", expected a number/],
  ['generate --prompt a --temperature NaN', /--temperature: found "NaN"/],
  ['generate --prompt a --max-tokens 1.5', /--max-tokens: found "1.5", expected a whole number from 0 up/],
  ['generate --prompt a --max-tokens 1e99', /--max-tokens/],
  ['generate --prompt a --top-k -3', /--top-k: found "-3"/],
  ['generate --prompt a --top-p 0', /--top-p: found "0", expected a number above 0 to 1/],
  ['generate --prompt a --top-p 1.01', /--top-p: found "1.01"/],
  ['generate --prompt a --min-p 2', /--min-p: found "2", expected a number from 0 to 1/],
  ['generate --prompt a --typical-p -0.5', /--typical-p/],
  ['generate --prompt a --repetition-penalty 0', /--repetition-penalty: found "0", expected a number above 0/],
  ['generate --prompt a --presence-penalty x', /--presence-penalty/],
  ['generate --prompt a --frequency-penalty', /'--frequency-penalty <number>' argument missing/],
  ['generate --prompt a --logit-bias 5', /--logit-bias: found "5", expected ID=BIAS, such as 13=-100/],
  ['generate --prompt a --logit-bias 5=a', /--logit-bias: found "a", expected a number/],
  ['generate --prompt a --logit-bias -5=1', /--logit-bias: found "-5", expected a whole number from 0 up/],
  ['generate --prompt a --seed -1', /--seed/],
  ['generate --prompt a --cache int4', /--cache.*Allowed choices are f32, f16, int8/],
  ['generate --prompt a --stop=', /--stop: found an empty text/],
  ['generate --prompt a --stop-id a', /--stop-id: found "a"/],
  ['generate --prompt a --samples 0', /--samples: found "0", expected a whole number from 1 to 1000/],
  ['generate --prompt a --threads 300', /--threads: found "300", expected a whole number from 1 to 256/],
  ['generate --prompt a --context-overflow wrap', /--context-overflow.*stop, error, slide/],
  ['inspect', /missing required argument 'path'/],
  ['quantize', /missing required argument/],
  ['quantize a b --group-size 0', /--group-size: found "0"/],
  ['convert a', /missing required argument 'to'/],
  ['make-weights --shape 24m', /missing required argument 'to'/],
  ['make-weights a', /'--shape <weights>' not specified/],
  ['make-weights a --shape 7b', /--shape.*24m, 1\.1b, 3b/],
  ['make-weights a --shape 24m --format q3', /--format.*gguf, int4, mixed, bf16/],
  ['make-weights a --shape 24m --seed -1', /--seed: found "-1", expected a whole number from 0 to 4294967295/],
  ['generate --prompt a --head int5', /--head.*stored, f16, int8, int4/],
  ['environment --yaml', /unknown option '--yaml'/],
  ['environment --verbose --quiet', /--verbose and --quiet, expected one of them/],
  ['setup now', /too many arguments/],
];

/** Arguments that are refused by the command itself. */
const REFUSED_LATER: typeof REFUSED = [
  ['generate --prompt a --json --stats', /--json and --stats, expected one of them/],
  ['generate --prompt a --log-probabilities', /--log-probabilities: found neither --stats nor --json/],
  ['generate --prompt a --alternatives 3', /--alternatives: found neither --stats nor --json/],
  [`generate --prompt a --tokens-out ${folder}`, /nibblelens-cli-\w+: a folder, not a file/],
  [`generate --prompt a --tokens-out ${join(absent, 'ids')}`, /absent: no such file or folder/],
  [`generate --prompt a --tokens-out ${join(file, 'ids')}`, /file: a file, not a folder/],
  ['generate --prompt a --seed 9007199254740991 --samples 2', /seed: found 9007199254740991, expected at most/],
  ['generate --prompt a --logit-bias 4096=1', /id in logitBias: found 4096, expected a whole number from 0 to 4095/],
  ['generate --prompt a --context-overflow slide --keep-first 511', /keepFirst: found 511, expected a whole number from 0 to 510/],
  ['generate --prompt a --samples 2 --tokens-out b', /--tokens-out: found 2 samples, expected one/],
  [`generate --prompt a --tokens-in ${file}`, /--prompt and --tokens-in, expected one of them/],
  [`generate --prompt a --model ${absent}`, /absent: no such file or folder/],
  [`generate --prompt a --model ${file}`, /--model: found the file .*file, expected a folder or a GGUF file/],
  [`generate --prompt a --model ${bare}`, /weights: found none, expected model\.safetensors/],
  [`generate --prompt a --model ${gemma}`, /architecture: found "GemmaForCausalLM", expected a supported one: LlamaForCausalLM/],
  [`generate --prompt a --model ${gptq}`, /quant_method: found "gptq", expected awq \(.*config\.json\)/],
  [`generate --prompt a --model ${wordless}`, /tokenizer files: found none, expected tokenizer\.json or tokenizer\.model, or a prompt of ids/],
  [`generate --prompt a --model ${weightless}`, /weights: found none, expected model\.safetensors/],
  [`inspect ${gemma}`, /architecture: found "GemmaForCausalLM"/],
  [`generate --tokens-in ${absent}`, /token file: found no such file or folder, expected a file that can be read \(.*absent\)/],
  [`generate --tokens-in ${bare}`, /token file: found a folder, not a file, expected a file that can be read \(.*bare\)/],
  [`generate --tokens-in ${file}`, /first bytes of the token file|length of the token file/],
  [`inspect ${absent}`, /checkpoint: found no such path, expected a folder \(.*absent\)/],
  [`inspect ${bare}`, /weights: found none/],
  [`convert ${absent} ${join(folder, 'out')}`, /checkpoint: found no such path/],
  [`convert ${bundled.storyteller} ${folder}`, /output folder: found a folder with \d+ entries/],
  [`make-weights ${file} --shape 24m`, /output file: found a file, expected a name that is not taken/],
  [`make-weights ${file} --shape 24m --format int4`, /output folder: found a file, not a folder/],
  [`quantize ${absent} ${join(folder, 'out')}`, /absent: no such file or folder/],
  [`quantize ${file} ${join(folder, 'out')}`, /from: found the file .*, expected a folder/],
  [`quantize ${bundled.storyteller} ${folder}`, /output folder: found a folder with \d+ entries, expected a new or empty folder/],
  [`quantize ${bundled.storyteller} ${file}`, /output folder: found a file, not a folder, expected a new or empty folder/],
  [`quantize ${bundled.storytellerInt4} ${join(folder, 'out')}`, /linear layer: found a quantised one, expected float weights/],
  [`quantize ${bundled.storyteller} ${join(folder, 'out')} --group-size 17`, /256 inputs, not a multiple of the group size 17/],
  [`lab ${absent}`, /absent: no such file or folder/],
  [`lab ${file}`, /found the file .*, expected a folder/],
  [`lab ${absent} --no-browser`, /absent: no such file or folder/],
];

/** The command line in this very process: as it is, but quicker to ask. */
async function inProcess(args: readonly string[]): Promise<Outcome> {
  let stderr = '';
  const { write } = process.stderr;
  process.stderr.write = (text: string | Uint8Array): boolean => {
    stderr += String(text);
    return true;
  };
  try {
    await createProgram().parseAsync(args, { from: 'user' });
    return { status: 0, stdout: '', stderr };
  } catch (error) {
    const status = reportFailure(error);
    return { status, stdout: '', stderr };
  } finally {
    process.stderr.write = write;
  }
}

function assertRefused({ status, stdout, stderr }: Outcome, says: RegExp): void {
  assert.equal(stdout, '');
  assert.match(stderr, /^nibblelens error: [^\n]+\n$/);
  assert.match(stderr, says);
  assert.doesNotMatch(stderr, /\bat .*:\d+:\d+/);
  assert.equal(status, 2);
}

describe('arguments that are refused as they are read', () => {
  for (const [args, says] of REFUSED) test(args, async () => assertRefused(await inProcess(args.split(' ')), says));
});

describe('arguments that are refused by the command', () => {
  const short = (args: string): string => args.replaceAll(folder, 'DIR').replaceAll(dirname(bundled.storyteller), 'data');
  for (const [args, says] of REFUSED_LATER) {
    test(short(args), async () => assertRefused(await inProcess(args.split(' ')), says));
  }
});

describe('in a process of its own', { concurrency: 2 }, () => {
  test('a wrong number', async () => {
    assertRefused(await nibblelens(['generate', '--prompt', 'a', '--top-p', '0']), /--top-p: found "0"/);
  });

  test('a model that is not there', async () => {
    assertRefused(await nibblelens(['generate', '--prompt', 'a', '--model', absent]), /absent: no such file or folder/);
  });

  test('no prompt at all', async () => {
    assertRefused(await nibblelens(['generate']), /prompt: found nothing on standard input, expected --prompt/);
  });

  test('a prompt that is not UTF-8', async () => {
    const outcome = await nibblelens(['generate'], { input: Uint8Array.of(0x63, 0x61, 0x66, 0xff) });
    assertRefused(outcome, /prompt: found bytes that are not UTF-8, expected UTF-8 text \(standard input\)/);
  });

  test('a prompt that does not fit into the context', async () => {
    const outcome = await nibblelens(['generate'], { input: 'word '.repeat(2000) });
    assertRefused(outcome, /length of the prompt: found \d+ tokens, expected at most 512, the context length/);
  });

  test('a disk that is full', { skip: existsSync('/dev/full') ? false : 'no /dev/full' }, async () => {
    const command = '"$@" > /dev/full';
    const { status, stderr } = await nibblelens(['environment'], { shell: command });
    assert.deepEqual({ status, stderr }, { status: 2, stderr: 'nibblelens error: write: no space left on the device\n' });
  });

  test('environment variables with words that mean nothing are told of', async () => {
    const env = { NIBBLELENS_LOG: 'loud', NIBBLELENS_THREADS: '900' };
    const { status, stderr } = await nibblelens(['generate', '--prompt', 'a', '--max-tokens', '1'], { env });
    assert.equal(status, 0);
    assert.match(stderr, /^nibblelens warn: NIBBLELENS_LOG: found loud, expected silent, error, warn, info, debug or json$/m);
    if (native() !== null) assert.match(stderr, /^nibblelens warn: NIBBLELENS_THREADS: found 900, expected 1 to 256; \d+ are used$/m);
  });
});

describe('help', () => {
  test('a bare command shows the help', async () => {
    const { status, stderr } = await nibblelens([]);
    assert.match(stderr, /Usage: nibblelens[^]*generate[^]*inspect[^]*quantize[^]*lab[^]*environment[^]*setup/);
    assert.equal(status, 2);
  });

  test('help and version are asked for, not errors', async () => {
    const help = await nibblelens(['generate', '--help']);
    assert.match(help.stdout, /--temperature <number>/);
    assert.deepEqual({ status: help.status, stderr: help.stderr }, { status: 0, stderr: '' });
    const version = await nibblelens(['--version']);
    assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
    assert.equal(version.status, 0);
  });
});
