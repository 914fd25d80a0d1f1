import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type TypeScript from '@tslab/typescript-for-tslab';

// Notebook cells are compiled by tslab's TypeScript 5.0.4, which turns types it cannot read into `any` without a word.

const require = createRequire(import.meta.url);
const ts = require('@tslab/typescript-for-tslab') as typeof TypeScript;
const root = fileURLToPath(new URL('..', import.meta.url));
const entry = resolve(root, 'dist/index.d.ts');

const PROLOGUE = `
import * as nl from '${entry.replace(/\.d\.ts$/, '.js')}';
type IsAny<T> = 0 extends 1 & T ? true : false;
declare const model: nl.OpenedModel;
declare const run: nl.ModelRun;
`;

const RIGHT: Record<string, string> = {
  hook: `model.run('x', { capture: ['blocks.3.attn.hook_pattern', 'hook_embed'], hooks: { 'blocks.0.hook_mlp_out': ({ values }) => values } });`,
  generate: `const g = model.generate('x', { temperature: 0.8, topP: 0.95, maxTokens: 4, seed: 1 }); g.then((r) => r.text.length);`,
  stream: `async function f() { for await (const step of model.generate('x')) { const s: string = step.text; } }`,
  types: [
    'model', 'run', 'run.logits', 'run.ids', 'run.activations', 'run.record', 'run.toTable()', 'run.toTable().numRows()', 'model.memory()',
    'model.config', 'model.tokenizer', 'model.tokenizer.encode', 'model.tokenizer.encode("x")', 'model.generate', 'model.weight',
    'nl.loadModel', 'nl.compareModels', 'nl.quantizeCheckpoint', 'nl.environment', 'nl.plotAttentionHead', 'nl.plotAttentionGrid',
    'nl.show', 'nl.stream', "run.activations.get('hook_embed').values", "run.activations.get('hook_embed').shape",
  ].map((expression, i) => `const no${i}: IsAny<typeof any${i}> = false; declare const any${i}: ReturnType<typeof f${i}>; const f${i} = () => ${expression};`).join('\n'),
};

const WRONG: Record<string, string> = {
  'a hook that is not there': `model.run('x', { capture: ['blocks.3.attn.hook_patern'] });`,
  'a hook to call that is not there': `model.run('x', { hooks: { 'blocks.0.hook_mlp_ot': ({ values }: nl.Activation) => values } });`,
  'a hook of the wrong type': `model.run('x', { hooks: { 'blocks.0.hook_mlp_out': () => 'text' } });`,
  'a hook without its layer': `run.activations.get('attn.hook_pattern');`,
  'a member that is not there': `model.genrate('x');`,
  'an option that is not there': `model.generate('x', { temprature: 1 });`,
  'an option of the wrong type': `model.generate('x', { maxTokens: 'many' });`,
  'a matrix that is not there': `model.weight(0, 'w_proj');`,
  'logits as a string': `const s: string = run.logits;`,
  'a table as a number': `const n: number = model.memory();`,
  'ids as text': `const s: string = model.tokenizer.encode('x');`,
  'a result as a number': `model.generate('x').then((result) => { const n: number = result.text; });`,
  'a step as a number': `async function f() { for await (const step of model.generate('x')) { const n: number = step.text; } }`,
  'a prompt that is a number': `model.generate(5);`,
  'no path': `nl.loadModel();`,
};

/** Messages of the errors in each cell, and in the declarations that it reads. */
function check(cells: Record<string, string>): { cells: Map<string, string[]>; declarations: string[] } {
  const options: TypeScript.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.CommonJS,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ['lib.es2022.d.ts'],
    types: ['node'],
    strict: true,
    noEmit: true,
    skipLibCheck: false,
  };
  const names = new Map(Object.keys(cells).map((name, i) => [resolve(root, `cell-${i}.ts`), name]));
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  const text = (file: string) => (names.has(file) ? PROLOGUE + cells[names.get(file) ?? ''] : undefined);
  host.fileExists = (file) => names.has(file) || fileExists(file);
  host.readFile = (file) => text(file) ?? readFile(file);
  host.getSourceFile = (file, version, ...rest) => {
    const source = text(file);
    return source === undefined ? getSourceFile(file, version, ...rest) : ts.createSourceFile(file, source, version);
  };
  const program = ts.createProgram([...names.keys()], options, host);
  const found = new Map([...names.values()].map((name) => [name, [] as string[]]));
  const declarations: string[] = [];
  for (const { file, messageText } of ts.getPreEmitDiagnostics(program)) {
    const message = ts.flattenDiagnosticMessageText(messageText, '\n');
    const cell = file && names.get(file.fileName);
    if (cell !== undefined) found.get(cell)?.push(message);
    else if (file && dirname(file.fileName).startsWith(resolve(root, 'dist'))) declarations.push(`${file.fileName}: ${message}`);
  }
  return { cells: found, declarations };
}

/**
 * Types of dist/ that the public declarations lead to, but that are not exported: `const x = f()` with such a result
 * does not compile in a cell.
 */
function unexportedTypes(): string[] {
  const program = ts.createProgram([entry], { moduleResolution: ts.ModuleResolutionKind.Bundler, module: ts.ModuleKind.ESNext });
  const checker = program.getTypeChecker();
  const resolved = (symbol: TypeScript.Symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol);
  const source = program.getSourceFile(entry);
  const module = source && checker.getSymbolAtLocation(source);
  assert.ok(module);
  const exported = new Set(checker.getExportsOfModule(module).map(resolved));
  const reached = new Set(exported);
  const missing: string[] = [];
  const walk = (node: TypeScript.Node, from: string): void => {
    if (ts.isTypeReferenceNode(node) || ts.isExpressionWithTypeArguments(node)) {
      const found = checker.getSymbolAtLocation(ts.isTypeReferenceNode(node) ? node.typeName : node.expression);
      const symbol = found && resolved(found);
      const [declaration] = symbol?.declarations ?? [];
      const ours = declaration && declaration.getSourceFile().fileName.startsWith(resolve(root, 'dist'));
      if (symbol && ours && !ts.isTypeParameterDeclaration(declaration) && !reached.has(symbol)) {
        reached.add(symbol);
        missing.push(`${symbol.name} (of ${from})`);
      }
    }
    ts.forEachChild(node, (child) => walk(child, from));
  };
  for (const symbol of exported) for (const declaration of symbol.declarations ?? []) walk(declaration, symbol.name);
  return missing;
}

describe("the shipped declarations, read by tslab's compiler", { skip: existsSync(entry) ? false : 'dist is not built' }, () => {
  test('hold no errors, and no type has become any', () => {
    const { cells, declarations } = check(RIGHT);
    assert.deepEqual(declarations, []);
    for (const [name, errors] of cells) assert.deepEqual(errors, [], name);
  });

  test('refuse wrong cells', () => {
    for (const [name, errors] of check(WRONG).cells) assert.notEqual(errors.length, 0, name);
  });

  test('name no type that a cell cannot name', () => {
    assert.deepEqual(unexportedTypes(), []);
  });

  test('bring no tfjs types into a cell', () => {
    const reached = new Set<string>();
    (function visit(file: string) {
      if (reached.has(file)) return;
      reached.add(file);
      const source = ts.preProcessFile(ts.sys.readFile(file) ?? '');
      for (const { fileName } of source.importedFiles) {
        assert.ok(!fileName.startsWith('@tensorflow/'), `${file} imports ${fileName}`);
        if (fileName.startsWith('.')) visit(resolve(dirname(file), fileName.replace(/\.js$/, '.d.ts')));
      }
    })(entry);
    assert.ok(reached.size > 10);
  });
});
