import { stat } from 'node:fs/promises';
import { CheckpointError } from '../base/errors.js';
import { breather, type Breathe } from '../base/event-loop.js';
import { bf16ArrayToF32, f16ArrayToF32 } from '../base/float16.js';
import type { StorageForm } from '../matrix/form.js';
import { groupSlot, groupSlots, outputStart, packedBytes } from '../matrix/panels.js';
import type { DenseStorage, MatrixStorage, PackedStorage } from '../matrix/storage.js';
import { weightBytes, weightFloats, weightHalves } from '../native/weight-memory.js';
import { copyOf, openSource, type ByteSource, type LoadMode } from './byte-source.js';
import type { LlamaConfig } from './config.js';
import { GGML_TYPES, type GgmlTypeName } from './ggml-types.js';
import { BLOCK_FORMATS, type BlockFormat, type BlockTypeName, type RowTarget } from './gguf-blocks.js';
import { ggufConfig } from './gguf-config.js';
import { readGgufHeader, type GgufHeader, type GgufTensor } from './gguf-header.js';
import type { GgufMetadata } from './gguf-metadata.js';
import { hashFiles } from './hash.js';
import { describe } from './json.js';
import type { CheckpointTensor, ModuleFiles } from './module-files.js';
import { EMBEDDING, nameOfGguf, nearNames, type ModuleSpec } from './names.js';

/** Bytes of blocks that are read and repacked between two breaths. */
const PIECE = 2 ** 21;

const FLOATS = ['F32', 'F16', 'BF16'] as const;
type FloatTypeName = (typeof FLOATS)[number];

/** The factors that llama.cpp divides RoPE's frequencies by. */
const ROPE_FACTORS = 'rope_freqs.weight';
const MOST_FACTOR_BYTES = 2 ** 20;

/** A GGUF file of a LLaMA as the modules of a model. */
export class GgufModules implements ModuleFiles {
  readonly format = 'gguf';
  readonly path: string;
  readonly metadata: GgufMetadata;
  readonly tensors: readonly CheckpointTensor[];
  readonly config: LlamaConfig;
  readonly #header: GgufHeader;
  /** By the names of `names.ts`. */
  readonly #byName: ReadonlyMap<string, GgufTensor>;
  readonly #sources: Sources;

  /** Use `openGguf`. */
  constructor(path: string, header: GgufHeader, sources: Sources, ropeFactors: Float32Array | null) {
    this.path = path;
    this.metadata = header.metadata;
    this.#header = header;
    this.#sources = sources;
    this.#byName = renamed(header, path);
    this.tensors = [...header.tensors.values()].map((tensor) => asTensor(tensor, path));
    this.config = ggufConfig(header.metadata, {
      vocabSize: this.#get(`${EMBEDDING}.weight`).shape[0],
      isTied: !header.tensors.has('output.weight'),
      ropeFactors,
    });
  }

  tensorsOf(module: string): CheckpointTensor[] {
    const tensors = [`${module}.weight`, `${module}.bias`].map((name) => this.#byName.get(name));
    return tensors.filter((tensor) => tensor !== undefined).map((tensor) => asTensor(tensor, this.path));
  }

  hasBias(module: string): boolean {
    return this.#byName.has(`${module}.bias`);
  }

  isPacked(module: string): boolean {
    const type = this.#byName.get(`${module}.weight`)?.type;
    return type !== undefined && !isFloat(type);
  }

  check({ name, kind, shape, bias }: ModuleSpec): void {
    this.#checkTensor(`${name}.weight`, shape, kind === 'norm');
    if (bias || this.hasBias(name)) this.#checkTensor(`${name}.bias`, [shape[0]], true);
  }

  precisionOf({ name }: ModuleSpec): string {
    return this.#get(`${name}.weight`).type.toLowerCase();
  }

  formOf({ name }: ModuleSpec): StorageForm {
    const { type } = this.#get(`${name}.weight`);
    if (isFloat(type)) return { kind: 'dense', dtype: DENSE_DTYPES[type] };
    const { bits, groupSize, scales, hasOffsets } = BLOCK_FORMATS[type];
    return { kind: 'packed', bits, groupSize, scales, zeros: false, offsets: hasOffsets };
  }

  /** Float matrices are left as they are stored, where no rows change places; see `BLOCK_FORMATS` for the others. */
  async matrix({ name }: ModuleSpec, breathe: Breathe): Promise<MatrixStorage> {
    const tensor = this.#get(`${name}.weight`);
    const rowOf = this.#rowOf(name);
    const { type } = tensor;
    return isFloat(type)
      ? this.#dense(tensor, type, rowOf, breathe)
      : this.#packed(tensor, type, rowOf ?? ((row) => row), breathe);
  }

  async bias({ name }: ModuleSpec, breathe: Breathe): Promise<Float32Array | null> {
    const tensor = this.#byName.get(`${name}.bias`);
    if (!tensor) return null;
    const stored = await this.#vector(tensor, breathe);
    const rowOf = this.#rowOf(name);
    if (!rowOf) return stored;
    const bias = new Float32Array(stored.length);
    stored.forEach((value, row) => (bias[rowOf(row)] = value));
    return bias;
  }

  async gain({ name }: ModuleSpec, breathe: Breathe): Promise<Float32Array> {
    return this.#vector(this.#get(`${name}.weight`), breathe);
  }

  async bytesOf({ name }: CheckpointTensor, breathe: Breathe): Promise<Uint8Array> {
    const tensor = this.#header.tensors.get(name);
    if (!tensor) {
      const expected = `one of the file's, such as ${nearNames(name, this.#header.tensors.keys())}`;
      throw new CheckpointError({ thing: 'tensor', found: name, expected, where: this.path });
    }
    const { buffer, start } = await this.#sources.whole.read(tensor.offset, tensor.bytes, breathe);
    return new Uint8Array(buffer, start, tensor.bytes);
  }

  async hash(): Promise<string> {
    const { pieces } = this.#sources;
    const readBytes = async (offset: number, bytes: number): Promise<Uint8Array> => {
      const { buffer, start } = await pieces.read(offset, bytes, breather());
      return new Uint8Array(buffer, start, bytes);
    };
    return hashFiles([{ path: this.path, length: pieces.length, dataOffset: this.#header.dataOffset, readBytes }]);
  }

  async close(): Promise<void> {
    await closeSources(this.#sources);
  }

  #get(name: string): GgufTensor {
    const tensor = this.#byName.get(name);
    if (tensor) return tensor;
    const expected = `that tensor; nearest: ${nearNames(name, this.#byName.keys())}`;
    throw new CheckpointError({ thing: `tensor ${name}`, found: 'nothing', expected, where: this.path });
  }

  #checkTensor(name: string, shape: readonly number[], isVector: boolean): void {
    const tensor = this.#get(name);
    const where = `${this.path}, tensor ${describe(tensor.name)}`;
    if (isVector && !isFloat(tensor.type)) {
      throw new CheckpointError({ thing: 'type', found: tensor.type, expected: FLOATS.join(' or '), where });
    }
    if (tensor.shape.length === shape.length && tensor.shape.every((size, i) => size === shape[i])) return;
    const [found, expected] = [tensor.shape, shape].map((sizes) => `[${sizes.join(', ')}]`);
    throw new CheckpointError({ thing: 'shape', found, expected: `${expected}, as its metadata say`, where });
  }

  /**
   * Where a row of a file's matrix belongs; null where it is in its place. llama.cpp turns neighbouring rows of a head
   * by RoPE, Hugging Face rows half a head apart: its converter puts row h·d + r·d/2 + i at h·d + 2i + r.
   */
  #rowOf(module: string): ((row: number) => number) | null {
    if (!/\.self_attn\.[qk]_proj$/.test(module)) return null;
    const { headDim } = this.config;
    return (row) => {
      const within = row % headDim;
      return row - within + (within & 1) * (headDim / 2) + (within >> 1);
    };
  }

  async #vector(tensor: GgufTensor, breathe: Breathe): Promise<Float32Array> {
    return readFloats(this.#sources.pieces, tensor, this.path, breathe);
  }

  async #dense(
    { offset, bytes, shape: [outFeatures, inFeatures], name }: GgufTensor,
    type: FloatTypeName,
    rowOf: ((row: number) => number) | null,
    breathe: Breathe,
  ): Promise<DenseStorage> {
    const where = `${this.path}, tensor ${describe(name)}`;
    const array = type === 'F32' ? Float32Array : Uint16Array;
    const size = array.BYTES_PER_ELEMENT;
    let { buffer, start } = await this.#sources.whole.read(offset, bytes, breathe);
    if (start % size !== 0) [buffer, start] = [await copyOf(buffer, start, bytes, breathe, where), 0];
    const stored = new array(buffer, start, bytes / size);
    const shared = { kind: 'dense', dtype: DENSE_DTYPES[type], outFeatures, inFeatures } as const;
    if (!rowOf) return { ...shared, values: stored };
    const values = new array(stored.length);
    for (let row = 0; row < outFeatures; row++) {
      await breathe();
      values.set(stored.subarray(row * inFeatures, (row + 1) * inFeatures), rowOf(row) * inFeatures);
    }
    return { ...shared, values };
  }

  async #packed(
    tensor: GgufTensor,
    type: BlockTypeName,
    rowOf: (row: number) => number,
    breathe: Breathe,
  ): Promise<PackedStorage> {
    const [outFeatures, inFeatures] = tensor.shape;
    const { bits, groupSize, scales: scaleType, hasOffsets, repackRow } = BLOCK_FORMATS[type];
    const groups = inFeatures / groupSize;
    const float = (length: number) => (scaleType === 'f16' ? weightHalves(length) : weightFloats(length));
    const slots = groupSlots(outFeatures, groups);
    const codes = weightBytes(packedBytes(outFeatures, inFeatures, bits));
    const target = {
      codes: new Uint32Array(codes.buffer, codes.byteOffset, codes.length / 4),
      codeAt: 0,
      scales: float(slots),
      offsets: float(hasOffsets ? slots : 0),
      groupAt: 0,
    };
    const blocks = inFeatures / GGML_TYPES[type].elements;
    for await (const piece of this.#pieces(tensor, breathe)) {
      const bad = repackRows(piece, repackRow, blocks, target, (row) => {
        const to = rowOf(row);
        target.codeAt = outputStart(to, inFeatures, bits) / 4;
        target.groupAt = groupSlot(to, 0, groups);
      });
      if (bad === null) continue;
      const where = `${this.path}, tensor ${describe(tensor.name)}, row ${bad.row}, block ${bad.block}`;
      throw new CheckpointError({ thing: 'scale', found: 'infinity or NaN', expected: 'a finite number', where });
    }
    const { scales } = target;
    const offsets = hasOffsets ? target.offsets : null;
    return { kind: 'packed', bits, outFeatures, inFeatures, groupSize, codes, scales, zeros: null, offsets };
  }

  /** A matrix of blocks as runs of whole rows; the next is read while one is used. */
  async *#pieces({ offset, bytes, shape: [outFeatures] }: GgufTensor, breathe: Breathe): AsyncGenerator<Piece> {
    const rowBytes = bytes / outFeatures;
    const most = Math.max(1, Math.floor(PIECE / rowBytes));
    const buffers = [0, 1].map(() => new ArrayBuffer(Math.min(most, outFeatures) * rowBytes));
    const read = async (first: number): Promise<Piece> => {
      const rows = Math.min(most, outFeatures - first);
      const into = buffers[(first / most) % 2];
      const place = [offset + first * rowBytes, rows * rowBytes] as const;
      const { buffer, start } = await this.#sources.pieces.read(...place, breathe, into);
      return { bytes: new DataView(buffer, start, rows * rowBytes), first, rows };
    };
    let next: Promise<Piece> | null = read(0);
    while (next) {
      const piece: Piece = await next;
      const end = piece.first + piece.rows;
      next = end < outFeatures ? read(end) : null;
      // a reading that fails while its piece is not waited for yet
      next?.catch(() => {});
      yield piece;
      await breathe();
    }
  }
}

/** Rows `first` to `first + rows` of a matrix of blocks. */
interface Piece {
  readonly bytes: DataView;
  readonly first: number;
  readonly rows: number;
}

/** Repacks all rows of a piece; `aim` sets the target for a row of the matrix. Gives the first block that cannot be. */
function repackRows(
  { bytes, first, rows }: Piece,
  repackRow: BlockFormat['repackRow'],
  blocks: number,
  target: RowTarget,
  aim: (row: number) => void,
): { row: number; block: number } | null {
  const step = bytes.byteLength / rows;
  for (let row = 0; row < rows; row++) {
    aim(first + row);
    const block = repackRow(bytes, row * step, blocks, target);
    if (block >= 0) return { row: first + row, block };
  }
  return null;
}

/** The file twice: in pieces that are read when they are asked for, and as `load` says. */
interface Sources {
  readonly pieces: ByteSource;
  readonly whole: ByteSource;
}

async function closeSources({ pieces, whole }: Sources): Promise<void> {
  await pieces.close();
  if (whole !== pieces) await whole.close();
}

/** Whether a path is that of a GGUF file: by its name, or by how the file starts. */
export async function isGguf(path: string): Promise<boolean> {
  if (/\.gguf$/i.test(path)) return true;
  const entry = await stat(path).catch(() => null);
  if (!entry?.isFile()) return false;
  const source = await openSource(path, 'copy', 'checkpoint');
  try {
    const { buffer, start } = await source.read(0, Math.min(4, source.length), breather());
    return Buffer.from(buffer, start).toString('latin1') === 'GGUF';
  } finally {
    await source.close();
  }
}

/** The metadata of a GGUF file alone, whatever model it holds. @throws CheckpointError */
export async function readGgufMetadata(path: string, breathe: Breathe): Promise<GgufMetadata> {
  const source = await openSource(path, 'copy', 'GGUF file');
  try {
    return (await readGgufHeader(source, path, breathe)).metadata;
  } finally {
    await source.close();
  }
}

/**
 * Opens a GGUF file, and reads and checks its header and metadata.
 * @throws CheckpointError for damaged files and models that are no LLaMA.
 */
export async function openGguf(
  path: string,
  { load = 'map', signal }: { load?: LoadMode; signal?: AbortSignal } = {},
): Promise<GgufModules> {
  const breathe = breather(signal);
  // Blocks are read past the mapping, whose pages would otherwise stay in memory beside what is made of them.
  const pieces = await openSource(path, 'copy', 'GGUF file');
  let sources: Sources = { pieces, whole: pieces };
  try {
    const header = await readGgufHeader(pieces, path, breathe);
    if (load === 'map') sources = { pieces, whole: await openSource(path, 'map', 'GGUF file') };
    return new GgufModules(path, header, sources, await ropeFactors(header, pieces, path, breathe));
  } catch (error) {
    await closeSources(sources);
    throw error;
  }
}

async function ropeFactors(
  { tensors }: GgufHeader,
  source: ByteSource,
  path: string,
  breathe: Breathe,
): Promise<Float32Array | null> {
  const tensor = tensors.get(ROPE_FACTORS);
  if (!tensor) return null;
  if (tensor.bytes <= MOST_FACTOR_BYTES) return readFloats(source, tensor, path, breathe);
  const found = `[${tensor.shape.join(', ')}]`;
  throw new CheckpointError({ thing: ROPE_FACTORS, found, expected: 'half of head_dim', where: path });
}

function renamed({ tensors }: GgufHeader, path: string): Map<string, GgufTensor> {
  const byName = new Map<string, GgufTensor>();
  for (const tensor of tensors.values()) {
    if (tensor.name === ROPE_FACTORS) continue;
    const name = nameOfGguf(tensor.name);
    if (name === null) {
      const found = describe(tensor.name);
      throw new CheckpointError({ thing: 'tensor', found, expected: 'the tensors of a LLaMA alone', where: path });
    }
    byName.set(name, tensor);
  }
  return byName;
}

const isFloat = (type: GgmlTypeName): type is FloatTypeName => FLOATS.some((float) => float === type);

const DENSE_DTYPES = { F32: 'f32', F16: 'f16', BF16: 'bf16' } as const;

/** A small float tensor as float32. */
async function readFloats(
  source: ByteSource,
  { name, type, offset, bytes }: GgufTensor,
  path: string,
  breathe: Breathe,
): Promise<Float32Array> {
  if (!isFloat(type)) {
    const where = `${path}, tensor ${describe(name)}`;
    throw new CheckpointError({ thing: 'type', found: type, expected: FLOATS.join(' or '), where });
  }
  const { buffer, start } = await source.read(offset, bytes, breathe);
  const copy = buffer.slice(start, start + bytes);
  if (type === 'F32') return new Float32Array(copy);
  return type === 'F16' ? f16ArrayToF32(new Uint16Array(copy)) : bf16ArrayToF32(new Uint16Array(copy));
}

const asTensor = ({ name, type, shape, bytes }: GgufTensor, file: string): CheckpointTensor => ({
  name,
  dtype: type,
  shape,
  bytes,
  file,
});
