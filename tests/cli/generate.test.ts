import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { nibblelens } from './nibblelens.js';

const folder = mkdtempSync(join(tmpdir(), 'nibblelens-generate-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const PROMPT = 'Once upon a time';
const GREEDY = ['--temperature', '0', '--max-tokens', '12'];

interface Json {
  prompt: string | null;
  promptIds: number[];
  results: {
    text: string;
    ids: number[];
    stopReason: string;
    seed: number;
    timings: Record<string, number>;
    steps?: { id: number; logProbability: number; alternatives: { id: number; logProbability: number }[] }[];
  }[];
  peakMemoryBytes: number;
  record: { model: string };
}

async function json(args: readonly string[], input = ''): Promise<Json> {
  const { status, stdout, stderr } = await nibblelens(['generate', '--json', ...args], { input });
  assert.equal(stderr, '');
  assert.equal(status, 0);
  return JSON.parse(stdout) as Json;
}

describe('nibblelens generate', { concurrency: 2 }, () => {
  test('text, from --prompt and from standard input, and JSON tell the same', async () => {
    const [text, piped, object] = await Promise.all([
      nibblelens(['generate', '--prompt', PROMPT, ...GREEDY]),
      nibblelens(['generate', ...GREEDY], { input: `${PROMPT}\n` }),
      json(['--prompt', PROMPT, ...GREEDY]),
    ]);
    const [result] = object.results;
    assert.ok(result && result.text.length > 0);
    assert.deepEqual(text, { status: 0, stdout: `${result.text}\n`, stderr: '' });
    assert.deepEqual(piped, text);
    assert.equal(result.ids.length, 12);
    assert.equal(result.stopReason, 'max-tokens');
    assert.equal(object.prompt, PROMPT);
    assert.equal(object.record.model, 'storyteller-int4');
    assert.ok(object.peakMemoryBytes > 20e6);
  });

  test('a seed gives the same text again, another one another text', async () => {
    const [first, second, other] = await Promise.all(
      [7, 7, 8].map((seed) => json(['--prompt', PROMPT, '--max-tokens', '12', '--temperature', '1', '--seed', String(seed)])),
    );
    assert.deepEqual(first?.results[0]?.ids, second?.results[0]?.ids);
    assert.notDeepEqual(first?.results[0]?.ids, other?.results[0]?.ids);
  });

  test('--stats and --echo', async () => {
    const figures = [
      /^prompt tokens +\d+$/,
      /^generated tokens +12$/,
      /^time to first token +[\d.]+ m?s$/,
      /^prefill +[\d.]+ tok\/s$/,
      /^decode +[\d.]+ tok\/s$/,
      /^ms per token +[\d.]+$/,
      /^total time +[\d.]+ m?s$/,
      /^peak memory +\d+ MB$/,
      /^stopped by +max tokens$/,
    ];
    const args = ['generate', '--prompt', PROMPT, '--echo', '--stats', '--max-tokens', '12'];
    const [greedy, chance] = await Promise.all([nibblelens([...args, '--temperature', '0']), nibblelens(args)]);
    assert.ok(greedy.stdout.startsWith(PROMPT));
    const lines = greedy.stdout.slice(greedy.stdout.indexOf('\n\nprompt') + 2, -1).split('\n');
    assert.equal(lines.length, figures.length);
    for (const [i, figure] of figures.entries()) assert.match(lines[i] as string, figure);
    const seed = /^the same again: --seed (\d+)$/m.exec(chance.stdout)?.[1];
    const again = await nibblelens([...args, '--seed', seed as string]);
    const storyOf = (stdout: string): string => stdout.slice(0, stdout.indexOf('\n\nprompt'));
    assert.equal(storyOf(again.stdout), storyOf(chance.stdout));
    assert.doesNotMatch(again.stdout, /the same again/);
  });

  test('log-probabilities and alternatives, as a table and as JSON', async () => {
    const asked = ['--prompt', PROMPT, '--log-probabilities', '--alternatives', '3', ...GREEDY];
    const [table, object] = await Promise.all([nibblelens(['generate', '--stats', ...asked]), json(asked)]);
    assert.match(table.stdout, /^step +token +ln p +likeliest, with ln p$/m);
    const steps = object.results[0]?.steps ?? [];
    assert.equal(steps.length, 12);
    for (const { id, logProbability, alternatives } of steps) {
      assert.equal(alternatives.length, 3);
      // greedy: the token is the likeliest one
      assert.deepEqual([alternatives[0]?.id, alternatives[0]?.logProbability], [id, logProbability]);
    }
  });

  test('token files carry ids from one run to the next', async () => {
    const file = join(folder, 'ids');
    const first = await json(['--prompt', PROMPT, '--tokens-out', file, ...GREEDY]);
    assert.equal(readFileSync(file).length, 16 + 4 * 12);
    const second = await json(['--tokens-in', file, ...GREEDY]);
    assert.deepEqual(second.promptIds, first.results[0]?.ids);
    assert.equal(second.prompt, null);
  });

  test('several samples, each with its heading and a seed of its own', async () => {
    const asked = ['--prompt', PROMPT, '--samples', '2', '--max-tokens', '6', '--seed', '5'];
    const [text, object] = await Promise.all([nibblelens(['generate', ...asked]), json(asked)]);
    assert.deepEqual(object.results.map(({ seed }) => seed), [5, 6]);
    const [one, two] = object.results.map((result) => result.text);
    assert.equal(text.stdout, `--- sample 1 of 2\n${one}\n--- sample 2 of 2\n${two}\n`);
  });

  test('stop strings, stop ids and bias reach the library', async () => {
    const plain = await json(['--prompt', PROMPT, ...GREEDY]);
    const { ids, text } = plain.results[0] as Json['results'][number];
    const stop = text.trim().slice(4, 8);
    const [byText, byId, biased] = await Promise.all([
      json(['--prompt', PROMPT, '--stop', stop, ...GREEDY]),
      json(['--prompt', PROMPT, '--stop-id', String(ids[3]), ...GREEDY]),
      json(['--prompt', PROMPT, '--logit-bias', `${ids[0]}=-100`, ...GREEDY]),
    ]);
    assert.deepEqual([byText.results[0]?.stopReason, byText.results[0]?.text.includes(stop)], ['stop-string', false]);
    assert.equal(byId.results[0]?.stopReason, 'stop-id');
    assert.notEqual(biased.results[0]?.ids[0], ids[0]);
  });

  test('Ctrl-C keeps the text and says why it stopped', async () => {
    const args = ['generate', '--prompt', PROMPT, '--stats', '--ignore-eos', '--max-tokens', '100000', '--context-overflow', 'slide'];
    let sent = false;
    const { status, stdout, stderr } = await nibblelens(args, {
      onOutput: (child, text) => {
        if (!sent && text.length > 20) sent = child.kill('SIGINT');
      },
    });
    assert.equal(status, 130);
    assert.equal(stderr, '');
    assert.match(stdout, /^stopped by +cancelled by Ctrl-C, text kept$/m);
    assert.ok(stdout.indexOf('\n\nprompt tokens') > 20);
  });

  test('a reader that goes away ends it without a word', async () => {
    const args = ['generate', '--prompt', PROMPT, '--ignore-eos', '--max-tokens', '100000', '--context-overflow', 'slide'];
    const { status, stderr } = await nibblelens(args, { onOutput: (child) => void child.stdout?.destroy() });
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  });

  test('a token of another vocabulary is refused', async () => {
    const { status, stderr } = await nibblelens(['generate', '--prompt', PROMPT, '--stop-id', '99999999']);
    assert.equal(status, 2);
    assert.match(stderr, /^nibblelens error: id in stopIds: found 99999999, expected [^\n]+\n$/);
  });

  test('the log is on standard error, as lines of JSON where that is asked for', async () => {
    const env = { NIBBLELENS_LOG: 'debug,json', NIBBLELENS_NATIVE: 'off' };
    const { stderr } = await nibblelens(['generate', '--prompt', PROMPT, '--max-tokens', '1'], { env });
    const lines = stderr.trim().split('\n').map((line) => JSON.parse(line) as { level: string; message: string });
    assert.ok(lines.some(({ level, message }) => level === 'warn' && message.includes('TypeScript kernels')));
    const quiet = await nibblelens(['generate', '--quiet', '--prompt', PROMPT, '--max-tokens', '1'], { env });
    assert.equal(quiet.stderr, '');
  });
});
