'use strict';
// The TypeScript kernel of NibbleLens: tslab's compiler, with sockets, execution and errors of its own.
// usage: node --no-force-async-hooks-checks launch.cjs CONNECTION_FILE
//
// A worker thread owns all sockets (sockets.cjs), so that prints, the heartbeat and the stop button work while a cell
// holds the main thread. The flag is there because ending a loop inside a timer unwinds Node's own frames, after which
// Node's bookkeeping of async ids no longer balances, and Node would end the process over it.
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { inspect } = require('node:util');
const { Worker } = require('node:worker_threads');
const { Kernel } = require('./kernel.cjs');
const { exit } = require('./process.cjs');
const { newShared } = require('./shared.cjs');

const connection = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const shared = newShared();
const worker = new Worker(join(__dirname, 'sockets.cjs'), { workerData: { connection, shared } });
const kernel = new Kernel(worker, shared);

worker.on('error', (error) => {
  process._rawDebug(`the kernel's sockets failed: ${inspect(error)}`);
  exit(1);
});
process.on('SIGINT', () => kernel.interrupt());
process.on('uncaughtException', (error) => kernel.stray('Uncaught', error));
process.on('unhandledRejection', (error) => {
  if (error?.name !== 'AbortError') kernel.stray('Unhandled rejection:', error);
});

kernel.start();
