// A process that runs fuzz cases one by one, as its parent names them: node child.ts FOLDER SEED MOST_BYTES [keep]
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setLogLevel } from '../../src/base/logger.js';
import { ready } from '../../src/kernels/backend.js';
import { fuzzCase } from './cases.js';
import { tryCase } from './trial.js';

const [root, seed, mostBytes, keep] = process.argv.slice(2);
const peakBytes = (): number => process.resourceUsage().maxRSS * 1024;

setLogLevel('silent');
// Libtensorflow would take up half of the memory that the cases may have, and reads no files.
await ready('cpu');

process.on('message', async (index: number) => {
  const trial = fuzzCase(Number(seed), index);
  const folder = join(root, String(index));
  await mkdir(folder);
  for (const [name, bytes] of Object.entries(trial.files)) await writeFile(join(folder, name), bytes);
  const outcome = await tryCase(trial, folder);
  const isFine = outcome.kind !== 'fault' && peakBytes() <= Number(mostBytes);
  if (isFine && keep === undefined) await rm(folder, { recursive: true });
  process.send?.({ ...outcome, peakBytes: peakBytes() });
});
process.send?.({ ready: true, peakBytes: peakBytes() });
