import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { reportFailure } from '../../src/cli/failure.js';
import { createProgram } from '../../src/cli/program.js';
import { nibblelens, type Outcome } from './nibblelens.js';

const folder = mkdtempSync(join(tmpdir(), 'nibblelens-cli-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, 'file');
writeFileSync(file, 'no token file');
const absent = join(folder, 'absent');
const bare = join(folder, 'bare');
mkdirSync(bare);

/** Arguments that are refused as they are read, and what the one line on standard error must say. */
const REFUSED: readonly (readonly [args: string, says: RegExp])[] = [
  ['generat', /unknown command 'generat'.*generate/],
  ['generate --tempperature 1', /unknown option '--tempperature'.*--temperature/],
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
  ['generate --prompt a --stop=', /--stop: found an empty text/],
  ['generate --prompt a --stop-id a', /--stop-id: found "a"/],
  ['generate --prompt a --samples 0', /--samples: found "0", expected a whole number from 1 to 1000/],
  ['generate --prompt a --threads 300', /--threads: found "300", expected a whole number from 1 to 256/],
  ['generate --prompt a --context-overflow wrap', /--context-overflow.*stop, error, slide/],
  ['inspect', /missing required argument 'folder'/],
  ['quantize', /missing required argument/],
  ['quantize a b --group-size 0', /--group-size: found "0"/],
  ['environment --yaml', /unknown option '--yaml'/],
  ['setup now', /too many arguments/],
];

/** Arguments that are refused by the command itself. */
const REFUSED_LATER: typeof REFUSED = [
  ['generate --prompt a --json --stats', /--json and --stats, expected one of them/],
  ['generate --prompt a --samples 2 --tokens-out b', /--tokens-out: found 2 samples, expected one/],
  [`generate --prompt a --tokens-in ${file}`, /--prompt and --tokens-in, expected one of them/],
  [`generate --prompt a --model ${absent}`, /absent: no such file or folder/],
  [`generate --prompt a --model ${file}`, /--model: found the file .*file, expected a folder/],
  [`generate --prompt a --model ${bare}`, /weights: found none, expected model\.safetensors/],
  [`generate --tokens-in ${absent}`, /token file: found .*expected.*absent/],
  [`generate --tokens-in ${file}`, /first bytes of the token file|length of the token file/],
  ['generate', /nothing on standard input/],
  [`inspect ${absent}`, /checkpoint: found no such path, expected a folder \(.*absent\)/],
  [`inspect ${bare}`, /weights: found none/],
  [`quantize ${absent} ${join(folder, 'out')}`, /absent: no such file or folder/],
  [`lab ${absent}`, /absent: no such file or folder/],
  [`lab ${file}`, /found the file .*, expected a folder/],
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
    const status = reportFailure(error, args);
    return { status, stdout: '', stderr };
  } finally {
    process.stderr.write = write;
  }
}

function assertRefused({ status, stdout, stderr }: Outcome, says: RegExp): void {
  assert.equal(stdout, '');
  assert.match(stderr, /^nibblelens: [^\n]+\n$/);
  assert.match(stderr, says);
  assert.doesNotMatch(stderr, /\bat .*:\d+:\d+/);
  assert.equal(status, 2);
}

describe('arguments that are refused as they are read', () => {
  for (const [args, says] of REFUSED) test(args, async () => assertRefused(await inProcess(args.split(' ')), says));

  test('in a process of its own too', async () => {
    const [args, says] = REFUSED[4] as (typeof REFUSED)[number];
    assertRefused(await nibblelens(args.split(' ')), says);
  });
});

describe('arguments that are refused by the command', { concurrency: 2 }, () => {
  for (const [args, says] of REFUSED_LATER) {
    test(args.replaceAll(folder, 'DIR'), async () => assertRefused(await nibblelens(args.split(' ')), says));
  }
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
