'use strict';
const Module = require('node:module');
const { dirname, extname, join, normalize } = require('node:path');
const vm = require('node:vm');
const { ROOT, isEverywhere } = require('./compiler.cjs');
const { afterFailure } = require('./declarations.cjs');
const { STOPS } = require('./transforms.cjs');

const fromPackage = Module.createRequire(join(ROOT, 'package.json'));

/** Runs compiled cells in this process, and keeps their variables. */
class Executor {
  /** What the cells so far have declared, as the compiler is told. */
  declarations = '';
  #values = {};
  /** TypeScript files beside the notebook: path → { code } or, once loaded, { module }. */
  #modules = new Map();
  #guarded;
  #stops;
  #require;

  /** `guarded` runs a function that must not be ended half-way; `stops` is what cells call at each await. */
  constructor(guarded, stops) {
    this.#guarded = guarded;
    this.#stops = stops;
    this.#require = this.#hooked(Module.createRequire(join(process.cwd(), 'cell.js')), process.cwd());
  }

  /** A run of a compiled cell, whose frames in stack traces bear `name`. */
  run(compiled, name) {
    for (const { path, output } of compiled.modules) this.#modules.set(normalize(path), { code: output });
    const before = { ...this.#values };
    return {
      /** Runs the cell until its first top-level await; gives undefined or the promise of its end. */
      start: () => {
        const start = `(${compiled.awaits ? 'async ' : ''}function (exports, require, ${STOPS}) { `;
        const wrapped = `${start}${compiled.output}\n})`;
        const cell = new vm.Script(wrapped, { filename: name }).runInThisContext();
        return cell(this.#values, this.#require, this.#stops);
      },
      /** The value of the cell's last expression. */
      result: () => {
        const value = this.#values[compiled.lastExpression];
        this.#values[compiled.lastExpression] = undefined;
        return value;
      },
      /** Lets later cells see what this one declares. */
      end: (ok) => {
        const { names, declarations } = compiled;
        const isUnchanged = (name) => this.#values[name] === before[name];
        this.declarations = ok
          ? declarations
          : afterFailure(this.declarations, declarations, names.filter(isUnchanged));
      },
    };
  }

  /** `require`, which also finds tslab, the TypeScript files beside the notebook, and this package wherever it is. */
  #hooked(require, folder) {
    const load = (id) => {
      if (id === 'tslab') return fromPackage('tslab');
      const file = join(folder, extname(id) === '' ? `${id}.js` : id);
      if (this.#modules.has(file)) return this.#module(file);
      try {
        return this.#guarded(() => require(id));
      } catch (error) {
        if (isEverywhere(id) && error.code === 'MODULE_NOT_FOUND') return this.#guarded(() => fromPackage(id));
        throw error;
      }
    };
    return Object.assign(load, require);
  }

  #module(file) {
    const entry = this.#modules.get(file);
    if (!entry.module) {
      entry.module = new Module(file, module);
      entry.module.filename = file;
      entry.module.paths = Module._nodeModulePaths(dirname(file));
      entry.module.require = this.#hooked(Module.createRequire(file), dirname(file));
      entry.module._compile(entry.code, file);
    }
    return entry.module.exports;
  }
}

module.exports = { Executor };
