'use strict';
// The kernel's requests, and its cells, which run one at a time in the order of their requests.
//
// Ending a loop by the stop button drops what is pending in JavaScript's job queue, the kernel's own promises included.
// So nothing here waits on a promise of the kernel's own: each step is a plain call, made by a message or by the cell's
// end.
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');
const { inspect } = require('node:util');
const { Cell } = require('./cell.cjs');
const { Failures, interrupted } = require('./failures.cjs');
const { changeProcess, exit } = require('./process.cjs');
const { GUARDED, PONG, PRINTED, RUN, guarded } = require('./shared.cjs');
const { PROTOCOL } = require('./wire.cjs');

/** Where a library finds the running cell: `{ signal, show(id, bundle), update(id, bundle) }`. */
const CELL = Symbol.for('nibblelens.cell');
/** A value's method that gives the MIME bundle to show it by; the name that Deno's kernel uses. */
const DISPLAY = Symbol.for('Jupyter.display');
/** From a stop to giving up on what a cell awaits. */
const GRACE_MS = 2000;
/** From that to ending a cell whose code does not end even so. */
const UNWIND_MS = 50;
/** Prints that may wait for the socket thread, and how long the next one then waits for it. */
const MOST_PRINTS = 20_000;
const PRINT_MS = 100;
/** Before a failure is told of: requests that were sent in ignorance of it may still be on their way. */
const ABORT_MS = 100;

class Kernel {
  #worker;
  #shared;
  #failures = new Failures();
  #queue = [];
  #cell = null;
  #run = null;
  /** The code of the cells so far that count. */
  #inputs = [];
  #count = 0;
  #runs = 0;
  #prints = 0;
  /** Whether #cell is still to be answered. */
  #current = false;
  #abortBefore = 0;
  #bundleOf = () => null;

  constructor(worker, shared) {
    this.#worker = worker;
    this.#shared = shared;
  }

  /** Loads the compiler, then serves requests. */
  start() {
    changeProcess((name, text) => this.#print(name, text));
    this.#worker.on('message', (message) => this.#on[message.type](message));
    const { Compiler, PACKAGE, ROOT, ts } = require('./compiler.cjs');
    const { Executor } = require('./executor.cjs');
    this.tslab = require('tslab/dist/jupyter.js');
    this.versions = { own: PACKAGE.version, typescript: ts.version };
    this.Compiler = Compiler;
    this.compiler = new Compiler();
    this.executor = new Executor((work) => guarded(this.#shared, work), this.#stops);
    import(pathToFileURL(join(ROOT, 'dist', 'notebook', 'mime-bundle.js')).href).then(
      ({ bundleOf }) => (this.#bundleOf = bundleOf),
      () => undefined, // where the library is not built, values are shown as text
    );
    this.#worker.postMessage({ ready: true });
  }

  #on = {
    request: ({ message, received }) => this.#serve(message, received),
    interrupt: () => this.interrupt(),
    terminated: () => {
      // What was ended in the compiler's midst leaves it in an unknown state, and its guard up.
      if (Atomics.exchange(this.#shared, GUARDED, 0) === 1) this.compiler = new this.Compiler();
      if (this.#cell?.state === 'running') this.#finish(this.#cell, interrupted());
      else if (this.#cell?.state === 'ending') this.#end(this.#cell, interrupted());
    },
    ping: ({ ping }) => Atomics.store(this.#shared, PONG, ping),
    shutdown: () => exit(0),
  };

  /** Aborts the running cell's signal, and ends the cell soon after if it does not end by itself. */
  interrupt() {
    const cell = this.#cell;
    if (cell?.state !== 'running') return;
    cell.stop();
    setTimeout(() => cell.giveUp(), GRACE_MS);
    setTimeout(() => this.#finish(cell, interrupted()), GRACE_MS + UNWIND_MS);
  }

  /** Tells of an error that belongs to no cell's run, such as one in a timer. */
  stray(what, error) {
    process.stderr.write(`${what} ${this.#failures.ofThrown(error).traceback.join('\n')}\n`);
  }

  /** Prints at once, as a cell may block this thread next; one that prints without end waits until it is read. */
  #print(name, text) {
    if (this.#cell === null || text === '') return;
    this.#worker.postMessage({ print: name, text });
    const taken = Atomics.load(this.#shared, PRINTED);
    if (((++this.#prints - taken) | 0) > MOST_PRINTS) Atomics.wait(this.#shared, PRINTED, taken, PRINT_MS);
  }

  #send(channel, { identities, header }, type, content) {
    this.#worker.postMessage({ channel, identities, parent: header, type, content: JSON.stringify(content) });
  }

  #publish(message, type, content) {
    this.#send('iopub', { identities: [`kernel.${type}`], header: message.header }, type, content);
  }

  #status(message, state) {
    this.#publish(message, 'status', { execution_state: state });
  }

  #serve(message, received) {
    const type = message.header.msg_type;
    if (type === 'execute_request') {
      this.#queue.push({ message, received });
      this.#next();
      return;
    }
    const answer = this.#answers[type];
    if (!answer) return;
    this.#status(message, 'busy');
    this.#send('shell', message, type.replace('_request', '_reply'), this.#answered(answer, message.content));
    this.#status(message, 'idle');
    // A question answered while a cell runs must not look like the cell's end.
    if (this.#current) this.#status(this.#cell.message, 'busy');
  }

  #answered(answer, content) {
    try {
      return answer(content);
    } catch (error) {
      return { status: 'error', ...this.#failures.ofThrown(error) };
    }
  }

  #stops = {
    await: (value) => this.#cell.awaits(value),
    each: async function* (iterable) {
      for await (const value of iterable) {
        yield value;
        this.await(undefined);
      }
    },
  };

  #answers = {
    kernel_info_request: () => ({
      status: 'ok',
      protocol_version: PROTOCOL,
      implementation: 'nibblelens',
      implementation_version: this.versions.own,
      banner: `NibbleLens ${this.versions.own}, TypeScript ${this.versions.typescript}, Node ${process.version}`,
      language_info: {
        name: 'typescript',
        version: this.versions.typescript,
        mimetype: 'text/typescript',
        file_extension: '.ts',
        pygments_lexer: 'typescript',
        codemirror_mode: { name: 'javascript', typescript: true },
      },
    }),
    complete_request: ({ code, cursor_pos: cursor }) => {
      const { start, end, candidates } = this.#ask((declarations) =>
        this.compiler.complete(declarations, code, unitsOf(code, cursor)),
      );
      return {
        status: 'ok',
        matches: candidates,
        cursor_start: pointsOf(code, start),
        cursor_end: pointsOf(code, end),
        metadata: {},
      };
    },
    inspect_request: ({ code, cursor_pos: cursor }) => {
      const text = this.#ask((declarations) => this.compiler.inspect(declarations, code, unitsOf(code, cursor)));
      return { status: 'ok', found: text !== null, data: text === null ? {} : { 'text/plain': text }, metadata: {} };
    },
    is_complete_request: ({ code }) => {
      const { completed, indent } = this.compiler.isComplete(code);
      return completed ? { status: 'complete' } : { status: 'incomplete', indent: indent ?? '' };
    },
    comm_info_request: () => ({ status: 'ok', comms: {} }),
    history_request: ({ hist_access_type: access, n = this.#inputs.length, output }) => {
      const lines = this.#inputs.map((code, i) => [0, i + 1, output ? [code, null] : code]);
      return { status: 'ok', history: access === 'tail' ? lines.slice(-n) : [] };
    },
  };

  #ask(question) {
    return guarded(this.#shared, () => question(this.executor.declarations));
  }

  /** Starts the next cell unless one is still to be answered. */
  #next() {
    while (!this.#current) {
      const next = this.#queue.shift();
      if (!next) return;
      if (next.received <= this.#abortBefore) this.#abort(next.message);
      else this.#start(next.message);
    }
  }

  #abort(message) {
    this.#status(message, 'busy');
    this.#send('shell', message, 'execute_reply', { status: 'aborted', execution_count: this.#count });
    this.#status(message, 'idle');
  }

  #start(message) {
    const { code, silent, store_history: counted } = message.content;
    if (!silent && counted !== false) this.#count = this.#inputs.push(code);
    const cell = new Cell(message, this.#count, (type, content) => this.#publish(message, type, content));
    this.#cell = cell;
    this.#current = true;
    Atomics.store(this.#shared, RUN, ++this.#runs);
    this.#run = null;
    this.#status(message, 'busy');
    if (!silent) this.#publish(message, 'execute_input', { code, execution_count: cell.count });
    this.#worker.postMessage({ prints: { identities: ['kernel.stream'], parent: message.header } });
    globalThis[CELL] = cell;
    this.tslab.lastWriteDisplayData = (content, update) => cell.display(content, update);
    let ended;
    try {
      const run = this.#compile(cell, code);
      if (!run) return;
      ended = run.start();
    } catch (error) {
      this.#finish(cell, this.#failures.ofThrown(error));
      return;
    }
    if (ended) {
      ended.then(
        () => this.#succeed(cell),
        (error) => this.#finish(cell, this.#failures.ofThrown(error)),
      );
    } else {
      this.#succeed(cell);
    }
  }

  /** A run of the cell, or null (and the cell is finished) where it does not compile. */
  #compile(cell, code) {
    const compiled = guarded(this.#shared, () => this.compiler.compile(this.executor.declarations, code));
    if (compiled.diagnostics.length > 0) {
      this.#finish(cell, this.#failures.ofDiagnostics(code, compiled.diagnostics));
      return null;
    }
    this.#failures.remember(cell.count, code, compiled.position);
    this.#failures.rememberModules(compiled.modules);
    this.#run = this.executor.run(compiled, `In [${cell.count}]`);
    return this.#run;
  }

  #succeed(cell) {
    if (cell.state !== 'running') return;
    try {
      const value = this.#run.result();
      const { silent } = cell.message.content;
      if (!silent && value !== undefined && value !== null) this.#show(cell, value);
    } catch (error) {
      this.#finish(cell, this.#failures.ofThrown(error));
      return;
    }
    this.#finish(cell, null);
  }

  /** Shows the value of a cell's last expression; an empty bundle says that there is nothing to show. */
  #show(cell, value) {
    cell.flush();
    const own = typeof value[DISPLAY] === 'function' ? value[DISPLAY]() : this.#bundleOf(value);
    const data = own ?? { 'text/plain': inspect(value) };
    if (Object.keys(data).length === 0) return;
    this.#publish(cell.message, 'execute_result', { data, metadata: {}, execution_count: cell.count });
  }

  /** Takes a cell's end, by itself or by a stop, whichever comes first. */
  #finish(cell, failure) {
    if (cell.state !== 'running') return;
    cell.state = 'ending';
    this.#run?.end(!failure);
    try {
      cell.flush();
    } catch (error) {
      failure ??= this.#failures.ofThrown(error);
    }
    this.#end(cell, cell.signal.aborted ? interrupted() : failure);
  }

  /** Tells the client, and goes on to the next cell. */
  #end(cell, failure) {
    cell.state = 'ended';
    Atomics.store(this.#shared, RUN, 0);
    if (!failure) {
      this.#reply(cell, { status: 'ok', payload: [], user_expressions: {} });
      return;
    }
    this.#publish(cell.message, 'error', failure);
    const stops = cell.message.content.stop_on_error !== false;
    setTimeout(
      () => {
        if (stops) this.#abortBefore = Date.now();
        this.#reply(cell, { status: 'error', ...failure });
      },
      stops ? ABORT_MS : 0,
    );
  }

  #reply({ message, count }, content) {
    this.#send('shell', message, 'execute_reply', { ...content, execution_count: count });
    this.#status(message, 'idle');
    this.#current = false;
    this.#next();
  }
}

/** Jupyter counts positions in code points, JavaScript in UTF-16 units. */
const unitsOf = (code, points) => [...code].slice(0, points).join('').length;
const pointsOf = (code, units) => [...code.slice(0, units)].length;

module.exports = { Kernel };
