/** Representations of one output by MIME type; the reader's program picks the richest that it knows. */
export interface MimeBundle {
  [mime: string]: object | string;
}

/** The running cell, as the kernel offers it. A bundle is made when it is sent, so that a fast loop makes few. */
export interface NotebookCell {
  readonly signal: AbortSignal;
  show(id: string, bundle: () => MimeBundle): void;
  update(id: string, bundle: () => MimeBundle): void;
}

const CELL = Symbol.for('nibblelens.cell');

/** The notebook cell that runs this code, or null outside a notebook. */
export function currentCell(): NotebookCell | null {
  return ((globalThis as Record<symbol, unknown>)[CELL] as NotebookCell | undefined) ?? null;
}

const never = new AbortController().signal;

/** Aborts when the reader presses "stop" on the running cell; never does outside a notebook. */
export function interruptSignal(): AbortSignal {
  return currentCell()?.signal ?? never;
}

/** An output that can be replaced in place, in a cell, or by `print` where there is none. */
export function openOutput(
  first: () => MimeBundle,
  print: (bundle: MimeBundle) => void,
): (next: () => MimeBundle) => void {
  const cell = currentCell();
  if (cell === null) {
    print(first());
    return (next) => print(next());
  }
  const id = crypto.randomUUID();
  cell.show(id, first);
  return (next) => cell.update(id, next);
}
