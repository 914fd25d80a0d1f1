'use strict';
// What of Node's `process` is different in a notebook: prints go to the cell, nothing can be read, and nothing exits.
const { Readable } = require('node:stream');

const exit = process.exit.bind(process);

/** What reads from a stream calls one of these. */
const READING = ['read', 'resume', 'pipe', 'setRawMode', Symbol.asyncIterator];
const READING_EVENTS = ['data', 'readable', 'keypress'];

function noInput() {
  throw new Error('a notebook cell cannot read from standard input: give the value in the cell itself');
}

/** A standard input that tells at once, at the line that wants to read, that there is none. */
function standardInput() {
  const stream = new Readable({ read: () => {} });
  const { on } = stream;
  for (const method of READING) stream[method] = noInput;
  stream.on =
    stream.addListener =
    stream.once =
      (event, listener) => (READING_EVENTS.includes(event) ? noInput() : on.call(stream, event, listener));
  return stream;
}

/** Changes `process` for good. `print(stream, text)` takes what is written to 'stdout' or 'stderr'. */
function changeProcess(print) {
  for (const name of ['stdout', 'stderr']) {
    process[name].write = (chunk, encoding, done) => {
      print(name, typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString());
      const callback = typeof encoding === 'function' ? encoding : done;
      if (callback) process.nextTick(callback);
      return true;
    };
  }
  Object.defineProperty(process, 'stdin', { value: standardInput(), configurable: true, enumerable: true });
  process.exit = () => {
    throw new Error('a notebook cell cannot end the kernel: use Shut Down Kernel or Restart Kernel in its menu');
  };
}

module.exports = { changeProcess, exit };
