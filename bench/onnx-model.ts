import { f16ArrayToF32 } from '../dist/base/float16.js';
import { groupSlot, unpackRow } from '../dist/matrix/panels.js';
import { groupsPerRow, type PackedStorage } from '../dist/matrix/storage.js';

/*
 * An ONNX model of MatMulNBits nodes (domain com.microsoft), as protocol buffers by hand: a dozen fields of onnx.proto3.
 * All nodes take the same x; the model's output is the sum of theirs, so that none is left out.
 */

const FLOAT = 1;
const UINT8 = 2;
const INT_ATTRIBUTE = 2;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
  return Buffer.from([...bytes, value]);
}

/** A field: a whole number, or a length and so many bytes. */
function field(number: number, value: number | string | Uint8Array): Buffer {
  if (typeof value === 'number') return Buffer.concat([varint(number << 3), varint(value)]);
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

const tensor = (name: string, type: number, dims: readonly number[], data: Uint8Array): Buffer =>
  Buffer.concat([...dims.map((dim) => field(1, dim)), field(2, type), field(8, name), field(9, data)]);

const attribute = (name: string, value: number): Buffer =>
  Buffer.concat([field(1, name), field(3, value), field(20, INT_ATTRIBUTE)]);

/** A float32 matrix of any number of rows. */
function valueInfo(name: string, columns: number): Buffer {
  const shape = Buffer.concat([field(1, field(2, 'rows')), field(1, field(1, columns))]);
  return Buffer.concat([field(1, name), field(2, field(1, Buffer.concat([field(1, FLOAT), field(2, shape)])))]);
}

interface NodeParts {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, number>>;
}

const node = ({ op, inputs, output, domain = '', attributes = {} }: NodeParts): Buffer =>
  Buffer.concat([
    ...inputs.map((input) => field(1, input)),
    field(2, output),
    field(3, output),
    field(4, op),
    ...Object.entries(attributes).map(([name, value]) => field(5, attribute(name, value))),
    field(7, domain),
  ]);

/** A 4-bit matrix as MatMulNBits takes it: two codes to a byte, the even one in the low bits; zero points likewise. */
export interface OnnxMatrix {
  readonly source: PackedStorage;
  readonly codes: Uint8Array;
  readonly zeros: Uint8Array;
  readonly scales: Float32Array;
}

export function onnxMatrix(source: PackedStorage): OnnxMatrix {
  const { outFeatures, inFeatures, groupSize, zeros } = source;
  const stored = source.scales instanceof Uint16Array ? f16ArrayToF32(source.scales) : source.scales;
  const groups = groupsPerRow(inFeatures, groupSize);
  const row = new Uint8Array(inFeatures);
  const codes = new Uint8Array((outFeatures * inFeatures) / 2);
  const zeroBytes = new Uint8Array((outFeatures * groups) / 2);
  const scales = new Float32Array(outFeatures * groups);
  for (let n = 0; n < outFeatures; n++) {
    unpackRow(source.codes, 4, n, row);
    for (let k = 0; k < inFeatures; k += 2) codes[(n * inFeatures + k) / 2] = row[k] | (row[k + 1] << 4);
    for (let g = 0; g < groups; g++) {
      const [at, slot] = [n * groups + g, groupSlot(n, g, groups)];
      scales[at] = stored[slot];
      zeroBytes[at >> 1] |= (zeros?.[slot] ?? 8) << (4 * (at & 1));
    }
  }
  return { source, codes, zeros: zeroBytes, scales };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength);

/** A model y = Σ_i x·Wᵢᵀ of 4-bit matrices of one size; level 1 computes in float32, 4 in int8. */
export function onnxModel(matrices: readonly OnnxMatrix[], accuracyLevel: 1 | 4): Buffer {
  const [{ source: { outFeatures: n, inFeatures: k, groupSize } }] = matrices; // prettier-ignore
  const groups = groupsPerRow(k, groupSize);
  const outputs = matrices.map((_, i) => `y${i}`);
  const attributes = { K: k, N: n, bits: 4, block_size: groupSize, accuracy_level: accuracyLevel };
  const nodes = matrices.map((_, i) =>
    node({ op: 'MatMulNBits', inputs: ['x', `B${i}`, `s${i}`, `z${i}`], output: outputs[i], domain: 'com.microsoft', attributes }),
  );
  const initializers = matrices.flatMap(({ codes, zeros, scales }, i) => [
    tensor(`B${i}`, UINT8, [n, groups, groupSize / 2], codes),
    tensor(`s${i}`, FLOAT, [n * groups], bytesOf(scales)),
    tensor(`z${i}`, UINT8, [(n * groups) / 2], zeros),
  ]);
  const graph = Buffer.concat([
    ...[...nodes, node({ op: 'Sum', inputs: outputs, output: 'y' })].map((one) => field(1, one)),
    field(2, 'products'),
    ...initializers.map((one) => field(5, one)),
    field(11, valueInfo('x', k)),
    field(12, valueInfo('y', n)),
  ]);
  const opset = (domain: string, version: number): Buffer => field(8, Buffer.concat([field(1, domain), field(2, version)]));
  return Buffer.concat([field(1, 8), field(7, graph), opset('', 17), opset('com.microsoft', 1)]);
}
