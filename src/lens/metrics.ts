import { OptionError } from '../base/errors.js';
import { checkIndex } from '../base/options.js';
import { logSoftmax } from './distributions.js';

/** What a metric is computed from. */
export interface MetricInput {
  /** [batch, pos, vocab] */
  readonly logits: Float32Array;
  /** [batch][pos] */
  readonly ids: readonly Int32Array[];
  readonly vocabSize: number;
}

/** A number computed from a run's logits, with its gradient by them: [batch, pos, vocab]. */
export type Metric = (input: MetricInput) => { readonly value: number; readonly gradient: Float32Array };

/** Which prediction a metric looks at. */
export interface MetricPlace {
  /** Position in the sequence; negative ones count from its end. Default −1: what follows the text. */
  readonly position?: number;
  /** Sequence of the batch; default 0. */
  readonly sequence?: number;
}

/**
 * The logit of token `id` minus that of `other`: how much rather the model says the one than the other. It is the usual
 * metric of activation patching (Wang et al. 2022, arXiv:2211.00593).
 */
export function logitDifference(id: number, other: number, place: MetricPlace = {}): Metric {
  return (input) => {
    const start = startOf(input, place);
    for (const token of [id, other]) checkIndex('token id', token, input.vocabSize);
    const gradient = new Float32Array(input.logits.length);
    gradient[start + id] += 1;
    gradient[start + other] -= 1;
    return { value: input.logits[start + id] - input.logits[start + other], gradient };
  };
}

/** The log-probability of token `id`, in nats: its gradient is one-hot minus the probabilities. */
export function logProbability(id: number, place: MetricPlace = {}): Metric {
  return (input) => {
    const start = startOf(input, place);
    checkIndex('token id', id, input.vocabSize);
    const logs = logSoftmax(input.logits.subarray(start, start + input.vocabSize));
    const gradient = new Float32Array(input.logits.length);
    logs.forEach((log, token) => (gradient[start + token] = (token === id ? 1 : 0) - Math.exp(log)));
    return { value: logs[id], gradient };
  };
}

/** The mean of −ln p over all tokens but each sequence's first, in nats: the loss of language modelling. */
export function nextTokenLoss(): Metric {
  return ({ logits, ids, vocabSize }) => {
    const gradient = new Float32Array(logits.length);
    const count = ids.reduce((sum, sequence) => sum + sequence.length - 1, 0);
    if (count === 0) throw new OptionError({ thing: 'tokens to predict', found: 0, expected: 'at least two tokens' });
    let value = 0;
    let start = 0;
    for (const sequence of ids) {
      for (let position = 0; position < sequence.length; position++, start += vocabSize) {
        if (position + 1 === sequence.length) continue;
        const logs = logSoftmax(logits.subarray(start, start + vocabSize));
        const next = sequence[position + 1];
        value -= logs[next] / count;
        logs.forEach((log, token) => (gradient[start + token] = (Math.exp(log) - (token === next ? 1 : 0)) / count));
      }
    }
    return { value, gradient };
  };
}

function startOf({ ids, vocabSize }: MetricInput, { position = -1, sequence = 0 }: MetricPlace): number {
  const pos = ids[0].length;
  checkIndex('sequence', sequence, ids.length);
  if (!Number.isInteger(position) || position < -pos || position >= pos) {
    throw new OptionError({ thing: 'position', found: position, expected: `${-pos} to ${pos - 1}` });
  }
  return (sequence * pos + (position < 0 ? pos + position : position)) * vocabSize;
}
