'use strict';
// What the main thread and the socket thread tell each other without messages, as a blocked thread handles none.

/** 1 while the compiler works or a module loads: ending these half-way would leave them broken. */
const GUARDED = 0;
/** The last ping that the main thread has answered. */
const PONG = 1;

/** The number of the run that is going on, or 0. */
const RUN = 2;

const newShared = () => new Int32Array(new SharedArrayBuffer(12));

/** Runs work that the stop button waits for rather than ends. */
function guarded(shared, work) {
  const before = Atomics.exchange(shared, GUARDED, 1);
  try {
    return work();
  } finally {
    Atomics.store(shared, GUARDED, before);
  }
}

module.exports = { GUARDED, PONG, RUN, newShared, guarded };
