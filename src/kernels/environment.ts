import { availableParallelism, cpus } from 'node:os';
import { table, type ColumnTable } from 'arquero';
import { VERSION } from '../base/version.js';
import { native, nativeAbsence } from '../native/native.js';

interface EnvironmentRow {
  readonly what: string;
  readonly picked: string;
  readonly why: string;
}

/**
 * What the library runs on: a row for each thing, with what was picked and why. It loads tfjs to tell its backend,
 * unless `tfjs` is false.
 */
export async function environment({ tfjs = true }: { tfjs?: boolean } = {}): Promise<ColumnTable> {
  const rows: EnvironmentRow[] = [
    { what: 'nibblelens', picked: VERSION, why: 'this package' },
    { what: 'node', picked: process.versions.node, why: process.execPath },
    { what: 'machine', picked: `${process.platform} ${process.arch}`, why: cpus()[0]?.model.trim() ?? 'unknown processor' },
    ...kernelRows(),
    await backendRow(tfjs),
  ];
  return table({
    what: rows.map((row) => row.what),
    picked: rows.map((row) => row.picked),
    why: rows.map((row) => row.why),
  });
}

function kernelRows(): EnvironmentRow[] {
  const info = native()?.info();
  if (!info) {
    return [
      { what: 'kernels', picked: 'typescript', why: `tens of times slower; native addon: ${nativeAbsence()}` },
      { what: 'threads', picked: '1', why: 'TypeScript kernels have one' },
    ];
  }
  const cores = availableParallelism();
  const asked = process.env.NIBBLELENS_THREADS;
  const isAsked = asked !== undefined && Number(asked) === info.threads;
  const why = isAsked ? `NIBBLELENS_THREADS=${asked}` : `of ${cores} cores`;
  const whyIsa = process.env.NIBBLELENS_ISA === info.isa ? `NIBBLELENS_ISA=${info.isa}` : `best of ${info.available.join(', ')}`;
  return [
    { what: 'kernels', picked: `native ${info.isa}`, why: `${whyIsa}; ${info.compiler}` },
    { what: 'threads', picked: String(info.threads), why },
  ];
}

async function backendRow(load: boolean): Promise<EnvironmentRow> {
  const what = 'tfjs backend';
  if (!load) return { what, picked: 'not loaded', why: 'generation needs none' };
  const { backendChoice } = await import('./backend.js');
  const { name, reason } = await backendChoice();
  return { what, picked: name, why: reason };
}
