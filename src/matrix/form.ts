import { groupSlots, packedBytes } from './panels.js';
import { groupsPerRow, type CodeBits, type DenseStorage, type MatrixStorage } from './storage.js';

/** What a matrix is stored as: a `MatrixStorage` without its arrays and sizes. */
export type StorageForm = DenseForm | PackedForm;

export interface DenseForm {
  readonly kind: 'dense';
  readonly dtype: DenseStorage['dtype'];
}

export interface PackedForm {
  readonly kind: 'packed';
  readonly bits: CodeBits;
  readonly groupSize: number;
  /** Of scales, and of offsets where there are any. */
  readonly scales: 'f16' | 'f32';
  readonly zeros: boolean;
  readonly offsets: boolean;
}

export function formOf(storage: MatrixStorage): StorageForm {
  if (storage.kind === 'dense') return { kind: 'dense', dtype: storage.dtype };
  const { bits, groupSize, scales, zeros, offsets } = storage;
  const isFloat16 = scales instanceof Uint16Array;
  return { kind: 'packed', bits, groupSize, scales: isFloat16 ? 'f16' : 'f32', zeros: zeros !== null, offsets: offsets !== null };
}

/** Elements of each array of a matrix [outFeatures, inFeatures] of this form; of a dense one, of `values`. */
export interface ArrayLengths {
  readonly codes: number;
  readonly scales: number;
  readonly zeros: number;
  readonly offsets: number;
  readonly values: number;
}

export function arrayLengths(form: StorageForm, outFeatures: number, inFeatures: number): ArrayLengths {
  if (form.kind === 'dense') return { codes: 0, scales: 0, zeros: 0, offsets: 0, values: outFeatures * inFeatures };
  const slots = groupSlots(outFeatures, groupsPerRow(inFeatures, form.groupSize));
  const codes = packedBytes(outFeatures, inFeatures, form.bits);
  return { codes, scales: slots, zeros: form.zeros ? slots : 0, offsets: form.offsets ? slots : 0, values: 0 };
}

const FLOAT_BYTES = { f16: 2, bf16: 2, f32: 4 } as const;

/** Bytes of all arrays of such a matrix. */
export function formBytes(form: StorageForm, outFeatures: number, inFeatures: number): number {
  const { codes, scales, zeros, offsets, values } = arrayLengths(form, outFeatures, inFeatures);
  if (form.kind === 'dense') return FLOAT_BYTES[form.dtype] * values;
  return codes + zeros + FLOAT_BYTES[form.scales] * (scales + offsets);
}

/** "int4 g128", or the dtype of a dense matrix. */
export const formName = (form: StorageForm): string =>
  form.kind === 'dense' ? form.dtype : `int${form.bits} g${form.groupSize}`;
