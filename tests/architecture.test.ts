import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SOURCE = join(ROOT, 'src');

/** The rooms from top to bottom: a file imports from its own room and from those below alone. */
const ROOMS = [
  'cli', 'facade', 'notebook', 'plots', 'comparison', 'quantization', 'lens', 'generation', 'model', 'layers', 'ops',
  'kernels', 'tokenizer', 'checkpoint', 'matrix', 'native', 'base',
];

/** Rooms that never import tfjs, which takes most of a second to load. */
const WITHOUT_TFJS = ['facade', 'cli', 'notebook', 'plots', 'generation', 'tokenizer', 'checkpoint', 'matrix', 'native', 'base'];

/** The declaration of the native surface speaks of the storages, by type alone. */
const ALLOWED_UPWARD = new Set(['native/native.ts -> matrix/storage.ts']);

/** Files over this many lines are to be cut in parts. */
const MOST_LINES = 400;

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
  /** By `import()`, when it is needed. */
  readonly late: boolean;
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => name.replaceAll('\\', '/'))
    .sort();
}

const files = filesUnder(SOURCE);
const text = new Map(files.map((file) => [file, readFileSync(join(SOURCE, file), 'utf8')]));

/** Code without comments, so that prose is not taken for code. */
const code = (file: string): string => (text.get(file) ?? '').replace(/\/\*[^]*?\*\/|(^|\s)\/\/.*$/gm, '$1');

const room = (file: string): string => (file.includes('/') ? (file.split('/')[0] as string) : 'facade');

/** Specifiers in `import … from 'x'`, `export … from 'x'`, `import 'x'` and `import('x')`. */
function specifiers(file: string): { specifier: string; typeOnly: boolean; late: boolean }[] {
  const pattern = /\b(import|export)\b(\s+type\b)?[^'";()]*?\bfrom\s*'([^']+)'|\bimport\s*'([^']+)'|\bimport\(\s*'([^']+)'/g;
  return [...code(file).matchAll(pattern)].map((match) => ({
    specifier: (match[3] ?? match[4] ?? match[5]) as string,
    typeOnly: match[2] !== undefined,
    late: match[5] !== undefined,
  }));
}

const imports: Import[] = files.flatMap((from) =>
  specifiers(from)
    .filter(({ specifier }) => specifier.startsWith('.'))
    .map(({ specifier, ...kind }) => ({
      from,
      to: relative(SOURCE, join(SOURCE, dirname(from), specifier)).replaceAll('\\', '/').replace(/\.js$/, '.ts'),
      ...kind,
    })),
);

const takesTfjs = (file: string): boolean =>
  specifiers(file).some(({ specifier, typeOnly, late }) => !typeOnly && !late && specifier.startsWith('@tensorflow/'));

describe('architecture', () => {
  test('every room is known', () => {
    assert.deepEqual(files.map(room).filter((name) => !ROOMS.includes(name)), []);
  });

  test('imports are found, and lead to files', () => {
    assert.ok(imports.length > files.length, `${imports.length} imports in ${files.length} files`);
    assert.deepEqual(imports.filter(({ to }) => !text.has(to)), []);
  });

  test('imports go down the rooms only', () => {
    const upward = imports
      .filter(({ from, to }) => ROOMS.indexOf(room(to)) < ROOMS.indexOf(room(from)))
      .map(({ from, to, typeOnly }) => ({ edge: `${from} -> ${to}`, typeOnly }))
      .filter(({ edge, typeOnly }) => !(typeOnly && ALLOWED_UPWARD.has(edge)));
    assert.deepEqual(upward.map(({ edge }) => edge), []);
  });

  test('no file is reached from itself', () => {
    const next = new Map(files.map((file) => [file, [] as string[]]));
    for (const { from, to, typeOnly } of imports) if (!typeOnly) next.get(from)?.push(to);
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      assert.ok(!path.includes(file), `a cycle: ${[...path.slice(path.indexOf(file)), file].join(' -> ')}`);
      if (done.has(file)) return;
      for (const to of next.get(file) ?? []) visit(to, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
  });

  test('tfjs is imported where it belongs alone', () => {
    assert.deepEqual(files.filter((file) => WITHOUT_TFJS.includes(room(file)) && takesTfjs(file)), []);
  });

  test('opening a model and generating loads no tfjs', () => {
    const reached = new Set<string>(['opened-model.ts']);
    for (const file of reached) {
      for (const { from, to, typeOnly, late } of imports) if (from === file && !typeOnly && !late) reached.add(to);
    }
    assert.deepEqual([...reached].filter(takesTfjs), []);
  });

  test('no type is waved through', () => {
    const holes = files.flatMap((file) =>
      [...code(file).matchAll(/\bas unknown as\b|[:<|&,(]\s*any\b|\bas any\b|@ts-(ignore|nocheck|expect-error)/g)]
        .filter(() => file !== 'kernels/tfjs.ts')
        .map((match) => `${file}: ${match[0]}`),
    );
    assert.deepEqual(holes, []);
  });

  test('files stay short', () => {
    const long = [...text].map(([file, content]) => ({ file, lines: content.split('\n').length }));
    assert.deepEqual(long.filter(({ lines }) => lines > MOST_LINES), []);
  });

  test('nothing is left for later', () => {
    const notes = files.filter((file) => /\b(TODO|FIXME|XXX|HACK)\b/.test(text.get(file) ?? ''));
    assert.deepEqual(notes, []);
  });
});
