import { readFileSync } from 'node:fs';
import { bf16ArrayToF32, f16ArrayToF32 } from '../../src/base/float16.js';

/** A plain reader of safetensors for golden files, independent of the library's own. */
export function readGolden(path: string): Map<string, { shape: number[]; values: Float32Array | Int32Array | Int16Array | Uint8Array }> {
  const bytes = readFileSync(path);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength));
  delete header.__metadata__;
  return new Map(
    Object.entries<{ dtype: string; shape: number[]; data_offsets: [number, number] }>(header).map(
      ([name, { dtype, shape, data_offsets: [from, to] }]) => {
        const data = new Uint8Array(bytes.subarray(8 + headerLength + from, 8 + headerLength + to)).buffer;
        return [name, { shape, values: typed(dtype, data) }];
      },
    ),
  );
}

function typed(dtype: string, data: ArrayBuffer): Float32Array | Int32Array | Int16Array | Uint8Array {
  switch (dtype) {
    case 'F32':
      return new Float32Array(data);
    case 'F16':
      return f16ArrayToF32(new Uint16Array(data));
    case 'BF16':
      return bf16ArrayToF32(new Uint16Array(data));
    case 'I32':
      return new Int32Array(data);
    case 'I16':
      return new Int16Array(data);
    case 'U8':
      return new Uint8Array(data);
    default:
      throw new Error(`golden files hold no ${dtype}`);
  }
}

/** The largest of |a − b| − relative·|b| over all entries: what an absolute tolerance must cover. */
export function worstExcess(a: ArrayLike<number>, b: ArrayLike<number>, relative = 0): number {
  if (a.length !== b.length) throw new Error(`${a.length} values against ${b.length}`);
  let worst = -Infinity;
  for (let i = 0; i < a.length; i++) {
    const excess = Math.abs(a[i] - b[i]) - relative * Math.abs(b[i]);
    if (!(excess <= worst)) worst = excess;
  }
  return worst;
}
