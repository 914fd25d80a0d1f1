import { OptionError } from '../base/errors.js';
import type { jupyterDisplay } from '../plots/figure.js';
import type { TableLike } from '../plots/rows.js';
import { openOutput, type MimeBundle } from './cell.js';
import { bundleOf, type FigureLike } from './mime-bundle.js';
import type { TableOptions } from './table-view.js';
import { viewBundle } from './view.js';

/** A figure, a table, a text, or anything with a method `[jupyterDisplay]()` that gives a MIME bundle. */
export type Showable = FigureLike | TableLike | { [jupyterDisplay](): MimeBundle } | string;

/**
 * Shows a value in an output of its own; the function returned replaces it there. Outside a notebook its text is
 * printed. `title` and `rows` are for tables.
 */
export function show(value: Showable, options: TableOptions = {}): (next: Showable) => void {
  const first = bundle(value, options);
  const update = openOutput(() => first, printText);
  return Object.assign((next: Showable) => update(() => bundle(next, options)), NOTHING_TO_SHOW);
}

/** A cell that ends in `show(…)` does not show the function as well. */
const NOTHING_TO_SHOW = { [Symbol.for('Jupyter.display')]: (): MimeBundle => ({}) };

function bundle(value: unknown, options: TableOptions): MimeBundle {
  if (typeof value === 'string') return viewBundle({ kind: 'text', text: value, growing: false });
  const found = bundleOf(value, options);
  if (found) return found;
  throw new OptionError({ thing: 'value to show', found: typeof value, expected: 'a figure, a table or a text' });
}

function printText(bundle: MimeBundle): void {
  process.stdout.write(`${String(bundle['text/plain'] ?? '')}\n`);
}
