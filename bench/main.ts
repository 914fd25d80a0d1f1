// Measures this engine beside its peers: npm run bench [-- --quick] [--json FILE] [--only WORD]
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { breather } from '../dist/base/event-loop.js';
import { bandwidthContender } from '../dist/cli/bench/measure-engine.js';
import { benchReport, tableRows } from '../dist/cli/bench/report.js';
import { textTable } from '../dist/cli/text-table.js';
import { bundled, loadModel } from '../dist/index.js';
import { native } from '../dist/native/native.js';
import { ReadBandwidth } from '../dist/native/read-bandwidth.js';
import { lineRow, type Findings } from './lines.js';
import { Peer } from './peer.js';
import type { Setting } from './setting.js';
import { formats } from './work/formats.js';
import { large } from './work/large.js';
import { opening } from './work/opening.js';
import { denseProducts, packedProducts } from './work/products.js';
import { sampling } from './work/sampling.js';
import { small } from './work/small.js';

const LAST = fileURLToPath(new URL('results/last.json', import.meta.url));
const ROUNDS = { quick: { usual: 3, slow: 1 }, full: { usual: 9, slow: 5 } };
const GROUPS: Readonly<Record<string, (setting: Setting) => Promise<Findings>>> = {
  large,
  formats,
  small,
  packedProducts,
  denseProducts,
  sampling,
  opening,
};

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'string', default: LAST },
    threads: { type: 'string', default: '2' },
    only: { type: 'string', multiple: true, default: [] },
  },
});

const cancel = new AbortController();
process.once('SIGINT', () => cancel.abort());
const tell = (text: string): void => void process.stderr.write(`${text}\n`);

async function startPeers(): Promise<Pick<Setting, 'llama' | 'onnx' | 'tensorflow'>> {
  const env = { BENCH_THREADS: flags.threads, TF_NUM_INTRAOP_THREADS: flags.threads, TF_CPP_MIN_LOG_LEVEL: '2' };
  const [llama, onnx, tensorflow] = await Promise.all([
    Peer.start('node-llama-cpp', 'llama.ts', env),
    Peer.start('onnxruntime-node', 'onnx.ts', env),
    Peer.start('tfjs-node', 'tensorflow.ts', env),
  ]);
  for (const peer of [llama, onnx, tensorflow]) if (!(peer instanceof Peer)) tell(`absent: ${peer.absent}`);
  return { llama, onnx, tensorflow };
}

async function main(): Promise<void> {
  native()?.setThreads(Number(flags.threads));
  const { signal } = cancel;
  const peers = await startPeers();
  const rounds = ROUNDS[flags.quick ? 'quick' : 'full'];
  const setting: Setting = {
    ...peers,
    quick: flags.quick,
    signal,
    memory: bandwidthContender(await ReadBandwidth.open(breather(signal))),
    rounds: (work, slow = false) => ({
      rounds: slow ? rounds.slow : rounds.usual,
      signal,
      onBurst: (done, total) => done === total && tell(`measured: ${work}`),
    }),
  };
  const findings: Findings[] = [];
  try {
    for (const [name, measure] of Object.entries(GROUPS)) {
      if (flags.only.length === 0 || flags.only.includes(name)) findings.push(await measure(setting));
    }
  } finally {
    for (const peer of Object.values(peers)) if (peer instanceof Peer) peer.end();
  }
  const lines = findings.flatMap((one) => one.lines);
  const model = await loadModel(bundled.storytellerInt4);
  const report = benchReport(findings.flatMap((one) => one.measurements), { record: model.record(), quick: flags.quick });
  await writeFile(flags.json, `${JSON.stringify({ ...report, lines }, null, 1)}\n`);
  process.stdout.write(`${textTable(tableRows(report.measurements))}\n\n${textTable(lines.map(lineRow))}\n`);
}

try {
  await main();
} catch (error) {
  if (!cancel.signal.aborted) throw error;
  process.exitCode = 130;
}
