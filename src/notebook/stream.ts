import { currentCell, interruptSignal, openOutput } from './cell.js';
import { viewBundle, type TextView } from './view.js';

/** What gives text piece by piece, and as a whole when awaited, as a generation does. */
export interface TextSource<Result> extends AsyncIterable<{ readonly text: string }>, PromiseLike<Result> {}

/** How a stream of text is shown. */
export interface StreamOptions {
  /** Shown before the text. */
  prompt?: string;
  /** Leaves the source when aborted; by default when the cell is stopped. */
  signal?: AbortSignal;
}

/**
 * Shows text as it is made, and gives the source's result. A stop ends the source, which then gives what it has.
 * Outside a notebook the text goes to standard output.
 */
export async function stream<Result>(source: TextSource<Result>, options: StreamOptions = {}): Promise<Result> {
  const { prompt, signal = interruptSignal() } = options;
  const started = performance.now();
  let text = '';
  let pieces = 0;
  const inCell = currentCell() !== null;
  const view = (growing: boolean): TextView => ({
    kind: 'text',
    ...(prompt === undefined ? {} : { prompt }),
    text,
    growing,
    ...(growing ? {} : { note: summary(pieces, performance.now() - started, signal.aborted) }),
  });
  if (!inCell) process.stdout.write(prompt ?? '');
  const update = openOutput(
    () => viewBundle(view(true)),
    () => undefined,
  );
  try {
    for await (const piece of source) {
      pieces++;
      text += piece.text;
      if (!inCell) process.stdout.write(piece.text);
      update(() => viewBundle(view(true)));
      if (signal.aborted) break;
    }
    return await source;
  } finally {
    if (!inCell) process.stdout.write('\n');
    const last = viewBundle(view(false));
    update(() => last);
  }
}

function summary(pieces: number, ms: number, stopped: boolean): string {
  const rate = pieces > 1 ? ` · ${((pieces / ms) * 1000).toPrecision(3)} per second` : '';
  return `${pieces} ${pieces === 1 ? 'step' : 'steps'} in ${seconds(ms)}${rate}${stopped ? ' · stopped' : ''}`;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
