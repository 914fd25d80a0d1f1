import { table, type ColumnTable } from 'arquero';
import { NibbleLensError } from '../base/errors.js';
import { breather } from '../base/event-loop.js';
import { checkOptionNames, checkWhole } from '../base/options.js';
import { layerHook, type HookName, type LayerPoint } from '../layers/hook-names.js';
import { storageBytes } from '../matrix/index.js';
import { linearHook } from '../model/linear-hooks.js';
import type { ModelDecoder } from '../model/model-decoder.js';
import type { RunRecord } from '../model/run-record.js';
import type { LinearName, LinearWeights } from '../model/weights.js';
import { native, nativeAbsence, type NativeAddon } from '../native/native.js';
import { ReadBandwidth } from '../native/read-bandwidth.js';
import type { ModuleSpeed, RooflineOptions } from './roofline-options.js';

/** Times that every module runs; what is told is the median. */
const ROUNDS = 15;
const MOST_ROWS = 512;

/** A module as it is measured: what it has to move and to compute, and the call. */
interface Module {
  readonly hook: HookName;
  readonly bytes: number;
  readonly operations: number;
  run(): void;
}

/** How fast each module of a model ran, and what memory would allow. */
export class Roofline {
  constructor(
    readonly modules: readonly ModuleSpeed[],
    /** Bytes a second that memory gives to the kernels' threads. */
    readonly bandwidth: number,
    readonly record: RunRecord,
  ) {}

  /** A row per module, with GB/s (10⁹ bytes a second) and Gop/s (10⁹ operations a second). */
  toTable(): ColumnTable {
    return table({
      hook: this.modules.map(({ hook }) => hook),
      rows: this.modules.map(({ rows }) => rows),
      bytes: this.modules.map(({ bytes }) => bytes),
      operations: this.modules.map(({ operations }) => operations),
      microseconds: this.modules.map(({ microseconds }) => microseconds),
      'GB/s': this.modules.map(({ bytes, microseconds }) => bytes / microseconds / 1e3),
      'Gop/s': this.modules.map(({ operations, microseconds }) => operations / microseconds / 1e3),
    });
  }
}

/**
 * @internal Kept out of the declarations, which would bring tfjs' types into every cell.
 *
 * Runs each module's kernel by itself, in the order of a pass and pass after pass, so that each finds in caches what it
 * would find there in a pass.
 */
export async function roofline(decoder: ModelDecoder, record: RunRecord, options: RooflineOptions): Promise<Roofline> {
  checkOptionNames(options, ['rows', 'signal', 'onProgress'], 'option of roofline');
  const { rows = 1, signal, onProgress } = options;
  checkWhole('roofline', 'rows', rows, 1, MOST_ROWS);
  const addon = native();
  if (!addon) throw new NibbleLensError({ thing: 'native addon', found: nativeAbsence(), expected: 'loaded', where: 'roofline' });
  const breathe = breather(signal);
  const modules = modulesOf(addon, decoder, rows);
  const times = modules.map(() => [] as number[]);
  const memory = await ReadBandwidth.open(breathe);
  const rates: number[] = [];
  // the first pass, which brings kernels and pages in, does not count
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [i, { run }] of modules.entries()) {
      await breathe();
      const started = performance.now();
      run();
      if (round > 0) times[i].push(1000 * (performance.now() - started));
    }
    rates.push(memory.measure());
    onProgress?.(round + 1, ROUNDS + 1);
  }
  const speeds = modules.map(({ hook, bytes, operations }, i) => ({ hook, rows, bytes, operations, microseconds: median(times[i]) }));
  return new Roofline(speeds, median(rates), record);
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

function modulesOf(addon: NativeAddon, { weights, mode }: ModelDecoder, rows: number): Module[] {
  const { hiddenSize, intermediateSize, rmsNormEps } = weights.config;
  const linear = (hook: HookName, { weight, bias }: LinearWeights): Module => {
    const { outFeatures, inFeatures } = weight;
    const [x, y] = [activations(rows * inFeatures), new Float32Array(rows * outFeatures)];
    return {
      hook,
      bytes: storageBytes(weight) + (bias?.byteLength ?? 0) + x.byteLength + y.byteLength,
      operations: 2 * rows * outFeatures * inFeatures,
      run: () => addon.matmul(x, rows, weight, bias, mode, y),
    };
  };
  const norm = (hook: HookName, gain: Float32Array): Module => {
    const [x, y] = [activations(rows * hiddenSize), new Float32Array(rows * hiddenSize)];
    return {
      hook,
      bytes: 2 * x.byteLength + gain.byteLength,
      operations: 4 * x.length,
      run: () => addon.rmsNorm(x, rows, gain, rmsNormEps, y),
    };
  };
  const swiglu = (hook: HookName): Module => {
    const [gate, up, y] = [1, 1, 1].map(() => activations(rows * intermediateSize));
    // e^x counts as one
    return { hook, bytes: 3 * gate.byteLength, operations: 4 * gate.length, run: () => addon.swiglu(gate, up, y) };
  };
  return [
    ...weights.layers.flatMap((layer, index) => {
      const at = (point: LayerPoint): HookName => layerHook(index, point);
      const of = (name: LinearName): Module => linear(linearHook(index, name, 'out'), layer[name]);
      return [
        norm(at('ln1.hook_normalized'), layer.input_layernorm),
        ...[of('q_proj'), of('k_proj'), of('v_proj'), of('o_proj')],
        norm(at('ln2.hook_normalized'), layer.post_attention_layernorm),
        ...[of('gate_proj'), of('up_proj'), swiglu(at('mlp.hook_post')), of('down_proj')],
      ];
    }),
    norm('ln_final.hook_normalized', weights.norm),
    linear('unembed.hook_out', weights.lm_head),
  ];
}

const activations = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => Math.sin(i));
