import { cancellation } from './cancellation.js';
import { ProgressLine } from './progress-line.js';

/** Runs work with a progress line and a signal for Ctrl-C; both end with it. */
export async function followed<T>(
  quiet: boolean | undefined,
  run: (progress: ProgressLine, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const progress = new ProgressLine(!quiet);
  const { signal, done } = cancellation();
  try {
    return await run(progress, signal);
  } finally {
    done();
    progress.clear();
  }
}
