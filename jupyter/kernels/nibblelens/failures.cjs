'use strict';
// Errors, as a notebook shows them: { ename, evalue, traceback }, with the cell's own lines.
const { inspect } = require('node:util');

const RED = '\x1b[31m';
const DIM = '\x1b[2m';
const PLAIN = '\x1b[0m';
/** Lines shown before and after the one at fault. */
const AROUND = 2;
const FRAME = /In \[(\d+)\]:(\d+):(\d+)/;

/** The lines of a cell around one (from 1), that one marked. */
function excerpt(code, line, column, around = AROUND) {
  const lines = code.split('\n');
  const first = Math.max(1, line - around);
  const last = Math.min(lines.length, line + around);
  const width = String(last).length;
  const shown = [];
  for (let i = first; i <= last; i++) {
    const number = String(i).padStart(width);
    shown.push(i === line ? `${RED}>${PLAIN} ${number} | ${lines[i - 1]}` : `  ${number} | ${DIM}${lines[i - 1]}${PLAIN}`);
    if (i === line && column) shown.push(`  ${' '.repeat(width)} | ${' '.repeat(column - 1)}${RED}^${PLAIN}`);
  }
  return shown;
}

/** Cells that ran, by which stack traces are read: name in the trace → code and its positions. */
class Failures {
  #cells = new Map();

  remember(count, code, position) {
    this.#cells.set(String(count), { code, position });
  }

  /** Diagnostics of the compiler: those of one cell that did not compile. */
  ofDiagnostics(code, diagnostics) {
    const messages = diagnostics.map(({ start, messageText, fileName }) => ({
      file: fileName,
      line: start.line + 1,
      column: start.character + 1,
      text: String(messageText),
    }));
    const [first] = messages;
    const around = messages.length > 1 ? 0 : AROUND;
    const traceback = [];
    let shown = 0;
    for (const { file, line, column, text } of messages) {
      traceback.push(`${RED}TypeScript${PLAIN} ${file ? `${file}, ` : ''}line ${line}: ${text}`);
      if (!file && line !== shown) traceback.push(...excerpt(code, line, column, around));
      shown = file ? shown : line;
    }
    return { ename: 'TypeScript', evalue: `line ${first.line}: ${first.text}`, traceback };
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

  #traceback(error) {
    const frames = [];
    let at = null;
    for (const frame of framesOf(error)) {
      const match = FRAME.exec(frame);
      const cell = match && this.#cells.get(match[1]);
      const found = cell?.position(Number(match[2]), Number(match[3]));
      if (found) {
        at ??= { ...found, code: cell.code, count: match[1] };
        frames.push(frame.replace('at Proxy.', 'at ').replace(FRAME, `In [$1]:${found.line}:${found.column}`));
      } else if (!match) {
        frames.push(frame);
      }
    }
    const lines = [`${RED}${error.name}${PLAIN}: ${error.message}`];
    if (at) lines.push(`In [${at.count}], line ${at.line}:`, ...excerpt(at.code, at.line, at.column));
    lines.push(...frames.map((frame) => `${DIM}${frame}${PLAIN}`));
    if (error.cause !== undefined) {
      const cause = error.cause instanceof Error ? this.#traceback(error.cause) : [inspect(error.cause)];
      lines.push('', 'caused by', ...cause);
    }
    for (const one of error instanceof AggregateError ? error.errors : []) {
      lines.push('', 'one of several', ...(one instanceof Error ? this.#traceback(one) : [inspect(one)]));
    }
    return lines;
  }
}

/** The frames of a stack, without those of the kernel and of Node below and between the cell's. */
function framesOf(error) {
  const lines = String(error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  const kernel = lines.findIndex((line) => line.includes(__dirname));
  return (kernel < 0 ? lines : lines.slice(0, kernel)).filter((line) => !/\(?node:(vm|internal)[/:)]?/.test(line));
}

const interrupted = () => ({
  ename: 'Interrupted',
  evalue: 'the cell was stopped',
  traceback: [`${RED}Interrupted${PLAIN}: the cell was stopped; variables keep what they hold`],
});

module.exports = { Failures, interrupted };
