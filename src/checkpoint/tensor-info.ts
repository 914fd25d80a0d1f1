/** Bits of an element of each dtype that safetensors files name. */
export const DTYPE_BITS = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  I16: 16,
  U16: 16,
  I32: 32,
  U32: 32,
  I64: 64,
  U64: 64,
  F16: 16,
  BF16: 16,
  F32: 32,
  F64: 64,
  C64: 64,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
} as const;

/** A dtype as safetensors files spell it. All are recognised; those of `ELEMENT_ARRAYS` can be read. */
export type Dtype = keyof typeof DTYPE_BITS;

/** The typed array that holds a tensor's elements as stored: f16 and bf16 as their bits, bool as bytes. */
export const ELEMENT_ARRAYS = {
  BOOL: Uint8Array,
  U8: Uint8Array,
  I8: Int8Array,
  I16: Int16Array,
  U16: Uint16Array,
  I32: Int32Array,
  U32: Uint32Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  F32: Float32Array,
  F64: Float64Array,
} as const;
export type ReadableDtype = keyof typeof ELEMENT_ARRAYS;
export type Elements = InstanceType<(typeof ELEMENT_ARRAYS)[ReadableDtype]>;

export const isReadable = (dtype: Dtype): dtype is ReadableDtype => Object.hasOwn(ELEMENT_ARRAYS, dtype);

/** What a safetensors header says of a tensor. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Where its first byte is in the file. */
  readonly offset: number;
  readonly bytes: number;
}

export const elementCount = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
