import { INTERRUPTED } from './failure.js';

/** A signal that the first Ctrl-C (or SIGTERM) aborts; a second one ends the process. Call `done` when the work is. */
export function cancellation(): { signal: AbortSignal; done: () => void } {
  const controller = new AbortController();
  const cancel = (): void => {
    if (controller.signal.aborted) process.exit(INTERRUPTED);
    controller.abort();
  };
  process.on('SIGINT', cancel).on('SIGTERM', cancel);
  return { signal: controller.signal, done: () => void process.off('SIGINT', cancel).off('SIGTERM', cancel) };
}
