import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { afterEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LOG_LEVELS, log, setLogger, setLogLevel, warnOnce, type LogLevel } from '../../src/base/logger.js';
import { OptionError } from '../../src/base/errors.js';

const LOGGER = fileURLToPath(new URL('../../src/base/logger.ts', import.meta.url));

afterEach(() => {
  setLogger(null);
  setLogLevel('warn', { json: false });
});

/** What a process with `NIBBLELENS_LOG` set so, or not, writes to standard error and output when it runs `code`. */
function inProcess(setting: string | undefined, code: string): { lines: string[]; stdout: string } {
  const { NIBBLELENS_LOG: _, ...env } = process.env;
  const script = `import { log, setLogLevel, setLogger, warnOnce } from ${JSON.stringify(LOGGER)}; ${code}`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', script],
    {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      env: setting === undefined ? env : { ...env, NIBBLELENS_LOG: setting },
      encoding: 'utf8',
    },
  );
  assert.equal(status, 0, stderr);
  return { lines: stderr.split('\n').filter(Boolean), stdout };
}

const LOG_ALL = "for (const level of ['error', 'warn', 'info', 'debug']) log(level, 'a ' + level);";

describe('log', () => {
  test('a level shows itself and all before it', () => {
    const shown: string[] = [];
    setLogger((level) => shown.push(level));
    const all = ['error', 'warn', 'info', 'debug'] as const;
    for (const [count, level] of LOG_LEVELS.entries()) {
      setLogLevel(level);
      shown.length = 0;
      for (const one of all) log(one, 'x');
      assert.deepEqual(shown, all.slice(0, count));
    }
  });

  test('a sink gets message and fields, until it is taken away', () => {
    const got: unknown[] = [];
    setLogger((...line) => got.push(line));
    log('warn', 'slow', { ms: 3 });
    assert.deepEqual(got, [['warn', 'slow', { ms: 3 }]]);
    setLogger(() => assert.fail('taken away'));
    setLogLevel('silent');
    log('error', 'x');
  });

  test('an unknown level is a typed error, and changes nothing', () => {
    const shown: string[] = [];
    setLogger((level) => shown.push(level));
    assert.throws(
      () => setLogLevel('loud' as LogLevel),
      (error) => error instanceof OptionError && /found loud, expected silent, /.test(error.message),
    );
    log('warn', 'x');
    log('info', 'x');
    assert.deepEqual(shown, ['warn']);
  });

  test('warnOnce says a thing once', () => {
    const shown: string[] = [];
    setLogger((_, message) => shown.push(message));
    for (const message of ['costs time', 'costs memory', 'costs time']) warnOnce(message);
    assert.deepEqual(shown, ['costs time', 'costs memory']);
  });
});

describe('NIBBLELENS_LOG', () => {
  test('sets the level of lines on standard error', () => {
    const line = (level: string) => `nibblelens ${level}: a ${level}`;
    assert.deepEqual(inProcess(undefined, LOG_ALL), { lines: ['error', 'warn'].map(line), stdout: '' });
    assert.deepEqual(inProcess('silent', LOG_ALL).lines, []);
    assert.deepEqual(inProcess('debug', LOG_ALL).lines, ['error', 'warn', 'info', 'debug'].map(line));
  });

  test('json makes each line an object, with its fields', () => {
    const { lines } = inProcess(
      'info,json',
      "log('info', 'loaded\\n\"it\"', { bytes: 12, layers: [1, 2] }); log('debug', 'x');",
    );
    assert.equal(lines.length, 1);
    const { time, ...rest } = JSON.parse(lines[0]);
    assert.deepEqual(rest, { level: 'info', message: 'loaded\n"it"', bytes: 12, layers: [1, 2] });
    assert.equal(new Date(time).toISOString(), time);
    const own = inProcess(
      undefined,
      "setLogLevel('info', { json: true }); log('info', 'x'); setLogLevel('warn', { json: false }); log('warn', 'y');",
    );
    assert.equal(JSON.parse(own.lines[0]).message, 'x');
    assert.equal(own.lines[1], 'nibblelens warn: y');
  });

  test('a word that means nothing is told, and the rest holds', () => {
    const { lines } = inProcess('loud,json', "log('warn', 'x'); log('info', 'y');");
    const messages = lines.map((line) => JSON.parse(line).message);
    assert.equal(messages.length, 2);
    assert.match(messages[0], /found loud, expected silent, error, warn, info, debug or json/);
    assert.equal(messages[1], 'x');
  });
});
