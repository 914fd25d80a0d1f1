import { writeFile } from 'node:fs/promises';
import { bundled } from '../bundled.js';
import { native } from '../native/native.js';
import { measureEngine } from './bench/measure-engine.js';
import { tableRows, type BenchReport } from './bench/report.js';
import { followed } from './followed.js';
import { textPairs, textTable } from './text-table.js';

export interface BenchFlags {
  readonly model?: string;
  readonly threads?: number;
  readonly quick?: boolean;
  readonly json?: string;
  readonly quiet?: boolean;
}

/** Measures a model and prints a table, which `json` has as well. */
export async function runBench({ model, threads, quick = false, json, quiet }: BenchFlags): Promise<void> {
  if (threads !== undefined) native()?.setThreads(threads);
  await followed(quiet, async (progress, signal) => {
    const report = await measureEngine(model ?? bundled.storytellerInt4, {
      quick,
      signal,
      onProgress: (work, burst, bursts) => progress.show(work, burst, bursts),
    });
    progress.clear();
    if (json !== undefined) await writeFile(json, `${JSON.stringify(report, null, 1)}\n`);
    process.stdout.write(`${inWords(report)}\n`);
  });
}

function inWords({ machine, record, measurements }: BenchReport): string {
  const { processor, cores, threads } = machine;
  const about = textPairs([
    ['machine', `${processor}, ${cores} cores, ${threads} threads used`],
    ['model', record ? `${record.model}, ${record.precision}, lm_head ${record.head}, ${record.kernels}` : 'unknown'],
  ]);
  return `${about}\n\n${textTable(tableRows(measurements))}`;
}
