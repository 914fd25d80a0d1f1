import { openOutput, type MimeBundle } from './cell.js';
import { viewBundle } from './view.js';

/**
 * A progress bar: call what this returns with the parts done and all there are, as `onProgress` options do. It appears
 * with the first call. Outside a notebook it is a line on standard error, where that is a terminal.
 */
export function progress(label: string): (done: number, total: number, note?: string) => void {
  const started = performance.now();
  let update: ((next: () => MimeBundle) => void) | null = null;
  return (done, total, note = timeNote(done, total, performance.now() - started)) => {
    const bundle = (): MimeBundle => viewBundle({ kind: 'progress', label, done, total, note });
    if (update === null) update = openOutput(bundle, printLine);
    else update(bundle);
    if (done >= total && process.stderr.isTTY) process.stderr.write('\n');
  };
}

function timeNote(done: number, total: number, ms: number): string {
  if (done >= total) return `${(ms / 1000).toFixed(1)} s`;
  return done > 0 && ms > 1000 ? `${Math.ceil((ms / done) * (total - done) * 1e-3)} s left` : '';
}

function printLine(bundle: MimeBundle): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${String(bundle['text/plain'])}`);
}
