import { environment } from '../kernels/environment.js';
import { textTable } from './text-table.js';

/** What the library runs on, a row for each thing. */
export async function environmentRows(): Promise<Record<string, unknown>[]> {
  return (await environment()).objects() as Record<string, unknown>[];
}

/** The same as text. */
export const environmentTable = async (): Promise<string> => textTable(await environmentRows());
