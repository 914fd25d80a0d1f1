import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Milliseconds between two looks at the clock; what is over that is delay. */
const RESOLUTION_MS = 1;

/** The 99th percentile of how late the event loop was, in milliseconds, while some work was done. */
export async function loopDelayDuring(work: () => Promise<unknown>): Promise<number> {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  await work();
  delays.disable();
  return Math.max(0, delays.percentile(99) / 1e6 - RESOLUTION_MS);
}
