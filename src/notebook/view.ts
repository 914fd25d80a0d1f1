import type { MimeBundle } from './cell.js';

/** MIME type of the views below, which the JupyterLab extension and exported pages draw. */
export const VIEW_MIME = 'application/vnd.nibblelens.view+json';

/** Rows of cells that are text already; a column of numbers stands to the right. */
export interface TableView {
  kind: 'table';
  title?: string;
  columns: { name: string; number: boolean }[];
  rows: string[][];
  /** Rows that are left out. */
  more: number;
}

/** Text with, before it, what it continues. */
export interface TextView {
  kind: 'text';
  prompt?: string;
  text: string;
  /** Whether more is coming. */
  growing: boolean;
  /** One line under the text. */
  note?: string;
}

export interface ProgressView {
  kind: 'progress';
  label: string;
  done: number;
  total: number;
  note: string;
}

export type View = TableView | TextView | ProgressView;

/** The bundle that shows a view, with a plain text for readers that do not know it. */
export function viewBundle(view: View): MimeBundle {
  return { [VIEW_MIME]: view, 'text/plain': plainText(view) };
}

function plainText(view: View): string {
  switch (view.kind) {
    case 'table':
      return plainTable(view);
    case 'text':
      return [`${view.prompt ?? ''}${view.text}`, view.note].filter(Boolean).join('\n\n');
    case 'progress':
      return plainProgress(view);
  }
}

const BAR_WIDTH = 24;

function plainProgress({ label, done, total, note }: ProgressView): string {
  const filled = total > 0 ? Math.round((BAR_WIDTH * Math.min(done, total)) / total) : 0;
  return `${label} ${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)} ${done}/${total}${note && `  ${note}`}`;
}

function plainTable({ title, columns, rows, more }: TableView): string {
  const widths = columns.map(({ name }, i) => Math.max(name.length, ...rows.map((row) => row[i].length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (columns[i].number ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd();
  return [
    ...(title === undefined ? [] : [title]),
    line(columns.map(({ name }) => name)),
    widths.map((width) => '─'.repeat(width)).join('  '),
    ...rows.map(line),
    ...(more > 0 ? [`… ${more} more ${more === 1 ? 'row' : 'rows'}`] : []),
  ].join('\n');
}
