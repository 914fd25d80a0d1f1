import { DTYPE_BITS, type Dtype } from '../../src/checkpoint/tensor-info.js';
import { bytesOf, safetensorsFile, withHeader, type FileTensor, type Tensors } from '../support/tiny-checkpoint.js';
import { mutateBytes } from './mutate-bytes.js';
import { mutateTree, textOf, treeOf } from './mutate-json.js';
import type { Draws } from './random.js';

const HEADER_LENGTHS = [
  0n,
  1n,
  2n,
  7n,
  8n,
  255n,
  100_000_000n,
  2n ** 31n,
  2n ** 32n,
  2n ** 53n,
  2n ** 60n,
  2n ** 63n,
  2n ** 64n - 1n,
] as const;
const DTYPES = Object.keys(DTYPE_BITS) as Dtype[];
/** Bits of 16-bit floats: zeros, infinities, NaN, subnormals, the largest; of bf16 and of f16. */
const HALVES = [0, 0x8000, 0x7c00, 0xfc00, 0x7c01, 0xffff, 1, 0x7bff, 0x7f80, 0xff80, 0x7fc0] as const;
const LARGEST = 2 ** 20;

const lengthOf = (file: Uint8Array): number => Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));

/** Changes what the header says, or its length, and leaves the data as it is. */
export function mutateHeader(file: Uint8Array, draws: Draws): Uint8Array {
  const length = lengthOf(file);
  if (draws.once(6)) {
    const changed = file.slice();
    const length64 = draws.once(2) ? draws.pick(HEADER_LENGTHS) : BigInt(length + draws.below(17)) - 8n;
    new DataView(changed.buffer).setBigUint64(0, BigInt.asUintN(64, length64), true);
    return changed;
  }
  if (draws.once(6)) return mutateBytes(file, draws);
  const header = treeOf(JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))));
  const text = textOf(mutateTree(header, draws));
  return withHeader(draws.once(10) ? ` ${text}\n` : text, file.subarray(8 + length));
}

/** Changes values: bits of scales and weights, whatever they are. */
export function mutateData(tensors: Tensors, draws: Draws): Uint8Array {
  const changed: Tensors = { ...tensors };
  for (let edits = 1 + draws.below(4); edits > 0; edits--) {
    const name = draws.pick(Object.keys(changed));
    const bytes = bytesOf(changed[name].data).slice();
    const halves = new Uint16Array(bytes.buffer, 0, bytes.length >> 1);
    if (halves.length > 0 && draws.once(2)) {
      for (let count = 1 + draws.below(4); count > 0; count--) halves[draws.below(halves.length)] = draws.pick(HALVES);
    } else if (draws.once(4)) bytes.fill(draws.pick([0, 0xff, 0x7f, 0x80]));
    else for (let count = 1 + draws.below(64); count > 0; count--) bytes[draws.below(bytes.length)] = draws.below(256);
    changed[name] = { ...changed[name], data: bytes };
  }
  const file = safetensorsFile(changed);
  return draws.once(6) ? mutateBytes(file, draws) : file;
}

/** Changes tensors, and writes a header that fits what they are then: so the changes are seen by what comes after it. */
export function mutateTensors(tensors: Tensors, draws: Draws): Uint8Array {
  const changed: Tensors = { ...tensors };
  for (let edits = 1 + draws.below(draws.pick([1, 1, 3])); edits > 0; edits--) {
    const names = Object.keys(changed);
    if (names.length === 0) break;
    const name = draws.pick(names);
    const tensor = changed[name];
    switch (draws.below(8)) {
      case 0:
        delete changed[name];
        break;
      case 1: {
        delete changed[name];
        changed[otherName(name, draws)] = tensor;
        break;
      }
      case 2: {
        const other = draws.pick(names);
        [changed[name], changed[other]] = [changed[other], changed[name]];
        break;
      }
      case 3:
        changed[otherName(name, draws)] = tensor;
        break;
      case 4:
        changed[name] = fitted({ ...tensor, dtype: draws.pick(DTYPES) });
        break;
      default:
        changed[name] = fitted({ ...tensor, shape: otherShape(tensor.shape, draws) });
    }
  }
  return safetensorsFile(changed);
}

const PARTS = ['weight', 'qweight', 'qzeros', 'scaled_zeros', 'scales', 'bias', 'g_idx', 'weight_packed', ''] as const;

function otherName(name: string, draws: Draws): string {
  switch (draws.below(4)) {
    case 0:
      return name.replace(/[^.]+$/, draws.pick(PARTS));
    case 1:
      return name.replace(/layers\.\d+/, `layers.${draws.below(4)}`);
    case 2:
      return draws.pick(['language_model.', 'model.', '']) + name.replace(/^model\./, '');
    default:
      return draws.pick(['lm_head.weight', 'model.embed_tokens.weight', '__metadata__x', '__proto__', name + '\u0000']);
  }
}

function otherShape(shape: readonly number[], draws: Draws): number[] {
  const sizes = [...shape];
  const at = draws.below(sizes.length + 1);
  switch (draws.below(6)) {
    case 0:
      return sizes.reverse();
    case 1:
      return sizes.toSpliced(at, 0, draws.pick([0, 1, 2]));
    case 2:
      return sizes.toSpliced(at, 1);
    case 3:
      return [sizes.reduce((a, b) => a * b, 1)];
    default:
      return sizes.toSpliced(at, 1, draws.pick([0, 1, 2, 4, 8, 16, 63, 64, 65, 128, 1024]));
  }
}

/** The tensor with as many bytes as its shape and dtype need: its own over and over, or 1 element where it were huge. */
function fitted({ dtype, shape, data }: FileTensor): FileTensor {
  const bits = DTYPE_BITS[dtype as Dtype];
  const elements = shape.reduce((a, b) => a * b, 1);
  if ((elements * bits) / 8 > LARGEST) return fitted({ dtype, shape: shape.map(() => 1), data });
  const length = Math.ceil((elements * bits) / 8);
  const own = bytesOf(data);
  return { dtype, shape, data: Uint8Array.from({ length }, (_, i) => own[i % own.length] ?? 0) };
}
