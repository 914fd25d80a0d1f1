import { table, type ColumnTable } from 'arquero';
import { OptionError, ShapeError } from '../base/errors.js';
import { breather } from '../base/event-loop.js';
import { checkOptionNames } from '../base/options.js';
import { klDivergence, topIds } from '../lens/distributions.js';
import type { ModelRun } from '../lens/model-run.js';
import type { RunRecord } from '../model/run-record.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';

/** What an evaluation needs of a model. */
export interface Evaluable {
  readonly tokenizer: Pick<Tokenizer, 'encode'>;
  readonly config: { readonly maxPositionEmbeddings: number };
  run(input: Int32Array, options?: { signal?: AbortSignal }): Promise<ModelRun>;
}

/** How much text an evaluation takes, and how it is followed and stopped. */
export interface EvaluateOptions {
  /** Tokens of a window, which a model sees alone; default: as many as every model's context holds, 512 at most. */
  windowLength?: number;
  /** Most windows to look at; default: all that the text fills. */
  windows?: number;
  signal?: AbortSignal;
  /** Windows done, of all; each is run through every model. */
  onProgress?: (done: number, total: number) => void;
}

/** How well one model foretells a text, and how close it is to the reference, the first model. */
export interface ModelEvaluation {
  /** Mean −ln p of the tokens that came, in nats. */
  readonly loss: number;
  /** e^loss */
  readonly perplexity: number;
  /** Mean KL(reference ‖ model) of the next token, in nats; 0 for the reference. */
  readonly meanKl: number;
  /** Share of positions at which both find the same token likeliest. */
  readonly topAgreement: number;
  readonly record: RunRecord;
}

/** Models on one text. */
export class Evaluation {
  constructor(
    readonly windows: number,
    readonly windowLength: number,
    /** In the order of the models. */
    readonly models: readonly ModelEvaluation[],
  ) {}

  /** Tokens that were foretold. */
  get predictions(): number {
    return this.windows * this.windowLength;
  }

  /** One row per model. */
  toTable(): ColumnTable {
    return table({
      model: this.models.map(({ record }) => record.model),
      precision: this.models.map(({ record }) => record.precision),
      mode: this.models.map(({ record }) => record.mode),
      cache: this.models.map(({ record }) => record.cache),
      loss: this.models.map(({ loss }) => loss),
      perplexity: this.models.map(({ perplexity }) => perplexity),
      meanKl: this.models.map(({ meanKl }) => meanKl),
      topAgreement: this.models.map(({ topAgreement }) => topAgreement),
    });
  }
}

/**
 * Runs a long text through models of one vocabulary in windows that follow each other, each from an empty cache and
 * without BOS, and has them foretell the token after each of its tokens (after a window's last one, the next window's
 * first). What is left at the end and fills no window is left out.
 * @throws OptionError for a text or options that give no window; ShapeError for vocabularies of unequal size.
 */
export async function evaluateModels(
  models: readonly [reference: Evaluable, ...others: Evaluable[]],
  text: string | Int32Array,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  checkOptionNames(options, ['windowLength', 'windows', 'signal', 'onProgress'], 'option of evaluateModels');
  const { windowLength, windows = Infinity, signal, onProgress } = options;
  if (!Array.isArray(models) || models.length === 0) {
    throw new OptionError({ thing: 'models', found: models, expected: 'an array of at least one' });
  }
  const ids = typeof text === 'string' ? models[0].tokenizer.encode(text, { addSpecialTokens: false }) : text;
  const length = windowLength ?? Math.min(512, ...models.map(({ config }) => config.maxPositionEmbeddings));
  const total = Math.min(windows, Math.floor((ids.length - 1) / length));
  if (!Number.isInteger(length) || length < 1 || !(total >= 1)) {
    const found = `${ids.length} tokens, windowLength ${length}, windows ${windows}`;
    throw new OptionError({ thing: 'windows of the text', found, expected: 'one at least, and a token after it' });
  }
  const breathe = breather(signal);
  const sums = models.map(() => ({ loss: 0, kl: 0, agreed: 0 }));
  let records: readonly RunRecord[] = [];
  const whole = Math.floor(total);
  for (let window = 0; window < whole; window++) {
    const start = window * length;
    const runs: ModelRun[] = [];
    for (const model of models) runs.push(await model.run(ids.subarray(start, start + length), { signal }));
    checkVocabularies(runs);
    records = runs.map(({ record }) => record);
    for (let position = 0; position < length; position++) {
      await breathe();
      const next = ids[start + position + 1];
      const logs = runs.map((run) => run.logProbabilities(position));
      const tops = logs.map((log) => topIds(log, 1)[0]);
      for (const [i, log] of logs.entries()) {
        sums[i].loss -= log[next];
        sums[i].kl += klDivergence(logs[0], log);
        if (tops[i] === tops[0]) sums[i].agreed++;
      }
    }
    onProgress?.(window + 1, whole);
  }
  const predictions = whole * length;
  const evaluations = sums.map(({ loss, kl, agreed }, i) => ({
    loss: loss / predictions,
    perplexity: Math.exp(loss / predictions),
    meanKl: kl / predictions,
    topAgreement: agreed / predictions,
    record: records[i],
  }));
  return new Evaluation(whole, length, evaluations);
}

function checkVocabularies(runs: readonly ModelRun[]): void {
  const [first] = runs;
  for (const [i, { logits, record }] of runs.entries()) {
    if (logits.length === first.logits.length) continue;
    const where = `model ${i}, ${record.model}`;
    throw new ShapeError({ thing: 'logits of a window', found: logits.length, expected: first.logits.length, where });
  }
}
