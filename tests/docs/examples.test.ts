import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { COMMAND } from '../cli/nibblelens.js';
import { blocks, pages, ROOT, type Page } from './pages.js';

/** What a process writes to both streams together. */
function outputOf(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve(output));
  });
}

/** The output that a page shows as a pattern: `…` stands for anything within a line, and times differ. */
function pattern(shown: string): RegExp {
  const parts = shown.split(/(…|\d{4}-\d\d-\d\dT[\d:.]+Z|\d[\d.]*(?= ms)|(?<="ms":)\d+)/);
  const pieces = parts.map((part, i) => {
    if (i % 2 === 0) return part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
    return part === '…' ? '.*' : part.includes('T') ? '[\\d:.TZ-]+' : '[\\d.]+';
  });
  return new RegExp(`^${pieces.join('')}$`);
}

interface Example {
  readonly name: string;
  readonly command: string;
  readonly shown: string;
}

/** Each command of a page's `console` blocks, with the output shown below it. */
const commands = (of: Page): Example[] =>
  blocks(of)
    .filter(({ language }) => language === 'console')
    .flatMap(({ text, line }) =>
      text.split(/^\$ /m).slice(1).map((example) => {
        const [command, ...shown] = example.split('\n') as [string, ...string[]];
        return { name: `${of.path}:${line} ${command}`, command, shown: shown.join('\n') };
      }),
    );

/** Each program of a page that is followed by the output it has. */
const programs = (of: Page): Example[] => {
  const all = blocks(of);
  return all.flatMap((block, i) => {
    const next = all[i + 1];
    if (block.language !== 'ts' || next?.language !== 'text') return [];
    return [{ name: `${of.path}:${block.line}`, command: block.text, shown: next.text }];
  });
};

// An API page is made of declarations, not of examples.
const own = pages().filter(({ path }) => !path.startsWith('docs/api'));

describe('commands that the pages show', { concurrency: 2 }, () => {
  const examples = own.flatMap(commands);
  const nibblelens = COMMAND.map((word) => `'${word}'`).join(' ');

  test('there are some', () => assert.ok(examples.length > 5));

  for (const { name, command, shown } of examples) {
    test(name, async () => {
      const line = command.replaceAll('npx nibblelens', nibblelens);
      assert.match(await outputOf('sh', ['-c', `{ ${line}; } 2>&1`]), pattern(shown));
    });
  }
});

const isBuilt = existsSync(join(ROOT, 'dist', 'index.js'));

describe('programs that the pages show', { concurrency: 2, skip: isBuilt ? false : 'dist is not built' }, () => {
  const examples = own.flatMap(programs);
  // Within the package, so that it can be imported by its name.
  mkdirSync(join(ROOT, 'build'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'build', 'examples-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const files = examples.map(({ command }, i) => {
    const file = join(folder, `example-${i}.ts`);
    writeFileSync(file, command);
    return file;
  });

  test('there are some, in README.md too', () => {
    assert.ok(examples.some(({ name }) => name.startsWith('README.md')));
  });

  test('compile', async () => {
    const project = join(folder, 'tsconfig.json');
    writeFileSync(project, JSON.stringify({ extends: '../../tsconfig.json', include: ['*.ts'] }));
    assert.equal(await outputOf(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', project]), '');
  });

  for (const [i, { name, shown }] of examples.entries()) {
    test(`${name} prints what stands below it`, async () => {
      assert.match(await outputOf(process.execPath, ['--import', 'tsx', files[i] as string]), pattern(shown));
    });
  }
});
