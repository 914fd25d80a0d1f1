import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { scripts, writeNotebook } from './lab.js';

const COMMAND = fileURLToPath(new URL('../../scripts/notebooks.mjs', import.meta.url));
const { ensurePageScripts, jupyter, runNotebook } = await scripts();

describe('npm run notebooks', () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'nibblelens-notebooks-')));
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('refuses words that fit no notebook, and wrong options, in one line', () => {
    for (const [args, message] of [
      [['no-such-notebook'], /^notebooks: found none for no-such-notebook in [^\n]+\n$/],
      [['--jobs', 'many'], /^--jobs: found many, expected a whole number from 1\n$/],
      [['--no-such-option'], /^Unknown option '--no-such-option'[^\n]*\n$/],
    ] as const) {
      const { status, stderr, stdout } = spawnSync(process.execPath, [COMMAND, ...args], { encoding: 'utf8' });
      assert.equal(status, 2);
      assert.match(stderr, message);
      assert.equal(stdout, '');
    }
  });

  describe(
    'runs',
    { skip: jupyter(['nbconvert']) === null ? 'no JupyterLab: run npm run setup where Python 3 is' : false },
    () => {
      type Result = Awaited<ReturnType<typeof runNotebook>>;
      let whole: Result;
      let failing: Result;
      let stray: Result;

      before(async () => {
        assert.equal(await ensurePageScripts(), null);
        // Kernels bear this folder in their arguments, so that one left behind is found.
        process.env['JUPYTER_RUNTIME_DIR'] = folder;
        writeNotebook(join(folder, 'whole.ipynb'), [
          'md:# Whole, with $x^2$',
          'for (let i = 0; i < 20_000; i++) console.log(`line ${i}`);',
          "'the end'",
        ]);
        writeNotebook(join(folder, 'failing.ipynb'), [
          'const fine = 1;',
          `\nthrow new RangeError('on purpose');`,
          'const never = 2;',
        ]);
        writeNotebook(join(folder, 'stray.ipynb'), [
          `setTimeout(() => { throw new Error('in a timer'); }, 1);\nawait new Promise((go) => setTimeout(go, 100));`,
        ]);
        [whole, failing, stray] = await Promise.all(
          ['whole', 'failing', 'stray'].map((name) => runNotebook(join(folder, `${name}.ipynb`), { out: folder })),
        );
      });

      test('to a page that holds all output and asks for nothing else', () => {
        assert.ok(whole.ok, whole.reason);
        const page = readFileSync(whole.page, 'utf8');
        // Not assert.match, which would quote a page of megabytes.
        for (const text of [/line 0\nline 1\n/, /line 19999\n/, /'the end'/]) assert.ok(text.test(page), String(text));
        // Scripts that the page carries hold tags as texts; those of the page itself begin a line.
        const asked = page.match(/^\s*<(script|link|img|iframe)\b[^>]*\b(src|href)=[^>]*/gm);
        assert.deepEqual(asked, null);
      });

      test('and fails with the error and the line of the cell, and makes no page', () => {
        assert.equal(failing.ok, false);
        assert.match(
          stripVTControlCharacters(failing.reason ?? ''),
          /RangeError: on purpose[^]*> 2 \| throw new RangeError/,
        );
        assert.equal(existsSync(join(folder, 'failing.html')), false);
      });

      test('and fails on an error that belongs to no cell’s run', () => {
        assert.deepEqual([stray.ok, stray.reason], [false, 'code cell 1 of 1: Uncaught Error: in a timer']);
      });

      test('and leaves no process behind', { skip: existsSync('/proc/self/cmdline') ? false : 'no /proc' }, () => {
        const left = readdirSync('/proc').filter(
          (id) => /^\d+$/.test(id) && Number(id) !== process.pid && commandOf(id).includes(folder),
        );
        assert.deepEqual(left.map(commandOf), []);
      });
    },
  );
});

function commandOf(id: string): string {
  try {
    return readFileSync(`/proc/${id}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // it has just ended
  }
}
