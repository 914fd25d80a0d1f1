import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { log } from '../base/logger.js';
import type { MatrixStorage, Mode } from '../matrix/storage.js';

/** Increased with every change of this file's interfaces; an addon built for another number is not used. */
export const NATIVE_INTERFACE = 5;

/** Bytes that one mapping may have: as the longest Buffer of Node.js 20. */
export const LONGEST_MAPPING = 2 ** 32;

/**
 * Instruction sets that there are kernels for, of which a machine has some: `avx2` and `avx512vnni` are of x86-64,
 * `neon` and `neon_dotprod` of 64-bit ARM, `scalar` runs anywhere.
 */
export type InstructionSet = 'avx512vnni' | 'avx2' | 'neon_dotprod' | 'neon' | 'scalar';

/** Positions per page of a KV cache. */
export const PAGE_POSITIONS = 64;

/** Elements of a block of `weightSums`. */
export const WEIGHT_BLOCK = 256;

/**
 * How a KV cache holds its numbers: exactly, to 11 significant bits, or as 8-bit codes with a float32 scale for each
 * key and value vector. `roundRows` of cache-pages.ts says what becomes of a number.
 */
export type CacheType = 'f32' | 'f16' | 'int8';

/** A page of a cache: for 'f32', of float16 bits for 'f16', or of scales and codes for 'int8'. */
export type CachePage = Float32Array | Uint16Array | Int8Array;

/**
 * Keys and values of earlier positions of one sequence. Each page is [layer][key, value][kv_head][PAGE_POSITIONS][d_head],
 * of 'int8' with PAGE_POSITIONS scales before the codes of each [layer][key, value][kv_head]; all pages of a sequence
 * are of one type. Keys are stored after RoPE. Position p is in page ⌊p / PAGE_POSITIONS⌋.
 */
export interface CachedPositions {
  readonly pages: readonly CachePage[];
  /** Positions held, all before the ones being computed. */
  readonly length: number;
  /** The layer whose keys and values an attention kernel reads; the fused decoder ignores it. */
  readonly layer: number;
}

/** Sizes of an attention call: q is [batch, pos, heads, dHead]; k and v are [batch, pos, kvHeads, dHead]. */
export interface AttentionSizes {
  readonly batch: number;
  readonly pos: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly dHead: number;
  /** Of the cache pages; 1 where there is no cache. */
  readonly layers: number;
}

/** One entry per batch element, or null where nothing is cached. */
export type Past = readonly CachedPositions[] | null;

/** A linear layer as the fused decoder takes it. */
export interface NativeLinear {
  readonly weight: MatrixStorage;
  /** [outFeatures] */
  readonly bias: Float32Array | null;
}

export interface NativeDecoderLayer {
  readonly inputNorm: Float32Array;
  readonly q: NativeLinear;
  readonly k: NativeLinear;
  readonly v: NativeLinear;
  readonly o: NativeLinear;
  readonly postAttentionNorm: Float32Array;
  readonly gate: NativeLinear;
  readonly up: NativeLinear;
  readonly down: NativeLinear;
}

/** Everything a fused decoder reads. It holds the arrays, and takes none of a resizable buffer. */
export interface NativeDecoderSpec {
  readonly dModel: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly dHead: number;
  readonly dFf: number;
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly rmsNormEps: number;
  /** Factor on q·k, 1/√d_head for LLaMA. */
  readonly attentionScale: number;
  /** Of the products with packed weights. */
  readonly mode: Mode;
  readonly embedding: MatrixStorage;
  readonly layers: readonly NativeDecoderLayer[];
  readonly finalNorm: Float32Array;
  readonly lmHead: NativeLinear;
  /** [contextLength, dHead / 2]: of the angle of each rotated pair (i, i + dHead / 2). */
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/**
 * One sequence of a fused step. Its pages must have room for length + pos positions; they are written in place. What a
 * step attends to of its own positions is rounded as their type rounds it, so that it is what later steps will find.
 */
export interface NativeSequence {
  readonly pages: readonly CachePage[];
  readonly length: number;
}

/** The named points that the fused decoder can copy out; the names are those of `layers/hook-names.ts`. */
export interface NativeCapture {
  readonly name: string;
  /** Of the size of that point's tensor for this step. */
  readonly values: Float32Array;
}

export interface NativeStep {
  /** [batch, pos], copied */
  readonly ids: Int32Array;
  readonly batch: number;
  readonly pos: number;
  readonly sequences: readonly NativeSequence[];
  /** [batch, vocab] for the last position of each sequence, or [batch, pos, vocab]. */
  readonly logits: Float32Array;
  readonly allLogits: boolean;
  readonly captures: readonly NativeCapture[];
  /** Element 0 becomes non-zero to stop between layers; on a SharedArrayBuffer or not. Null: cannot be stopped. */
  readonly abort: Int32Array | null;
}

export interface NativeDecoder {
  /** Runs all layers on the calling thread (and the pool); true, or false when `abort` was seen: the cache's contents after `length` are then undefined. */
  step(step: NativeStep): boolean;
  /**
   * The same off the main thread; steps of one decoder run in turn. Ids are copied, the other arrays and the weights
   * are held until it settles: they may be read and written meanwhile, but not transferred, which frees their memory.
   */
  stepAsync(step: NativeStep): Promise<boolean>;
}

/**
 * The addon's whole surface. All matrices are row-major float32 unless a storage says otherwise; every function checks
 * the lengths of its arrays against the sizes given and throws a TypeError or RangeError before it touches memory.
 * Outputs never overlap inputs. Sums are in float32, in an order that depends on the sizes alone, never on threads.
 */
export interface NativeAddon {
  readonly interface: number;
  /** `available`: what this machine can run, best first; `avx512vnni` only where `NIBBLELENS_ISA` asks for it. */
  info(): { isa: InstructionSet; available: readonly InstructionSet[]; threads: number; compiler: string };
  /** 1 to 256; throws a RangeError otherwise. Process-wide. */
  setThreads(count: number): void;
  /** Chooses the instruction set, for tests; process-wide. */
  setIsa(isa: InstructionSet): void;
  /**
   * Bytes [offset, offset + length) of a file, 1 to `LONGEST_MAPPING`, mapped copy-on-write: writes stay private to the
   * process. Unmapped when collected. Throws an error with a `code`, as those of node:fs: ERANGE if they are not there.
   */
  mapFile(path: string, offset: number, length: number): ArrayBuffer;
  /**
   * `length` bytes of zeros, 1 to `LONGEST_MAPPING`, in large pages where the system gives them; memory is taken as it is
   * first used, and freed when the buffer is collected. Throws a RangeError where there is none.
   */
  allocate(length: number): ArrayBuffer;

  /** y[r, n] = bias[n] + Σ_k x[r, k]·W[n, k]; dense weights are multiplied exactly in either mode. */
  matmul(x: Float32Array, rows: number, w: MatrixStorage, bias: Float32Array | null, mode: Mode, y: Float32Array): void;
  /** dx[r, k] = Σ_n dy[r, n]·W[n, k] */
  matmulGradient(dy: Float32Array, rows: number, w: MatrixStorage, dx: Float32Array): void;
  /** y[r] = table[ids[r]] */
  embedding(ids: Int32Array, table: MatrixStorage, y: Float32Array): void;

  /** scale[r] = √(mean_k x[r, k]² + eps) */
  rmsNormScale(x: Float32Array, rows: number, eps: number, scale: Float32Array): void;
  /** y[r, k] = x[r, k] / scale[r] */
  divideRows(x: Float32Array, scale: Float32Array, y: Float32Array): void;
  /** y[r, k] = x[r, k]·gain[k] */
  multiplyColumns(x: Float32Array, gain: Float32Array, y: Float32Array): void;
  /** The three above in one pass, with the same bits: y = x / scale · gain. */
  rmsNorm(x: Float32Array, rows: number, gain: Float32Array, eps: number, y: Float32Array): void;
  rmsNormGradient(x: Float32Array, rows: number, gain: Float32Array, eps: number, dy: Float32Array, dx: Float32Array): void;

  /**
   * Rotates pairs (i, i + dHead / 2) of x [rows, heads, dHead] by the angle of positions[row]; sign −1 rotates back,
   * which is also the gradient.
   */
  rope(x: Float32Array, heads: number, dHead: number, positions: Int32Array, cos: Float32Array, sin: Float32Array, sign: 1 | -1, y: Float32Array): void;

  /** scores [batch, heads, pos, keys], keys = pos + the longest past: scale·q·k, −∞ where a key is later or absent. */
  attentionScores(q: Float32Array, k: Float32Array, sizes: AttentionSizes, past: Past, scale: number, scores: Float32Array): void;
  attentionScoresGradient(dscores: Float32Array, q: Float32Array, k: Float32Array, sizes: AttentionSizes, scale: number, dq: Float32Array, dk: Float32Array): void;
  /** Softmax of each row of `columns`; a row of −∞ alone becomes zeros. */
  softmax(x: Float32Array, columns: number, y: Float32Array): void;
  softmaxGradient(y: Float32Array, columns: number, dy: Float32Array, dx: Float32Array): void;
  /** z [batch, pos, heads, dHead] = Σ_key pattern·v */
  attentionMix(pattern: Float32Array, v: Float32Array, sizes: AttentionSizes, past: Past, z: Float32Array): void;
  attentionMixGradient(dz: Float32Array, pattern: Float32Array, v: Float32Array, sizes: AttentionSizes, dpattern: Float32Array, dv: Float32Array): void;
  /** Scores, softmax and mix in one call, with the same bits; of several positions it never holds the whole pattern. */
  attention(q: Float32Array, k: Float32Array, v: Float32Array, sizes: AttentionSizes, past: Past, scale: number, z: Float32Array): void;

  /** y = gate / (1 + e^−gate) · up */
  swiglu(gate: Float32Array, up: Float32Array, y: Float32Array): void;
  swigluGradient(gate: Float32Array, up: Float32Array, dy: Float32Array, dgate: Float32Array, dup: Float32Array): void;
  add(a: Float32Array, b: Float32Array, y: Float32Array): void;

  /** Whether none of x, at least one, is NaN or infinite. */
  allFinite(x: Float32Array): boolean;
  /** Indices of the largest of x, as many as there is room for (1 to x.length), in falling order; of equals the lower index first. */
  largest(x: Float32Array, indices: Int32Array): void;
  /**
   * sums[b] = Σ e^((x_i − most)·scale) over block b of `WEIGHT_BLOCK`, in float64; most ≥ every x, −∞ weighs nothing. The
   * same bits as in TypeScript: see `generation/sampler/scan.ts`.
   */
  weightSums(x: Float32Array, most: number, scale: number, sums: Float64Array): void;

  /** sums[i] = Σ_k words[i·block + k] modulo 2^32: reads memory once and does next to nothing else, to measure its bandwidth. */
  sumBlocks(words: Int32Array, block: number, sums: Int32Array): void;

  createDecoder(spec: NativeDecoderSpec): NativeDecoder;
}

const ADDON_FILES = [
  '../../build/native/nibblelens.node',
  `../../prebuilds/${process.platform}-${process.arch}/nibblelens.node`,
];

/** Why the addon is not in use, or null when it is. */
let absence: string | null = null;
let loaded: NativeAddon | null | undefined;

function load(): NativeAddon | null {
  if (process.env.NIBBLELENS_NATIVE === 'off') {
    absence = 'switched off by NIBBLELENS_NATIVE=off';
    return null;
  }
  const require = createRequire(import.meta.url);
  const reasons: string[] = [];
  for (const file of ADDON_FILES) {
    try {
      const addon = require(fileURLToPath(new URL(file, import.meta.url))) as NativeAddon;
      if (addon.interface === NATIVE_INTERFACE) return checked(addon);
      reasons.push(`${file} is built for interface ${addon.interface}, not ${NATIVE_INTERFACE}`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') reasons.push((error as Error).message);
    }
  }
  absence = reasons.join('; ') || 'not built (npx nibblelens setup builds it)';
  log('info', `native addon not in use: ${absence}`);
  return null;
}

/** The addon, with a warning where it could make nothing of `NIBBLELENS_THREADS` or `NIBBLELENS_ISA`. */
function checked(addon: NativeAddon): NativeAddon {
  const { isa, available, threads, compiler } = addon.info();
  const asked = process.env.NIBBLELENS_THREADS;
  if (asked && !(/^\d+$/.test(asked) && Number(asked) >= 1 && Number(asked) <= 256)) {
    log('warn', `NIBBLELENS_THREADS: found ${asked}, expected 1 to 256; ${threads} are used`);
  } else if (asked && Number(asked) > threads) {
    log('warn', `NIBBLELENS_THREADS: found ${asked} on ${threads} cores; as many are used: more would wait for each other`);
  }
  const askedIsa = process.env.NIBBLELENS_ISA;
  if (askedIsa && !available.some((name) => name === askedIsa)) {
    log('warn', `NIBBLELENS_ISA: found ${askedIsa}, expected one that this machine has: ${available.join(', ')}; ${isa} is used`);
  }
  log('debug', `native addon: ${isa}, ${threads} threads, ${compiler}`);
  return addon;
}

/** The addon, or null where it is not built, does not load, or `NIBBLELENS_NATIVE=off` is set. Loaded at the first call. */
export function native(): NativeAddon | null {
  if (loaded === undefined) loaded = load();
  return loaded;
}

/** Why `native()` is null, for `environment()`; null when it is not. */
export function nativeAbsence(): string | null {
  native();
  return absence;
}
