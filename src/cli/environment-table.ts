import { environment } from '../kernels/environment.js';
import { textTable } from './text-table.js';

/** What the library runs on, a row for each thing; `tfjs: false` leaves TensorFlow.js unloaded. */
export async function environmentRows(options: { tfjs?: boolean } = {}): Promise<Record<string, unknown>[]> {
  return (await environment(options)).objects() as Record<string, unknown>[];
}

/** The same as text. */
export const environmentTable = async (options: { tfjs?: boolean } = {}): Promise<string> =>
  textTable(await environmentRows(options));
