// node-llama-cpp. Decoding and prefill go to the context that its public classes wrap, so that neither sampling nor its
// queue is in the time; greedy text goes through the public `evaluate`, as a user's would.
import { serve } from '../peer-process.js';

interface Binding {
  readonly AddonModel: new (path: string, options: object) => { init(): Promise<boolean>; dispose(): Promise<void> };
  readonly AddonContext: new (model: object, options: object) => Context;
}

interface Context {
  init(): Promise<boolean>;
  dispose(): Promise<void>;
  initBatch(size: number): void;
  addToBatch(sequence: number, first: number, tokens: Uint32Array, logits: Uint32Array): Uint32Array;
  decodeBatch(): Promise<void>;
  disposeSequence(sequence: number): void;
  removeTokenCellsFromSequence(sequence: number, from: number, to: number): boolean;
}

interface Module {
  getLlama(options: object): Promise<Llama>;
}

interface Llama {
  readonly _bindings: Binding;
  loadModel(options: object): Promise<{
    createContext(options: object): Promise<{ getSequence(): Sequence }>;
  }>;
}

interface Sequence {
  evaluate(tokens: number[], options: object): AsyncIterable<number>;
  clearHistory(): Promise<void>;
}

type Flash = boolean | 'auto';

const BURST_MS = 400;
const BURST_TOKENS = 4;
const PROMPT = 512;
const threads = Number(process.env.BENCH_THREADS);

let llama: Llama;
const contexts = new Map<string, Context>();
let sequence: Sequence;

async function run(context: Context, ids: Uint32Array, at: number): Promise<void> {
  context.initBatch(ids.length);
  context.addToBatch(0, at, ids, Uint32Array.of(ids.length - 1));
  await context.decodeBatch();
}

const prompt = (length: number): Uint32Array => Uint32Array.from({ length }, (_, i) => i % 1000);

function contextOf(flash: Flash): Context {
  const context = contexts.get(String(flash));
  if (!context) throw new Error(`no context with flash attention ${flash}`);
  return context;
}

serve({
  start: async () => {
    // a name that the compiler does not look up, as the package need not be there
    const name = 'node-llama-cpp';
    const { getLlama } = (await import(name)) as Module;
    llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: 'error', maxThreads: threads });
  },
  open: async ({ path, flash }: { path: string; flash: readonly Flash[] }) => {
    const { AddonModel, AddonContext } = llama._bindings;
    const model = new AddonModel(path, { addonExports: llama._bindings, gpuLayers: 0, useMmap: true });
    if (!(await model.init())) throw new Error(`cannot open ${path}`);
    for (const flashAttention of flash) {
      const context = new AddonContext(model, { contextSize: 1024, batchSize: PROMPT, sequences: 1, flashAttention, threads });
      if (!(await context.init())) throw new Error('cannot make a context');
      contexts.set(String(flashAttention), context);
    }
  },
  decode: async ({ flash, context: length }: { flash: Flash; context: number }) => {
    const context = contextOf(flash);
    context.disposeSequence(0);
    await run(context, prompt(length), 0);
    const started = performance.now();
    let [tokens, ms] = [0, 0];
    for (; ms < BURST_MS || tokens < BURST_TOKENS; tokens++, ms = performance.now() - started) {
      await run(context, Uint32Array.of(tokens), length + tokens);
    }
    return (1000 * tokens) / ms;
  },
  prefill: async ({ flash, tokens }: { flash: Flash; tokens: number }) => {
    const context = contextOf(flash);
    context.disposeSequence(0);
    const started = performance.now();
    await run(context, prompt(tokens), 0);
    return (1000 * tokens) / (performance.now() - started);
  },
  openText: async ({ path }: { path: string }) => {
    const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
    const context = await model.createContext({ contextSize: 1024, threads });
    sequence = context.getSequence();
  },
  /** Tokens a second from the first to the last. */
  greedy: async ({ tokens }: { tokens: number }) => {
    await sequence.clearHistory();
    let [count, started] = [0, 0];
    for await (const _ of sequence.evaluate([1], { temperature: 0, yieldEogToken: true })) {
      if (count === 0) started = performance.now();
      if (++count === tokens) break;
    }
    return (1000 * (count - 1)) / (performance.now() - started);
  },
});
