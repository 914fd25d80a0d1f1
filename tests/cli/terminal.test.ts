import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { COMMAND } from './nibblelens.js';

const SCRIPT = fileURLToPath(new URL('terminal.py', import.meta.url));
const hasTerminals = spawnSync('python3', ['-c', 'import pty']).status === 0;

type Step = readonly [wait: string, type: string];

/** What a terminal showed of a command while somebody waited for texts and typed others, and its exit status. */
function onTerminal(args: readonly string[], steps: readonly Step[]): Promise<{ shown: string; left: number; status: number }> {
  const child = spawn('python3', [SCRIPT, JSON.stringify(steps), ...COMMAND, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => {
      const { shown, ...rest } = JSON.parse(output) as { shown: string; left: number; status: number };
      resolve({ ...rest, shown: stripVTControlCharacters(shown).replaceAll('\r\n', '\n') });
    });
  });
}

const ENDLESS = ['--ignore-eos', '--max-tokens', '100000', '--context-overflow', 'slide'];

describe('nibblelens generate on a terminal', { concurrency: 2, skip: hasTerminals ? false : 'no python3' }, () => {
  test('asks for prompts; one that does not fit is told of and followed by the next, Ctrl-D ends', async () => {
    const { shown, left, status } = await onTerminal(['generate', '--temperature', '0', '--max-tokens', '4', '--stats'], [
      ['> ', 'Once upon a time\n'],
      ['max tokens', ''],
      ['> ', '\n'],
      ['> ', `${'long '.repeat(600)}\n`],
      ['expected at most 512', ''],
      ['> ', 'The old man\n'],
      ['max tokens', ''],
      ['> ', '\x04'],
    ]);
    assert.deepEqual({ left, status }, { left: 0, status: 0 }, shown);
    assert.match(shown, /^one prompt a line; Ctrl-C stops the text, Ctrl-D ends$/m);
    assert.match(shown, /^nibblelens error: length of the prompt: found \d+ tokens, expected at most 512/m);
    assert.equal(shown.match(/^stopped by +max tokens$/gm)?.length, 2);
  });

  test('Ctrl-C stops one text and asks for the next, and while it asks ends', async () => {
    const { shown, left, status } = await onTerminal(['generate', ...ENDLESS, '--stats', '--quiet', '--echo'], [
      ['> ', 'Once upon a time\n'],
      ['time', ''],
      ['time', ''],
      [' ', '\x03'],
      ['cancelled by Ctrl-C, text kept', ''],
      ['> ', '\x03'],
    ]);
    assert.deepEqual({ left, status }, { left: 0, status: 0 }, shown);
    assert.doesNotMatch(shown, /one prompt a line/);
    assert.match(shown, /^generated tokens +[1-9]\d*$/m);
  });

  test('with a prompt given, Ctrl-C ends with its own status', async () => {
    const { shown, status } = await onTerminal(['generate', '--prompt', 'Once', '--echo', ...ENDLESS, '--stats'], [
      ['Once', ''],
      [' ', '\x03'],
    ]);
    assert.equal(status, 130);
    assert.match(shown, /^stopped by +cancelled by Ctrl-C, text kept$/m);
  });
});
