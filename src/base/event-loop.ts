/** Longest stretch, in milliseconds, that library code holds the event loop before it calls `breathe`. */
const HOLD_MS = 30;

/** What long work calls between its pieces; see `breather`. */
export type Breathe = () => Promise<void>;

/** Lets the event loop run once: timers, sockets and a notebook's stop button get their turn. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Returns a function to call between pieces of long work. It hands the event loop a turn whenever `holdMs` have passed
 * since the last one, and throws the signal's reason (an `AbortError` by default) once the signal is aborted.
 */
export function breather(signal?: AbortSignal, holdMs: number = HOLD_MS): Breathe {
  let since = performance.now();
  return async () => {
    signal?.throwIfAborted();
    if (performance.now() - since < holdMs) return;
    await nextTurn();
    signal?.throwIfAborted();
    since = performance.now();
  };
}
