'use strict';
// The thread that owns the kernel's sockets. Requests on the shell channel go to the main thread, which answers through
// this one; the control channel is served here, so that it answers while a cell holds the main thread.
const { Session } = require('node:inspector');
const { parentPort, workerData } = require('node:worker_threads');
const zmq = require('zeromq');
const { GUARDED, PONG, PRINTED, RUN } = require('./shared.cjs');
const { pack, unpack } = require('./wire.cjs');

/** How long the main thread may stay blocked after a stop before what it runs is ended. */
const PATIENCE_MS = 400;
/** The same while it loads a module or compiles: ended half-way these are lost, but a stop must do something. */
const GUARD_MS = 5000;
const PING_MS = 50;
/** From a shutdown request to the end of a process that does not end by itself. */
const SHUTDOWN_MS = 500;
const STREAM_MS = 50;
const STREAM_CHARACTERS = 1 << 16;
const CLOSING_MS = 20;
const PARENT_POLL_MS = 1000;

const { connection, shared } = workerData;
const { key } = connection;
const separator = connection.transport === 'ipc' ? '-' : ':';
const address = (name) => `${connection.transport}://${connection.ip}${separator}${connection[`${name}_port`]}`;

/** A socket takes one send at a time: the rest wait here. */
class Outlet {
  #waiting = [];
  #sending = false;

  constructor(socket) {
    this.socket = socket;
  }

  async send(frames) {
    if (this.socket.closed) return;
    this.#waiting.push(frames);
    if (this.#sending) return;
    this.#sending = true;
    for (let next; (next = this.#waiting.shift());) {
      // A client that has gone is no reason to stop: what was meant for it is dropped.
      await this.socket.send(next).catch(() => undefined);
    }
    this.#sending = false;
  }
}

const iopub = new zmq.Publisher({ sendHighWaterMark: 0 });
const shell = new zmq.Router({ sendHighWaterMark: 0 });
const control = new zmq.Router();
const stdin = new zmq.Router();
const heartbeat = new zmq.Reply();
const outlets = { iopub: new Outlet(iopub), shell: new Outlet(shell), control: new Outlet(control) };

function reply(channel, { identities, header }, type, content) {
  return outlets[channel].send(pack(key, { identities, parent: header, type, content: JSON.stringify(content) }));
}

/**
 * Ends what the main thread runs whenever it stays blocked, until the run that was to stop is over; where none goes on,
 * until the main thread answers.
 */
let watch = null;
function watchMainThread() {
  clearInterval(watch);
  const run = Atomics.load(shared, RUN);
  let ping = Atomics.load(shared, PONG);
  let blocked = { since: performance.now(), guarded: false };
  let asked = false;
  watch = setInterval(() => {
    const now = performance.now();
    const answers = Atomics.load(shared, PONG) === ping;
    const guarded = Atomics.load(shared, GUARDED) === 1;
    if (answers || guarded !== blocked.guarded) blocked = { since: now, guarded };
    const over = Atomics.load(shared, RUN) !== run || (run === 0 && asked && answers);
    if (over) {
      clearInterval(watch);
    } else if (answers) {
      asked = true;
      parentPort.postMessage({ type: 'ping', ping: ++ping });
    } else if (now - blocked.since > (guarded ? GUARD_MS : PATIENCE_MS)) {
      blocked.since = now;
      endMainThreadsStack();
    }
  }, PING_MS);
}

function endMainThreadsStack() {
  const session = new Session();
  session.connectToMainThread();
  session.post('Runtime.terminateExecution', () => {
    session.disconnect();
    parentPort.postMessage({ type: 'terminated' });
  });
}

async function shutDown(channel, message) {
  await reply(channel, message, 'shutdown_reply', { status: 'ok', restart: message.content.restart === true });
  await reply('iopub', message, 'status', { execution_state: 'idle' });
  for (const socket of [iopub, shell, control, stdin, heartbeat]) socket.close();
  // Node ends in an abort where sockets of a worker are open, or being closed, as the process exits.
  setTimeout(() => parentPort.postMessage({ type: 'shutdown' }), CLOSING_MS);
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), SHUTDOWN_MS);
}

const onControl = {
  async interrupt_request(message) {
    parentPort.postMessage({ type: 'interrupt' });
    watchMainThread();
    await reply('control', message, 'interrupt_reply', { status: 'ok' });
  },
  shutdown_request: (message) => shutDown('control', message),
};

async function serve(socket, handle) {
  try {
    for await (const frames of socket) {
      const message = unpack(key, frames);
      if (message) await handle(message);
    }
  } catch (error) {
    if (!socket.closed) throw error;
  }
}

async function echo() {
  try {
    for await (const frames of heartbeat) await heartbeat.send(frames);
  } catch (error) {
    if (!heartbeat.closed) throw error;
  }
}

async function serveControl(message) {
  await reply('iopub', message, 'status', { execution_state: 'busy' });
  await onControl[message.header.msg_type]?.(message);
  await reply('iopub', message, 'status', { execution_state: 'idle' });
}

async function serveShell(message) {
  if (message.header.msg_type === 'shutdown_request') await shutDown('shell', message);
  else parentPort.postMessage({ type: 'request', message, received: Date.now() });
}

/** What was printed and not sent: writes closer together than STREAM_MS become one message. */
const printed = { about: {}, name: '', text: '', timer: null };

function print(name, text) {
  Atomics.add(shared, PRINTED, 1);
  Atomics.notify(shared, PRINTED);
  if (name !== printed.name || printed.text.length > STREAM_CHARACTERS) sendPrinted();
  printed.name = name;
  printed.text += text;
  printed.timer ??= setTimeout(sendPrinted, STREAM_MS);
}

function sendPrinted() {
  clearTimeout(printed.timer);
  printed.timer = null;
  const { about, name, text } = printed;
  printed.text = '';
  if (text !== '') outlets.iopub.send(pack(key, { ...about, type: 'stream', content: JSON.stringify({ name, text }) }));
}

parentPort.on('message', ({ ready, print: name, text, prints, channel, ...message }) => {
  if (name) {
    print(name, text);
    return;
  }
  sendPrinted();
  if (ready) shell.bind(address('shell')).then(() => serve(shell, serveShell));
  else if (prints) printed.about = prints;
  else outlets[channel].send(pack(key, message));
});

// A kernel whose server was killed must not stay behind.
const parent = process.ppid;
setInterval(() => process.ppid === parent || process.kill(process.pid, 'SIGKILL'), PARENT_POLL_MS);

// The shell is bound last, once the compiler is loaded: after a restart the client's subscription must be back before
// its first request is answered, or the status that follows is lost and JupyterLab waits for ever.
Promise.all([
  iopub.bind(address('iopub')),
  control.bind(address('control')),
  stdin.bind(address('stdin')),
  heartbeat.bind(address('hb')),
]).then(() => {
  serve(control, serveControl);
  return echo();
});
