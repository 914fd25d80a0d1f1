import { CheckpointError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import type { ByteSource } from './byte-source.js';
import { GGML_TYPES, type GgmlTypeName } from './ggml-types.js';
import { cutHeader, type CutHeader } from './gguf-layout.js';
import { GgufMetadata } from './gguf-metadata.js';
import { describe } from './json.js';

const LARGEST_ALIGNMENT = 2 ** 16;

/** What a GGUF header says of a tensor. */
export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlTypeName;
  /** Outermost first, the other way round from the file. */
  readonly shape: readonly number[];
  /** Where its first byte is in the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface GgufHeader {
  readonly metadata: GgufMetadata;
  /** In the order of the header. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Where the data starts in the file. */
  readonly dataOffset: number;
}

/**
 * Reads and checks a GGUF header: metadata, and of every tensor type, shape and byte range, and that no two overlap.
 * @throws CheckpointError
 */
export async function readGgufHeader(source: ByteSource, path: string, breathe: Breathe): Promise<GgufHeader> {
  const header = await cutHeader(source, path, breathe);
  const metadata = new GgufMetadata(header.values, path);
  const parts = metadata.get('split.count') ?? 1;
  if (parts !== 1 && parts !== 0) metadata.fail('split.count', parts, '1: files in parts are not supported');
  const alignment = alignmentOf(metadata);
  const dataOffset = Math.ceil(header.length / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  for (const info of await tensorsOf(header, path)) {
    const tensor = checkTensor(info, { alignment, dataOffset, fileBytes: source.length, path });
    if (tensors.has(tensor.name)) {
      const found = `${describe(tensor.name)} twice`;
      throw new CheckpointError({ thing: 'tensor', found, expected: 'each once', where: path });
    }
    tensors.set(tensor.name, tensor);
  }
  checkOverlaps(tensors, path);
  return { metadata, tensors, dataOffset };
}

/** A tensor as the library has it. */
interface TensorDescription {
  readonly name: string;
  /** Innermost first. */
  readonly shape: readonly bigint[];
  readonly type: string;
  /** From the start of the data. */
  readonly offset: bigint;
}

/**
 * Gives the library the header without its metadata, as the ranges of a remote file that it asks for: its own way of
 * reading local files goes on in zeros where a file is cut. It takes 0.1 s to load, and is not where there are no tensors.
 */
async function tensorsOf({ tensorCount, tensors }: CutHeader, path: string): Promise<TensorDescription[]> {
  if (tensorCount === 0) return [];
  const { gguf, GGMLQuantizationType } = await import('@huggingface/gguf');
  const range: typeof fetch = async (_, init) => {
    const asked = new Headers(init?.headers).get('range') ?? '';
    const [from, to] = (/^bytes=(\d+)-(\d+)$/.exec(asked) ?? []).slice(1).map(Number);
    return new Response(tensors.slice(from, to + 1));
  };
  try {
    const { tensorInfos, tensorInfoByteRange } = await gguf('http://header', { fetch: range });
    if (tensorInfoByteRange[1] !== tensors.length) throw new Error(`read to byte ${tensorInfoByteRange[1]}`);
    return tensorInfos.map(({ dtype, ...info }) => ({ ...info, type: GGMLQuantizationType[dtype] ?? `number ${dtype}` }));
  } catch (cause) {
    const found = cause instanceof Error ? cause.message.slice(0, 200) : String(cause);
    throw new CheckpointError({ thing: 'GGUF header', found, expected: 'one that can be read', where: path, cause });
  }
}

/** A power of two, as in llama.cpp; 32 where the file does not say. */
function alignmentOf(metadata: GgufMetadata): number {
  const alignment = metadata.get('general.alignment') ?? 32;
  const isPowerOfTwo = typeof alignment === 'number' && Number.isInteger(Math.log2(alignment));
  if (isPowerOfTwo && alignment >= 1 && alignment <= LARGEST_ALIGNMENT) return alignment;
  return metadata.fail('general.alignment', alignment, `a power of two up to ${LARGEST_ALIGNMENT}`);
}

interface Place {
  readonly alignment: number;
  readonly dataOffset: number;
  readonly fileBytes: number;
  readonly path: string;
}

const isRead = (type: string): type is GgmlTypeName => Object.hasOwn(GGML_TYPES, type);

function checkTensor(
  { name, shape, type, offset }: TensorDescription,
  { alignment, dataOffset, fileBytes, path }: Place,
): GgufTensor {
  const fail = (thing: string, found: string, expected: string): never => {
    throw new CheckpointError({ thing, found, expected, where: `${path}, tensor ${describe(name)}` });
  };
  if (!isRead(type)) return fail('type', type, `one of ${Object.keys(GGML_TYPES).join(' ')}`);
  const { elements, bytes: blockBytes } = GGML_TYPES[type];
  const sizes = shape.map(Number);
  if (sizes.length === 0 || sizes.some((size) => size < 1)) {
    return fail('shape', `[${sizes.join(', ')}]`, 'sizes of 1 or more');
  }
  if (sizes[0] % elements !== 0) fail('row', `${sizes[0]} elements`, `a multiple of ${elements}, the block of ${type}`);
  const bytes = (shape.reduce((product, size) => product * size, 1n) / BigInt(elements)) * BigInt(blockBytes);
  if (offset % BigInt(alignment) !== 0n) fail('offset', `byte ${offset}`, `a multiple of the alignment, ${alignment}`);
  const length = Math.max(fileBytes - dataOffset, 0);
  if (offset + bytes > BigInt(length)) {
    fail('range', `bytes ${offset} to ${offset + bytes}`, `within the ${length} bytes after the header`);
  }
  return { name, type, shape: sizes.reverse(), offset: dataOffset + Number(offset), bytes: Number(bytes) };
}

function checkOverlaps(tensors: ReadonlyMap<string, GgufTensor>, path: string): void {
  const byOffset = [...tensors.values()].sort((a, b) => a.offset - b.offset);
  for (let i = 1; i < byOffset.length; i++) {
    const [before, tensor] = [byOffset[i - 1], byOffset[i]];
    if (tensor.offset >= before.offset + before.bytes) continue;
    throw new CheckpointError({
      thing: 'start of a tensor',
      found: `byte ${tensor.offset}`,
      expected: `byte ${before.offset + before.bytes} or later, where ${describe(before.name)} ends`,
      where: `${path}, tensor ${describe(tensor.name)}`,
    });
  }
}
