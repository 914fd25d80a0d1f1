'use strict';
// tslab's compiler of cells, with other options, its mistakes cured, and source maps.
const { existsSync } = require('node:fs');
const { createRequire, SourceMap } = require('node:module');
const { join } = require('node:path');

const ROOT = join(__dirname, '..', '..', '..');
const PACKAGE = require(join(ROOT, 'package.json'));

const typescriptFile = require.resolve('@tslab/typescript-for-tslab');
const ts = require(typescriptFile);

/** Source maps of the two steps from TypeScript to CommonJS, of the conversion done last. */
let maps = [];

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
  transpileModule(code, { compilerOptions, ...options }) {
    const [javascript, first] = takeInlineMap(code);
    const { outputText, sourceMapText } = ts.transpileModule(javascript, {
      ...options,
      compilerOptions: { ...compilerOptions, sourceMap: true },
    });
    maps = [first, JSON.parse(sourceMapText)].filter(Boolean);
    return { outputText: outputText.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, '') };
  },
};
const { createConverter, isCompleteCode } = require('tslab/dist/converter.js');
const { printQuickInfo } = require('tslab/dist/inspect.js');

function changedOptions() {
  return {
    strict: true,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    inlineSourceMap: true,
    ...ownPackages(),
  };
}

/** Notebooks in a folder where this package is not installed find it, and its tables, all the same. */
function ownPackages() {
  const here = createRequire(join(process.cwd(), 'cell.js'));
  const own = createRequire(join(ROOT, 'package.json'));
  const paths = {};
  for (const name of [PACKAGE.name, 'arquero']) {
    if (canResolve(here, name)) continue;
    const folder = name === PACKAGE.name ? ROOT : own.resolve.paths(name).map((base) => join(base, name)).find(existsSync);
    if (folder) paths[name] = [join(folder, require(join(folder, 'package.json')).types)];
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

/**
 * tslab puts `exports.` before each identifier of an earlier cell, and takes two kinds of names for such identifiers
 * wrongly: it misses `x` in `{ x }`, and hits the property `a` in `const { a: b } = x` or `({ a: b } = x)`.
 */
function withCorrectEmit(builder) {
  const { emit } = builder;
  builder.emit = (file, write, token, declarationsOnly, transformers) => {
    const checker = builder.getProgram().getTypeChecker();
    const { getSymbolAtLocation } = checker;
    checker.getSymbolAtLocation = (node) => (isPropertyName(node) ? undefined : getSymbolAtLocation(node));
    try {
      const before = [spellOutShorthands(checker), stopAtAwaits];
      return emit(file, write, token, declarationsOnly, { ...transformers, before });
    } finally {
      checker.getSymbolAtLocation = getSymbolAtLocation;
    }
  };
  return builder;
}

function isPropertyName(node) {
  const { parent } = node;
  if (!parent) return false;
  if (ts.isBindingElement(parent)) return parent.propertyName === node;
  return (ts.isPropertyAssignment(parent) || ts.isShorthandPropertyAssignment(parent)) && parent.name === node;
}

/** `{ x }` → `{ x: exports.x }` where x is of an earlier cell. */
const spellOutShorthands = (checker) => (context) => (file) => {
  const { factory } = context;
  const visit = (node) => {
    if (!ts.isShorthandPropertyAssignment(node)) return ts.visitEachChild(node, visit, context);
    const declarations = checker.getShorthandAssignmentValueSymbol(node)?.declarations ?? [];
    if (!declarations.some((one) => one.getSourceFile().fileName.endsWith('/__prev__.d.ts'))) return node;
    const value = factory.createPropertyAccessExpression(factory.createIdentifier('exports'), node.name.text);
    const initial = node.objectAssignmentInitializer && ts.visitNode(node.objectAssignmentInitializer, visit);
    return factory.createPropertyAssignment(node.name.text, initial ? factory.createAssignment(value, initial) : value);
  };
  return ts.visitEachChild(file, visit, context);
};

/** The object by which a cell's code asks whether it was stopped: `{ await(value), each(iterable) }`. */
const STOPS = '$stops';

/** `await x` → `await $stops.await(x)`, and likewise `for await`, so that a stopped cell ends at its next await. */
const stopAtAwaits = (context) => (file) => {
  if (!file.fileName.endsWith('/__tslab__.ts')) return file;
  const { factory } = context;
  const checked = (method, expression) => {
    const callee = factory.createPropertyAccessExpression(factory.createIdentifier(STOPS), method);
    return factory.createCallExpression(callee, undefined, [expression]);
  };
  const visit = (node) => {
    const inner = ts.visitEachChild(node, visit, context);
    if (ts.isAwaitExpression(inner)) return factory.updateAwaitExpression(inner, checked('await', inner.expression));
    if (ts.isForOfStatement(inner) && inner.awaitModifier) {
      const { awaitModifier, initializer, expression, statement } = inner;
      return factory.updateForOfStatement(inner, awaitModifier, initializer, checked('each', expression), statement);
    }
    return inner;
  };
  return ts.visitEachChild(file, visit, context);
};

/** Whether code awaits outside of functions. */
function awaits(code) {
  const file = ts.createSourceFile('cell.ts', `export {};${code}`, ts.ScriptTarget.ES2022, true);
  const visit = (node) => {
    if (ts.isFunctionLike(node) || ts.isClassLike(node)) return false;
    return ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && Boolean(node.awaitModifier)) || node.forEachChild(visit);
  };
  return Boolean(file.forEachChild(visit));
}

/** The names that a cell declares, which the compiler sets to undefined first. */
const INITIAL = /^(Object\.defineProperty\(exports, "__esModule", \{ value: true \}\);\n)((?:exports\.[^\s=]+ = )+void 0;)/;

/** Compiles cells and answers the editor's questions; `declarations` are those of the cells before. */
class Compiler {
  #converter = createConverter({ isJS: false, isBrowser: false });

  /**
   * Compiles one cell. `diagnostics` is not empty where it does not compile; else `output` is the CommonJS to run,
   * `names` what it declares, `declarations` what the cells after it see, and `position` leads from a line and column of
   * the output (from 1) to the cell's line (from 1).
   */
  compile(declarations, code) {
    maps = [];
    const { output = '', declOutput, diagnostics, sideOutputs, lastExpressionVar } = this.#converter.convert(declarations, code);
    const [, start = '', initial = ''] = INITIAL.exec(output) ?? [];
    return {
      diagnostics,
      // Without the initial undefined, a variable keeps its value where the cell that declares it anew fails before that.
      output: initial ? start + output.slice(start.length + initial.length) : output,
      names: initial.match(/(?<=exports\.)[^\s=]+/g) ?? [],
      declarations: declOutput || '',
      sideOutputs: sideOutputs ?? [],
      lastExpression: lastExpressionVar,
      awaits: awaits(code),
      position: positions(maps),
    };
  }

  complete(declarations, code, position) {
    return this.#converter.complete(declarations, code, position);
  }

  inspect(declarations, code, position) {
    const info = this.#converter.inspect(declarations, code, position);
    return info ? printQuickInfo(info) : null;
  }

  isComplete(code) {
    return isCompleteCode(code);
  }
}

/** tslab puts one line before a cell. */
const LINES_BEFORE = 1;

function positions(steps) {
  const sources = steps.map((map) => new SourceMap(map)).reverse();
  return (line, column) => {
    let at = { originalLine: line - 1, originalColumn: column - 1 };
    for (const map of sources) {
      at = map.findEntry(at.originalLine, at.originalColumn);
      if (at?.originalLine === undefined) return null;
    }
    return { line: at.originalLine + 1 - LINES_BEFORE, column: at.originalColumn + 1 };
  };
}

module.exports = { Compiler, PACKAGE, ROOT, STOPS, ts };
