import { join } from 'node:path';
import { NibbleLensError } from '../../src/base/errors.js';
import { inspectCheckpoint, loadModel, openTokenizer, type OpenedModel, type Tokenizer } from '../../src/index.js';
import { ODD_TEXTS } from '../tokenizer/support.js';
import type { FuzzCase } from './cases.js';
import type { Draws } from './random.js';

/** How a case ended: it worked, an error said why not, or a fault of the library was found. */
export interface Outcome {
  readonly kind: 'opened' | 'refused' | 'fault';
  /** The class of the error. */
  readonly error?: string;
  readonly message?: string;
}

/** No error message needs more, whatever the file holds. */
const LONGEST_MESSAGE = 2000;

/** Opens what the case has written to `folder`, and uses it a little. */
export async function tryCase(fuzzCase: FuzzCase, folder: string): Promise<Outcome> {
  try {
    if (fuzzCase.opens === 'model') await tryModel(fuzzCase, folder);
    else useTokenizer(await openTokenizer(folder), fuzzCase.draws);
    return { kind: 'opened' };
  } catch (error) {
    return judge(error);
  }
}

function judge(error: unknown): Outcome {
  if (!(error instanceof Error)) return { kind: 'fault', message: `thrown: ${String(error)}` };
  const message = error.message.slice(0, LONGEST_MESSAGE);
  if (!(error instanceof NibbleLensError)) return { kind: 'fault', error: error.name, message: error.stack ?? message };
  const fault = (what: string): Outcome => ({ kind: 'fault', error: error.name, message: `${what}: ${error.stack}` });
  if (error.message.length > LONGEST_MESSAGE) return fault('a message that is too long');
  if (error.thing === '' || error.expected === undefined) return fault('an error that does not say enough');
  return { kind: 'refused', error: error.name, message };
}

async function tryModel({ path, load, draws }: FuzzCase, folder: string): Promise<void> {
  const place = join(folder, path);
  const inspected = await inspectCheckpoint(place).then(
    () => null,
    (error: unknown) => error,
  );
  if (inspected !== null && judge(inspected).kind === 'fault') throw inspected;
  const model = await loadModel(place, { load }).catch((error: unknown) => {
    if (judge(error).kind === 'refused' && !(error as NibbleLensError).where?.includes(folder)) {
      throw new Error(`an error that names no file: ${(error as Error).message}`);
    }
    throw error;
  });
  if (inspected !== null) throw new Error('what could not be inspected was loaded');
  let ids: Int32Array;
  try {
    // where there is none, ids are written so
    if (model.tokenizer.label(0) !== '⟨0⟩') useTokenizer(model.tokenizer, draws);
    ids = await useModel(model, draws);
  } finally {
    model.dispose();
  }
  if (!draws.once(4)) return;
  const again = await loadModel(place, { load: load === 'map' ? 'copy' : 'map' });
  const { ids: same } = await again.generate(PROMPT, GREEDY);
  again.dispose();
  if (same.join() !== ids.join()) throw new Error(`mapped and copied weights differ: ${same} and ${ids}`);
}

const PROMPT = Int32Array.of(0, 0);
const GREEDY = { maxTokens: 2, temperature: 0 } as const;

/** Gives what the model makes of `PROMPT`. */
async function useModel(model: OpenedModel, draws: Draws): Promise<Int32Array> {
  const prompt = Int32Array.from({ length: 3 }, () => draws.below(model.config.vocabSize));
  await model.generate(prompt, { maxTokens: 2, temperature: 0.8, seed: 1 });
  if (draws.once(4)) await model.run(prompt, { path: 'composed' });
  model.memory();
  return (await model.generate(PROMPT, GREEDY)).ids;
}

function useTokenizer(tokenizer: Tokenizer, draws: Draws): void {
  for (const text of [draws.pick(ODD_TEXTS), 'the <s> of </s> a <tool>\u0041']) {
    const { ids, offsets } = tokenizer.encodeWithOffsets(text, {
      addSpecialTokens: draws.once(2),
      parseSpecial: draws.once(2),
    });
    if (offsets.length !== ids.length) throw new Error('not an offset for each id');
    if (!ids.every((id) => id >= 0 && id < tokenizer.vocabSize)) throw new Error('an id beyond the vocabulary');
    const whole = tokenizer.decode(ids);
    const stream = tokenizer.stream();
    const pieces = Array.from(ids, (id) => stream.push(id));
    if (pieces.join('') + stream.end() !== whole) throw new Error('streamed text differs');
    for (const id of ids.subarray(0, 20)) {
      tokenizer.label(id);
      tokenizer.id(tokenizer.token(id));
    }
  }
}
