/** How a tensor of a GGUF file is stored: elements come in blocks along a row. */
export interface GgmlType {
  /** Its number in the file. */
  readonly id: number;
  /** Elements of a block. */
  readonly elements: number;
  /** Bytes of a block. */
  readonly bytes: number;
}

/** The types that LLaMA-type models are met in, by ggml's names; sizes as in ggml's `type_traits`. */
export const GGML_TYPES = {
  F32: { id: 0, elements: 1, bytes: 4 },
  F16: { id: 1, elements: 1, bytes: 2 },
  Q4_0: { id: 2, elements: 32, bytes: 18 },
  Q4_1: { id: 3, elements: 32, bytes: 20 },
  Q8_0: { id: 8, elements: 32, bytes: 34 },
  Q4_K: { id: 12, elements: 256, bytes: 144 },
  Q5_K: { id: 13, elements: 256, bytes: 176 },
  Q6_K: { id: 14, elements: 256, bytes: 210 },
  BF16: { id: 30, elements: 1, bytes: 2 },
} as const satisfies Readonly<Record<string, GgmlType>>;

export type GgmlTypeName = keyof typeof GGML_TYPES;
