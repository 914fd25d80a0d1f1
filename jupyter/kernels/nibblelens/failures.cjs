'use strict';
// Errors, as a notebook shows them: { ename, evalue, traceback }, with the cell's own lines.
const { existsSync } = require('node:fs');
const { normalize } = require('node:path');
const { inspect } = require('node:util');

const RED = '\x1b[31m';
const DIM = '\x1b[2m';
const PLAIN = '\x1b[0m';
/** Lines shown before and after the one at fault. */
const AROUND = 2;
const FRAME = /In \[(\d+)\]:(\d+):(\d+)/;
const PLACE = /(?<=\(|at )([^()]+\.js):(\d+):(\d+)(?=\)?$)/;

/** The lines of a cell around one (from 1), that one marked. */
function excerpt(code, line, column, around = AROUND) {
  const lines = code.split('\n');
  const first = Math.max(1, line - around);
  const last = Math.min(lines.length, line + around);
  const width = String(last).length;
  const shown = [];
  for (let i = first; i <= last; i++) {
    const number = String(i).padStart(width);
    shown.push(
      i === line ? `${RED}>${PLAIN} ${number} | ${lines[i - 1]}` : `  ${number} | ${DIM}${lines[i - 1]}${PLAIN}`,
    );
    if (i === line && column) shown.push(`  ${' '.repeat(width)} | ${' '.repeat(column - 1)}${RED}^${PLAIN}`);
  }
  return shown;
}

/** A message's types, where they are so long that what it says is lost in them. */
const withShortTypes = (text) => text.replace(/'([^']{100,})'/g, (_, type) => `'${type.slice(0, 60)}…'`);

/** A line as lines of at most 92 characters, cut between words; JupyterLab would cut within them. */
function wrapped(line) {
  const [indent] = /^ */.exec(line);
  return (line.match(/\S.{0,91}(?=\s|$)|\S+/g) ?? ['']).map((part) => indent + part);
}

/** Cells and modules that ran, by which stack traces are read. */
class Failures {
  /** Name in the trace → code and its positions. */
  #cells = new Map();
  /** Path of the JavaScript → positions in its source. */
  #modules = new Map();

  remember(count, code, position) {
    this.#cells.set(String(count), { code, position });
  }

  /** Files beside the notebook, as the compiler gives them. */
  rememberModules(modules) {
    for (const { path, position } of modules) this.#modules.set(normalize(path), position);
  }

  /** The compiler's messages on a cell that does not compile. */
  ofDiagnostics(code, messages) {
    const around = messages.length > 1 ? 0 : AROUND;
    const traceback = [];
    let shown = 0;
    for (const { file, line, column, texts } of messages) {
      const [text, ...reasons] = texts.map(withShortTypes);
      const [first, ...rest] = wrapped(`TypeScript ${file ? `${file}, ` : ''}line ${line}: ${text}`);
      traceback.push(first.replace('TypeScript', `${RED}TypeScript${PLAIN}`), ...rest, ...reasons.flatMap(wrapped));
      if (!file && line !== shown) traceback.push(...excerpt(code, line, column, around));
      shown = file ? shown : line;
    }
    const [{ file, line, texts }] = messages;
    const evalue = `${file ? `${file}, ` : ''}line ${line}: ${withShortTypes(texts.at(-1).trim())}`;
    return { ename: 'TypeScript', evalue, traceback };
  }

  /** Whatever a cell threw. */
  ofThrown(thrown) {
    if (!(thrown instanceof Error)) {
      const text = inspect(thrown);
      return { ename: 'Thrown', evalue: text, traceback: [`${RED}Thrown${PLAIN}: ${text}`] };
    }
    const ename = String(thrown.name);
    const evalue = String(thrown.message);
    return { ename, evalue, traceback: this.#traceback(thrown) };
  }

  /** `seen` are the errors that this one is a cause of. */
  #traceback(error, seen = []) {
    const frames = [];
    let at = null;
    for (const frame of framesOf(error)) {
      const match = FRAME.exec(frame);
      const cell = match && this.#cells.get(match[1]);
      const found = cell?.position(Number(match[2]), Number(match[3]));
      if (found) {
        at ??= { ...found, code: cell.code, count: match[1] };
        // Names of other cells are members of one object, which is no part of what was written.
        frames.push(frame.replace('at Object.', 'at ').replace(FRAME, `In [$1]:${found.line}:${found.column}`));
      } else if (!match) {
        frames.push(this.#inSource(frame));
      }
    }
    const lines = [`${RED}${error.name}${PLAIN}: ${error.message}`];
    if (at) lines.push(`In [${at.count}], line ${at.line}:`, ...excerpt(at.code, at.line, at.column));
    lines.push(...frames.map((frame) => `${DIM}${frame}${PLAIN}`));
    const inner = (one) => {
      if (!(one instanceof Error)) return [inspect(one)];
      return one === error || seen.includes(one)
        ? [`${one.name}: ${one.message}`]
        : this.#traceback(one, [...seen, error]);
    };
    if (error.cause !== undefined) lines.push('', 'caused by', ...inner(error.cause));
    for (const one of error instanceof AggregateError ? error.errors : [])
      lines.push('', 'one of several', ...inner(one));
    return lines;
  }

  /** A frame in a TypeScript file beside the notebook, by that file's own lines. */
  #inSource(frame) {
    const [, path, line, column] = PLACE.exec(frame) ?? [];
    const found = path && this.#modules.get(normalize(path))?.(Number(line), Number(column));
    if (!found) return frame;
    const source = [path.replace(/\.js$/, '.ts'), path.replace(/\.js$/, '.tsx'), path].find(existsSync);
    return frame.replace(PLACE, (place) =>
      place.replace(path, source).replace(/\d+:\d+/, `${found.line}:${found.column}`),
    );
  }
}

/** The frames of a stack, without those of the kernel and of Node around and between the cell's. */
function framesOf(error) {
  const isKernels = (line) => line.includes(__dirname);
  const lines = String(error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line));
  const outer = lines.slice(lines.findIndex((line) => !isKernels(line)));
  const end = outer.findIndex(isKernels);
  return (end < 0 ? outer : outer.slice(0, end)).filter((line) => !/\(?node:(vm|internal)[/:)]?/.test(line));
}

const interrupted = () => ({
  ename: 'Interrupted',
  evalue: 'the cell was stopped',
  traceback: [`${RED}Interrupted${PLAIN}: the cell was stopped; variables keep what they hold`],
});

module.exports = { Failures, interrupted };
