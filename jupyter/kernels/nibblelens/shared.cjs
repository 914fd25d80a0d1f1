'use strict';
// What the main thread and the socket thread tell each other without messages, as a blocked thread handles none.

/** 1 while the compiler works or a module loads: these are not ended half-way unless they take very long. */
const GUARDED = 0;
/** The last ping that the main thread has answered. */
const PONG = 1;
/** The number of the run that is going on, or 0. */
const RUN = 2;
/** Prints that the socket thread has taken, modulo 2³². */
const PRINTED = 3;

const newShared = () => new Int32Array(new SharedArrayBuffer(16));

/** Runs work that the stop button waits for before it ends it. */
function guarded(shared, work) {
  const before = Atomics.exchange(shared, GUARDED, 1);
  try {
    return work();
  } finally {
    Atomics.store(shared, GUARDED, before);
  }
}

module.exports = { GUARDED, PONG, PRINTED, RUN, newShared, guarded };
