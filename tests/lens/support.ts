import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ModelDecoder } from '../../src/model/model-decoder.js';
import { native } from '../../src/native/native.js';
import { OpenedModel } from '../../src/opened-model.js';
import { idTokenizer } from '../../src/tokenizer/id-tokenizer.js';
import { assertNear, assertSameBits } from '../native/support.js';
import { randomIds, randomShape, randomWeights, type RandomModelShape } from '../support/random-model.js';

/** A decoder of random weights: by default a small LLaMA of INT4 matrices with grouped queries. */
export function smallDecoder(shape: Partial<RandomModelShape> = {}, contextLength = 400): ModelDecoder {
  const usual: RandomModelShape = {
    layers: 2,
    dModel: 24,
    dFf: 37,
    kvHeads: 2,
    group: 2,
    dHead: 8,
    vocab: 43,
    weights: 'int4',
    groupSize: 16,
    bias: true,
    tied: false,
    seed: 7,
  };
  return new ModelDecoder(randomWeights({ ...usual, ...shape }, contextLength));
}

/** Such a model as users hold it, with ids for tokens. */
export function smallModel(shape: Partial<RandomModelShape> = {}, contextLength = 400): OpenedModel {
  const decoder = smallDecoder(shape, contextLength);
  const tokenizer = idTokenizer('random', { vocabSize: decoder.vocabSize, bosId: null });
  return OpenedModel.of(decoder, tokenizer, { path: '/models/random', hash: 'none' });
}

/** Random ids of such a model's vocabulary. */
export const someIds = (seed: number, count: number, vocab = 43): Int32Array => randomIds(seed, count, vocab);

/** Decoders of many shapes and stored types. */
export const anyDecoder: fc.Arbitrary<ModelDecoder> = randomShape.map(
  (shape) => new ModelDecoder(randomWeights(shape)),
);

/** Between TypeScript kernels that sum in float64 in different orders: a last bit, grown over a few layers. */
const SUMS = 1e-4;

/** Asserts the same bits where the addon is, and without it the same to what the order of sums makes. */
export function assertSameNumbers(found: Float32Array, expected: Float32Array, what: string): void {
  if (native()) return assertSameBits(found, expected, what);
  assert.equal(found.length, expected.length, what);
  assertNear(found, (i) => ({ value: expected[i], size: 1 }), SUMS, what);
}
