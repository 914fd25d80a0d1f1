'use strict';
// tslab's compiler of cells, with other options, its mistakes cured, and source maps.
const { existsSync } = require('node:fs');
const { createRequire, SourceMap } = require('node:module');
const { join, relative } = require('node:path');

const ROOT = join(__dirname, '..', '..', '..');
const PACKAGE = require(join(ROOT, 'package.json'));

const typescriptFile = require.resolve('@tslab/typescript-for-tslab');
const ts = require(typescriptFile);

/** JavaScript → the source maps of its two steps from TypeScript to CommonJS. */
const maps = new Map();

/**
 * tslab calls these of TypeScript's functions. Its module object is frozen, so the loader is given another before tslab
 * asks for it.
 */
require.cache[typescriptFile].exports = {
  ...ts,
  createWatchCompilerHost(files, options, ...rest) {
    const host = ts.createWatchCompilerHost(files, { ...options, ...changedOptions() }, ...rest);
    let created;
    return Object.defineProperty(host, 'afterProgramCreate', {
      get: () => created,
      set: (callback) => (created = (builder) => callback(withCorrectEmit(builder))),
    });
  },
  getPreEmitDiagnosticsOfFiles: (program, files) =>
    ts.getPreEmitDiagnosticsOfFiles(program, files).map((diagnostic) => explained(program, diagnostic)),
  transpileModule(code, { compilerOptions, ...options }) {
    const [javascript, first] = takeInlineMap(code);
    const { outputText, sourceMapText } = ts.transpileModule(javascript, {
      ...options,
      compilerOptions: { ...compilerOptions, sourceMap: true },
    });
    const output = outputText.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, '');
    maps.set(output, [first, JSON.parse(sourceMapText)].filter(Boolean));
    return { outputText: output };
  },
};
const { createConverter, isCompleteCode } = require('tslab/dist/converter.js');
const { printQuickInfo } = require('tslab/dist/inspect.js');
const { explained } = require('./suggestions.cjs');
const { withCorrectEmit } = require('./transforms.cjs');

function changedOptions() {
  return {
    strict: true,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    inlineSourceMap: true,
    ...ownPackages(),
  };
}

/** Packages that cells import along with this one. */
const COMPANIONS = ['arquero', '@tensorflow/tfjs-core'];

/** Whether a cell can import this from any folder: this package, an entry of it, or a companion. */
const isEverywhere = (id) => id === PACKAGE.name || id.startsWith(`${PACKAGE.name}/`) || COMPANIONS.includes(id);

/** The types of what cells can import though it is not installed where the notebook is. */
function ownPackages() {
  const here = createRequire(join(process.cwd(), 'cell.js'));
  const own = createRequire(join(ROOT, 'package.json'));
  const paths = {};
  for (const [entry, { types }] of Object.entries(PACKAGE.exports)) {
    if (types && !canResolve(here, PACKAGE.name)) paths[entry.replace('.', PACKAGE.name)] = [join(ROOT, types)];
  }
  for (const name of COMPANIONS) {
    if (canResolve(here, name)) continue;
    const folder = own.resolve
      .paths(name)
      .map((base) => join(base, name))
      .find(existsSync);
    if (!folder) continue;
    // relative: by an absolute path the compiler finds the types, but cannot name them in what later cells see
    paths[name] = [relative(process.cwd(), join(folder, require(join(folder, 'package.json')).types))];
  }
  return Object.keys(paths).length > 0 ? { paths } : {};
}

function canResolve(require, name) {
  try {
    return Boolean(require.resolve(name));
  } catch {
    return false;
  }
}

function takeInlineMap(code) {
  const match = /\n?\/\/# sourceMappingURL=data:application\/json;base64,(\S+)\s*$/.exec(code);
  if (!match) return [code, null];
  return [code.slice(0, match.index), JSON.parse(Buffer.from(match[1], 'base64').toString())];
}

/** Whether code awaits outside of functions. */
function awaits(code) {
  const file = ts.createSourceFile('cell.ts', `export {};${code}`, ts.ScriptTarget.ES2022, true);
  const visit = (node) => {
    if (ts.isFunctionLike(node) || ts.isClassLike(node)) return false;
    return (
      ts.isAwaitExpression(node) ||
      (ts.isForOfStatement(node) && Boolean(node.awaitModifier)) ||
      node.forEachChild(visit)
    );
  };
  return Boolean(file.forEachChild(visit));
}

/** By these the compiler first sets all names that a cell declares to undefined. */
const INITIAL =
  /(?<=^Object\.defineProperty\(exports, "__esModule", \{ value: true \}\);\n)(?:(?:exports\.[^\s=]+ = )+void 0;\n)+/m;
const ES_MODULE = /^Object\.defineProperty\(exports, "__esModule", \{ value: true \}\);$/m;
/** The compiler defines an imported name once and for all, but here a later cell may give it to something else. */
const IMPORTED =
  /^Object\.defineProperty\(exports, "(.+)", \{ enumerable: true, get: function \(\) \{ return (.+); \} \}\);$/gm;

/** What is changed in a cell's JavaScript, without moving its lines. */
function corrected(output) {
  const [initial = ''] = INITIAL.exec(output) ?? [];
  return {
    names: initial.match(/(?<=exports\.)[^\s=]+/g) ?? [],
    // Without the initial undefined, a variable keeps its value where the cell that declares it anew fails before that.
    output: output
      .replace(INITIAL, initial.replace(/[^\n]/g, ''))
      .replace(ES_MODULE, '')
      .replace(IMPORTED, 'exports.$1 = $2;'),
  };
}

/** tslab puts this before a cell. */
const PREFIX = `export {};${ts.sys.newLine}`;
const LINES_BEFORE = 1;

/** Compiles cells and answers the editor's questions; `declarations` are those of the cells before. */
class Compiler {
  #converter = createConverter({ isJS: false, isBrowser: false });

  /**
   * Compiles one cell. `diagnostics` is not empty where it does not compile: `{ file, line, column, texts }`, with
   * `file` where it is not the cell. Else `output` is the CommonJS to run, `names` what it declares, `declarations` what
   * the cells after it see, and `modules` the files beside the notebook that it imports and that are new or have
   * changed. `position` leads from a line and column of the JavaScript to those of the TypeScript, all counted from 1.
   */
  compile(declarations, cell) {
    const code = withoutExports(cell);
    const {
      output = '',
      declOutput,
      diagnostics,
      sideOutputs,
      lastExpressionVar,
    } = this.#converter.convert(declarations, code);
    const modules = (sideOutputs ?? []).map(({ path, data }) => ({
      path,
      output: data,
      position: positions(maps.get(data), 0),
    }));
    const position = positions(maps.get(output) ?? [], LINES_BEFORE);
    maps.clear();
    return {
      diagnostics: diagnostics.map(messageOf),
      ...corrected(output),
      declarations: declOutput || '',
      modules,
      lastExpression: lastExpressionVar,
      awaits: awaits(code),
      position,
    };
  }

  complete(declarations, code, position) {
    return this.#converter.complete(declarations, code, position);
  }

  /** The type and the documentation of what stands at a position, or null. */
  inspect(declarations, code, position) {
    const info = this.#converter.inspect(declarations, code, position);
    const text = info ? printQuickInfo(info) : 'any';
    return text === 'any' ? null : text;
  }

  isComplete(code) {
    return isCompleteCode(code);
  }
}

/** A cell without the `export` before its declarations, which would be exported twice: all of them are exported. */
function withoutExports(code) {
  let text = code;
  for (const { modifiers = [] } of ts.createSourceFile('cell.ts', code, ts.ScriptTarget.ES2022).statements) {
    const [first, second] = modifiers;
    if (first?.kind !== ts.SyntaxKind.ExportKeyword || second?.kind === ts.SyntaxKind.DefaultKeyword) continue;
    const start = first.end - 'export'.length;
    text = `${text.slice(0, start)}      ${text.slice(first.end)}`;
  }
  return text;
}

function messageOf({ start, messageText, fileName: file }) {
  return { file, line: start.line + 1, column: start.character + 1, texts: messageText.split('\n') };
}

function positions(steps, linesBefore) {
  const sources = steps.map((map) => new SourceMap(map)).reverse();
  return (line, column) => {
    let at = { originalLine: line - 1, originalColumn: column - 1 };
    for (const map of sources) {
      at = map.findEntry(at.originalLine, at.originalColumn);
      if (at?.originalLine === undefined) return null;
    }
    return { line: at.originalLine + 1 - linesBefore, column: at.originalColumn + 1 };
  };
}

module.exports = { Compiler, PACKAGE, ROOT, isEverywhere, ts };
