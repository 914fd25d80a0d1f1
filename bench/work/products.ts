import { rm, writeFile, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { breather } from '../../dist/base/event-loop.js';
import { bf16ArrayToF32, f32ToBf16 } from '../../dist/base/float16.js';
import { randomPacked } from '../../dist/checkpoint/random/random-matrix.js';
import { RandomWords } from '../../dist/checkpoint/random/random-words.js';
import { inRounds, rateOf, ratios, scaled, type Contender } from '../../dist/cli/bench/rounds.js';
import type { Mode, PackedStorage } from '../../dist/matrix/storage.js';
import { storageBytes } from '../../dist/matrix/index.js';
import { line, type Absence, type Findings, type Line } from '../lines.js';
import { native } from '../../dist/native/native.js';
import { onnxMatrix, onnxModel } from '../onnx-model.js';
import { Peer } from '../peer.js';
import { timesPerSecond } from '../peer-process.js';
import type { Setting } from '../setting.js';

const [OUT, IN, GROUP] = [11008, 4096, 128];
/** 256 MB of matrices, so that none is found in a cache. */
const MATRICES = 11;
const LEVELS = { fast: 4, exact: 1 } as const satisfies Record<Mode, number>;
const MODES: readonly Mode[] = ['fast', 'exact'];
/** Largest difference of sums over all matrices, to the largest sum: rounding to float32, and to int8. */
const TOLERANCE = { fast: 0.05, exact: 1e-3 };

/** Products with INT4 matrices in turn, beside MatMulNBits of onnxruntime-node on the same codes. */
export async function packedProducts({ memory, onnx, rounds, signal }: Setting): Promise<Findings> {
  const matrices = await randomMatrices(signal);
  const bytes = matrices.reduce((sum, matrix) => sum + storageBytes(matrix), 0);
  const folder = await mkdtemp(join(tmpdir(), 'nibblelens-bench-'));
  const theirs = onnx instanceof Peer ? matrices.map(onnxMatrix) : [];
  const findings: Findings[] = [];
  try {
    for (const mode of MODES) {
      const path = join(folder, `${mode}.onnx`);
      if (onnx instanceof Peer) {
        await writeFile(path, onnxModel(theirs, LEVELS[mode]));
        await onnx.ask('open', path);
      }
      for (const rows of [1, 128]) findings.push(await oneSize(matrices, bytes, { mode, rows, path }));
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  return { measurements: findings.flatMap((one) => one.measurements), lines: findings.flatMap((one) => one.lines) };

  async function oneSize(
    all: readonly PackedStorage[],
    read: number,
    { mode, rows, path }: { mode: Mode; rows: number; path: string },
  ): Promise<Findings> {
    const x = Float32Array.from({ length: rows * IN }, (_, i) => Math.sin(i));
    const ours = turns(all, mode, rows, x);
    const peerName = `MatMulNBits, accuracy_level ${LEVELS[mode]}`;
    const peers: Contender[] = [];
    if (onnx instanceof Peer) {
      assertClose(ours.sums(), await onnx.ask<Float32Array>('values', { path, x, rows }), TOLERANCE[mode], peerName);
      peers.push({ name: peerName, burst: () => onnx.ask('rate', { path, x, rows }) });
    }
    const name = `INT4 ${IN}×${OUT}, ${rows === 1 ? '1 row' : `${rows} rows`}`;
    const contenders = [memory, ours, ...peers];
    const rates = await inRounds(contenders, rounds(`${name}, ${mode}`, rows > 1));
    const gigabytes = (perSecond: number): number => (read * perSecond) / 1e9;
    const share = 100 * read * ratios(rates, ours.name, 'memory').median;
    return {
      measurements: contenders.slice(1).map((one) => {
        return { work: name, engine: one.name, unit: 'GB/s', ...scaled(rateOf(rates, one.name), gigabytes(1)) };
      }),
      lines: [lineOf(`${name}, ${mode}, or 85 % of read bandwidth`)],
    };

    function lineOf(work: string): Line | Absence {
      const medianOf = (one: string): number => gigabytes(rateOf(rates, one).median);
      const common = { work, ours: medianOf(ours.name), unit: 'GB/s' };
      if (onnx instanceof Peer) {
        const peer = { name: peerName, value: medianOf(peerName) };
        return line({ ...common, peer, figure: { ...ratios(rates, ours.name, peerName), unit: '×' }, bound: 1.3 }, share >= 85);
      }
      if (rows > 1) return { work, reason: `not measured: ${onnx.absent}` };
      return line({ ...common, figure: { median: share, low: share, high: share, unit: '%' }, bound: 85 });
    }
  }
}

async function randomMatrices(signal: AbortSignal): Promise<PackedStorage[]> {
  const breathe = breather(signal);
  const form = { kind: 'packed', bits: 4, groupSize: GROUP, scales: 'f16', zeros: true, offsets: false } as const;
  const matrices: PackedStorage[] = [];
  for (let i = 0; i < MATRICES; i++) {
    matrices.push(await randomPacked(new RandomWords(0, `matrix ${i}`), form, { outFeatures: OUT, inFeatures: IN }, breathe));
  }
  return matrices;
}

/** All matrices once, again and again. */
function turns(matrices: readonly PackedStorage[], mode: Mode, rows: number, x: Float32Array): Contender & { sums(): Float32Array } {
  const addon = native();
  const y = new Float32Array(rows * OUT);
  const product = (matrix: PackedStorage): void => addon?.matmul(x, rows, matrix, null, mode, y);
  return {
    name: mode,
    burst: () => timesPerSecond(() => matrices.forEach(product)),
    sums: () => {
      const sums = new Float32Array(y.length);
      for (const matrix of matrices) {
        product(matrix);
        y.forEach((value, i) => (sums[i] += value));
      }
      return sums;
    },
  };
}

/** Throws unless a peer computes the same. */
function assertClose(ours: Float32Array, theirs: Float32Array, tolerance: number, name: string): void {
  const largest = ours.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const difference = ours.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs[i])), 0);
  if (!(difference <= tolerance * largest)) throw new Error(`${name} differs by ${difference} where values reach ${largest}`);
}

const [ROWS, INNER, COLUMNS] = [512, 2048, 5632];

/** Dense products, beside tfjs-node's own matMul in float32. */
export async function denseProducts({ tensorflow, rounds }: Setting): Promise<Findings> {
  const addon = native();
  const x = Float32Array.from({ length: ROWS * INNER }, (_, i) => Math.sin(i));
  const halves = Uint16Array.from({ length: INNER * COLUMNS }, (_, i) => f32ToBf16(Math.cos(i)));
  const full = bf16ArrayToF32(halves);
  const y = new Float32Array(ROWS * COLUMNS);
  const sizes = { kind: 'dense', outFeatures: COLUMNS, inFeatures: INNER } as const;
  const forms = [
    { ...sizes, dtype: 'f32', values: full } as const,
    { ...sizes, dtype: 'bf16', values: halves } as const,
  ];
  const ours = forms.map((form) => {
    const product = (): void => addon?.matmul(x, ROWS, form, null, 'exact', y);
    return { name: form.dtype, product, burst: () => timesPerSecond(product) };
  });
  const peers: Contender[] = [];
  if (tensorflow instanceof Peer) {
    await tensorflow.ask('open', { a: x, b: transposed(full), sizes: [ROWS, INNER, COLUMNS] });
    ours[0].product();
    assertClose(y, await tensorflow.ask<Float32Array>('values'), 1e-4, 'matMul of tfjs-node');
    peers.push({ name: 'tfjs-node, f32', burst: () => tensorflow.ask('rate') });
  }
  const contenders = [...ours, ...peers];
  const rates = await inRounds(contenders, rounds('dense products', true));
  const work = `dense ${ROWS}×${INNER}×${COLUMNS}`;
  const gigaflops = (perSecond: number): number => (2 * ROWS * INNER * COLUMNS * perSecond) / 1e9;
  return {
    measurements: contenders.map(({ name }) => {
      return { work, engine: name, unit: 'Gop/s', ...scaled(rateOf(rates, name), gigaflops(1)) };
    }),
    lines: ours.map(({ name }) => {
      if (!(tensorflow instanceof Peer)) return { work: `${work}, ${name}`, reason: `not measured: ${tensorflow.absent}` };
      const [{ name: peerName }] = peers;
      const medianOf = (one: string): number => gigaflops(rateOf(rates, one).median);
      return line({
        work: `${work}, ${name}`,
        ours: medianOf(name),
        unit: 'Gop/s',
        peer: { name: peerName, value: medianOf(peerName) },
        figure: { ...ratios(rates, name, peerName), unit: '×' },
        bound: 0.8,
      });
    }),
  };
}

/** [inner, columns] of [columns, inner]. */
function transposed(values: Float32Array): Float32Array {
  const result = new Float32Array(values.length);
  for (let n = 0; n < COLUMNS; n++) for (let k = 0; k < INNER; k++) result[k * COLUMNS + n] = values[n * INNER + k];
  return result;
}
