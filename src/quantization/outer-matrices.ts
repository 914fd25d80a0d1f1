import { OptionError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import { f32ToF16 } from '../base/float16.js';
import { dequantize } from '../matrix/dequantize.js';
import type { DenseStorage, MatrixStorage } from '../matrix/storage.js';
import type { LlamaWeights } from '../model/weights.js';
import { weightHalves } from '../native/weight-memory.js';
import type { OuterType } from './outer-types.js';
import { roundMatrix } from './quantize-matrix.js';

/** Inputs that share a scale: Q4_0's and Q8_0's. */
const GROUP_SIZE = 32;
/** Weights rounded between two breaths. */
const CHUNK = 2 ** 16;

/**
 * The weights with lm_head and embedding held as these types: float16, or rounded to nearest (see `quantizeRtn`) in
 * groups of 32. A matrix that has the type already is kept; one that both share stays shared where both get one type.
 * @throws OptionError for weights that float16, or its scales, do not reach.
 */
export async function withOuterTypes(
  weights: LlamaWeights,
  { head, embedding }: { head: OuterType; embedding: OuterType },
  breathe: Breathe,
  onProgress?: (done: number, total: number) => void,
): Promise<LlamaWeights> {
  const { embed_tokens, lm_head } = weights;
  const isShared = lm_head.weight === embed_tokens && head === embedding;
  const table = await heldAs(embed_tokens, embedding, 'embed_tokens', breathe);
  onProgress?.(1, 2);
  const weight = isShared ? table : await heldAs(lm_head.weight, head, 'lm_head', breathe);
  onProgress?.(2, 2);
  return { ...weights, embed_tokens: table, lm_head: { weight, bias: lm_head.bias } };
}

async function heldAs(matrix: MatrixStorage, type: OuterType, name: string, breathe: Breathe): Promise<MatrixStorage> {
  if (type === 'stored' || (matrix.kind === 'dense' ? matrix.dtype : `int${matrix.bits}`) === type) return matrix;
  try {
    if (type === 'f16') return await toFloat16(matrix, breathe);
    return await roundMatrix(matrix, { groupSize: GROUP_SIZE, bits: type === 'int8' ? 8 : 4 }, breathe);
  } catch (cause) {
    if (!(cause instanceof OptionError)) throw cause;
    const { thing, found, expected, where } = cause;
    throw new OptionError({ thing, found, expected, where: `${name} as ${type}, ${where}`, cause });
  }
}

async function toFloat16(matrix: MatrixStorage, breathe: Breathe): Promise<DenseStorage> {
  const { outFeatures, inFeatures } = matrix;
  const values = weightHalves(outFeatures * inFeatures);
  const rowsAtOnce = Math.max(1, Math.floor(CHUNK / inFeatures));
  for (let from = 0; from < outFeatures; from += rowsAtOnce) {
    await breathe();
    const weights = dequantize(matrix, [from, Math.min(from + rowsAtOnce, outFeatures)]);
    for (let i = 0; i < weights.length; i++) {
      const bits = f32ToF16(weights[i]);
      if ((bits & 0x7c00) === 0x7c00) {
        const where = `output ${from + Math.floor(i / inFeatures)}, input ${i % inFeatures}`;
        throw new OptionError({ thing: 'weight', found: weights[i], expected: 'finite, and at most 65504', where });
      }
      values[from * inFeatures + i] = bits;
    }
  }
  return { kind: 'dense', dtype: 'f16', outFeatures, inFeatures, values };
}
