import { CheckpointError } from '../base/errors.js';
import { arrayLengths, type StorageForm } from '../matrix/form.js';
import { CODE_BITS } from '../matrix/panels.js';
import type { CodeBits } from '../matrix/storage.js';
import { asJsonObject, describe, parseJsonObject } from './json.js';
import { DTYPE_BITS, type Dtype } from './tensor-info.js';

/*
 * A safetensors file in compute layout holds the arrays of `MatrixStorage` as kernels read them, so that a model is
 * opened by mapping it. Metadata name the layout's version and, for each packed matrix, its bits and group size. The
 * tensors of a module M, each of one dimension:
 *
 *   M.codes, M.scales, M.zeros or M.offsets   a packed matrix
 *   M.weight                                  a dense one, or a norm's gain in float32
 *   M.bias                                    float32
 *
 * Data start at a multiple of 64 bytes, and every tensor is filled up with zeros to a multiple of 64 bytes, since the
 * format allows no holes: hence each array is aligned to a cache line in the file, and so in memory.
 */

/** Of the layout that this library writes and reads: that of `panels.ts`. */
export const COMPUTE_LAYOUT = '3';
export const LAYOUT_KEY = 'nibblelens.layout';
const MATRICES_KEY = 'nibblelens.matrices';

export const ARRAY_ALIGNMENT = 64;

export type ArrayName = 'codes' | 'scales' | 'zeros' | 'offsets' | 'weight' | 'bias';

/** An array of a module in a file. */
export interface ComputeArray {
  readonly array: ArrayName;
  readonly dtype: Dtype;
  /** Elements that mean something; padding follows. */
  readonly length: number;
}

const FLOAT_DTYPES = { f16: 'F16', bf16: 'BF16', f32: 'F32' } as const satisfies Record<string, Dtype>;

/** The arrays of a matrix, in the order of the file. */
export function matrixArrays(form: StorageForm, outFeatures: number, inFeatures: number): ComputeArray[] {
  const { codes, scales, zeros, offsets, values } = arrayLengths(form, outFeatures, inFeatures);
  if (form.kind === 'dense') return [{ array: 'weight', dtype: FLOAT_DTYPES[form.dtype], length: values }];
  const dtype = FLOAT_DTYPES[form.scales];
  return [
    { array: 'codes', dtype: 'U8', length: codes },
    { array: 'scales', dtype, length: scales },
    ...(form.zeros ? [{ array: 'zeros', dtype: 'U8', length: zeros } as const] : []),
    ...(form.offsets ? [{ array: 'offsets', dtype, length: offsets } as const] : []),
  ];
}

export const vectorArray = (array: 'weight' | 'bias', length: number): ComputeArray => ({ array, dtype: 'F32', length });

/** Elements that an array has in a file, padding included. */
export function paddedLength({ dtype, length }: ComputeArray): number {
  const perLine = (8 * ARRAY_ALIGNMENT) / DTYPE_BITS[dtype];
  return Math.ceil(length / perLine) * perLine;
}

/** What metadata say of a packed matrix. */
export interface PackedSizes {
  readonly bits: CodeBits;
  readonly groupSize: number;
}

/** Metadata of a file with these packed matrices, by module. */
export const layoutMetadata = (matrices: ReadonlyMap<string, PackedSizes>): Record<string, string> => ({
  [LAYOUT_KEY]: COMPUTE_LAYOUT,
  [MATRICES_KEY]: JSON.stringify(
    Object.fromEntries([...matrices].map(([module, { bits, groupSize }]) => [module, { bits, groupSize }])),
  ),
});

/**
 * The packed matrices of a file, by module.
 * @throws CheckpointError for another layout, and metadata that cannot be.
 */
export function readLayoutMetadata(metadata: ReadonlyMap<string, string>, where: string): Map<string, PackedSizes> {
  const layout = metadata.get(LAYOUT_KEY);
  if (layout !== COMPUTE_LAYOUT) {
    const expected = `${COMPUTE_LAYOUT}; "nibblelens convert" writes it anew from the checkpoint that this one was made of`;
    throw new CheckpointError({ thing: 'compute layout', found: describe(layout), expected, where });
  }
  const json = metadata.get(MATRICES_KEY) ?? '';
  const entries = parseJsonObject(new TextEncoder().encode(json), `${where}, metadata ${MATRICES_KEY}`);
  return new Map([...entries].map(([module, value]) => [module, packedSizes(value, `${where}, ${describe(module)}`)]));
}

function packedSizes(value: unknown, where: string): PackedSizes {
  const sizes = asJsonObject(value);
  const bits = CODE_BITS.find((one) => one === sizes?.get('bits'));
  const groupSize = sizes?.get('groupSize');
  if (bits === undefined) {
    throw new CheckpointError({ thing: 'bits', found: describe(sizes?.get('bits')), expected: CODE_BITS.join(', '), where });
  }
  if (typeof groupSize !== 'number' || !Number.isSafeInteger(groupSize) || groupSize < 1) {
    throw new CheckpointError({ thing: 'groupSize', found: describe(groupSize), expected: 'a whole number over 0', where });
  }
  return { bits, groupSize };
}
