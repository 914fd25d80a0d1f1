// onnxruntime-node's MatMulNBits, on models that `onnx-model.ts` writes.
import { optionalModule, serve, timesPerSecond } from '../peer-process.js';

interface Tensor {
  readonly data: Float32Array;
  dispose(): void;
}

interface Session {
  run(feeds: Readonly<Record<string, Tensor>>): Promise<Readonly<Record<string, Tensor>>>;
}

interface Module {
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => Tensor;
  readonly InferenceSession: { create(path: string, options: object): Promise<Session> };
}

let onnx: Module;
const sessions = new Map<string, Session>();
const threads = Number(process.env.BENCH_THREADS);

interface Run {
  readonly path: string;
  readonly x: Float32Array;
  readonly rows: number;
}

async function run({ path, x, rows }: Run): Promise<Tensor> {
  const session = sessions.get(path);
  if (!session) throw new Error(`${path} is not open`);
  const { y } = await session.run({ x: new onnx.Tensor('float32', x, [rows, x.length / rows]) });
  return y;
}

serve({
  start: () => {
    onnx = optionalModule<Module>('onnxruntime-node');
  },
  open: async (path: string) => {
    const options = { executionProviders: ['cpu'], intraOpNumThreads: threads, interOpNumThreads: 1 };
    sessions.set(path, await onnx.InferenceSession.create(path, options));
  },
  values: async (what: Run) => (await run(what)).data,
  rate: (what: Run) => timesPerSecond(async () => (await run(what)).dispose()),
});
