import { OptionError, ShapeError } from '../base/errors.js';
import { DTYPE_BITS, elementCount, type Dtype } from './tensor-info.js';
import { writeWholeFile, type WriteOptions } from './whole-file.js';

/** A tensor for `writeSafetensors`. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Its elements, or what makes them when their turn comes: so a file may be larger than memory. */
  readonly data: ArrayBufferView | (() => ArrayBufferView | Promise<ArrayBufferView>);
}

export interface WriteSafetensorsOptions extends WriteOptions {
  /** 'aligned' (default): wider elements first, and then by name. 'given': whoever gives them sees to their alignment. */
  order?: 'aligned' | 'given';
}

/** So that mapped tensors start where vector loads like them. */
const DATA_ALIGNMENT = 64;

/**
 * Writes a safetensors file: data from a multiple of 64 on, wider elements first and then by name, without holes, so
 * that every tensor is aligned to its element and equal input gives equal bytes. The file appears whole or not at all.
 * @throws OptionError for a name given twice or kept by the format; ShapeError if data and shape do not fit.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
  { order = 'aligned', ...options }: WriteSafetensorsOptions = {},
): Promise<void> {
  const ordered = inFileOrder(tensors, order);
  const header = encodeHeader(ordered, metadata);
  const total = header.length + ordered.reduce((sum, tensor) => sum + byteLength(tensor), 0);
  await writeWholeFile(
    path,
    total,
    async (write) => {
      await write(header);
      for (const tensor of ordered) await write(await bytesOf(tensor));
    },
    options,
  );
}

function inFileOrder(tensors: readonly TensorToWrite[], order: 'aligned' | 'given'): readonly TensorToWrite[] {
  const names = new Set<string>();
  for (const { name } of tensors) {
    if (names.has(name) || name === '__metadata__') {
      throw new OptionError({ thing: 'tensor name', found: name, expected: 'each name once, and not __metadata__' });
    }
    names.add(name);
  }
  if (order === 'given') return tensors;
  const bits = ({ dtype }: TensorToWrite) => DTYPE_BITS[dtype];
  return [...tensors].sort((a, b) => bits(b) - bits(a) || (a.name < b.name ? -1 : 1));
}

function encodeHeader(tensors: readonly TensorToWrite[], metadata: Readonly<Record<string, string>>): Uint8Array {
  let offset = 0;
  const entries = tensors.map((tensor) => {
    const begin = offset;
    offset += byteLength(tensor);
    return [tensor.name, { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [begin, offset] }] as const;
  });
  const about = Object.keys(metadata).length > 0 ? [['__metadata__', metadata] as const] : [];
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries([...about, ...entries])));
  const length = Math.ceil((8 + json.length) / DATA_ALIGNMENT) * DATA_ALIGNMENT;
  const header = new Uint8Array(length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length - 8), true);
  header.set(json, 8);
  return header;
}

const byteLength = ({ dtype, shape }: TensorToWrite): number =>
  Math.ceil((elementCount(shape) * DTYPE_BITS[dtype]) / 8);

async function bytesOf(tensor: TensorToWrite): Promise<Uint8Array> {
  const data = typeof tensor.data === 'function' ? await tensor.data() : tensor.data;
  if (data.byteLength === byteLength(tensor)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  throw new ShapeError({
    thing: `bytes of ${tensor.name}`,
    found: data.byteLength,
    expected: `${byteLength(tensor)} for ${tensor.dtype} [${tensor.shape.join(', ')}]`,
  });
}
