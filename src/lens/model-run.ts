import { table, type ColumnTable } from 'arquero';
import { OptionError } from '../base/errors.js';
import { checkIndex } from '../base/options.js';
import type { RunRecord } from '../model/run-record.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { ActivationCache } from './activations.js';
import { logSoftmax, topIds } from './distributions.js';

/** A pass over texts and what it showed. */
export class ModelRun {
  readonly #tokenizer: Tokenizer;

  constructor(
    tokenizer: Tokenizer,
    /** [batch][pos] */
    readonly ids: readonly Int32Array[],
    /** [batch, pos, vocab] */
    readonly logits: Float32Array,
    readonly activations: ActivationCache,
    readonly record: RunRecord,
  ) {
    this.#tokenizer = tokenizer;
  }

  /** The readable form of a token id. */
  label(id: number): string {
    return this.#tokenizer.label(id);
  }

  /** Readable tokens of a sequence, as on a plot's axis. */
  tokens(sequence: number = 0): string[] {
    return Array.from(this.#idsOf(sequence), (id) => this.label(id));
  }

  /** Log-probabilities [vocab] of the token after `position`. */
  logProbabilities(position: number, sequence: number = 0): Float32Array {
    const pos = this.#idsOf(sequence).length;
    checkIndex('position', position, pos);
    const vocabSize = this.logits.length / (this.ids.length * pos);
    const start = (sequence * pos + position) * vocabSize;
    return logSoftmax(this.logits.subarray(start, start + vocabSize));
  }

  /** The likeliest tokens after `position`: token, id, probability. */
  predictions(position: number, count: number = 5, sequence: number = 0): ColumnTable {
    const logProbabilities = this.logProbabilities(position, sequence);
    if (!Number.isInteger(count) || count < 0) {
      throw new OptionError({ thing: 'number of predictions', found: count, expected: 'a whole number from 0 on' });
    }
    const ids = topIds(logProbabilities, count);
    return table({
      token: ids.map((id) => this.label(id)),
      id: ids,
      probability: ids.map((id) => Math.exp(logProbabilities[id])),
    });
  }

  /** Attention of one head [pos, pos] (query by key); its pattern must have been captured. */
  pattern(layer: number, head: number, sequence: number = 0): Float32Array {
    const { values, shape } = this.activations.get(`blocks.${layer}.attn.hook_pattern`);
    const [batch, heads, pos, keys] = shape;
    checkIndex('head', head, heads);
    checkIndex('sequence', sequence, batch);
    const start = (sequence * heads + head) * pos * keys;
    return values.slice(start, start + pos * keys);
  }

  /** One row per position: token, likeliest next token and its probability, −log p of the token that came (nats). */
  toTable(sequence: number = 0): ColumnTable {
    const ids = this.#idsOf(sequence);
    const rows = Array.from(ids, (id, position) => {
      const logProbabilities = this.logProbabilities(position, sequence);
      const [top] = topIds(logProbabilities, 1);
      const next = position + 1 < ids.length ? ids[position + 1] : null;
      return {
        token: this.label(id),
        predicted: this.label(top),
        probability: Math.exp(logProbabilities[top]),
        loss: next === null ? null : -logProbabilities[next],
      };
    });
    return table({
      position: rows.map((_, position) => position),
      token: rows.map((row) => row.token),
      predicted: rows.map((row) => row.predicted),
      probability: rows.map((row) => row.probability),
      loss: rows.map((row) => row.loss),
    });
  }

  #idsOf(sequence: number): Int32Array {
    checkIndex('sequence', sequence, this.ids.length);
    return this.ids[sequence];
  }
}
