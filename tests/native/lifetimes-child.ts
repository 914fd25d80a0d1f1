// What a process of lifetimes.test.ts does: the first argument says what.
import { readFileSync } from 'node:fs';
import { DisposedError, loadModel } from '../../src/index.js';
import { hasBegun, longPage, longSpec, longStep } from './lifetimes-support.js';
import { addon } from './support.js';

const [what, folder] = process.argv.slice(2);
const { gc } = globalThis;
if (!gc) throw new Error('run with --expose-gc');

/** Collects, and lets finalizers run. */
async function collect(times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    gc?.();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function loadAndUse(load: 'map' | 'copy'): Promise<void> {
  const model = await loadModel(folder, { load });
  const { stopReason } = await model.generate('Once', { maxTokens: 4, temperature: 0 });
  if (!stopReason) throw new Error('no stop reason');
  model.dispose();
  try {
    void model.generate('Once');
  } catch (error) {
    if (error instanceof DisposedError) return;
  }
  throw new Error('a disposed model generates');
}

/** Megabytes of memory in use after each load. */
async function loads(count: number): Promise<void> {
  const megabytes: number[] = [];
  for (let i = 0; i < count; i++) {
    await loadAndUse(i % 2 === 0 ? 'map' : 'copy');
    await collect(1);
    megabytes.push(process.memoryUsage.rss() / 1e6);
  }
  console.log(JSON.stringify(megabytes));
}

/** How many mappings of the checkpoint the process has: while a model is open, and when it is gone. */
async function mappings(): Promise<void> {
  const count = () => readFileSync('/proc/self/maps', 'utf8').split('\n').filter((line) => line.includes('model.safetensors')).length;
  const open = async () => {
    const model = await loadModel(folder, { load: 'map' });
    await collect(4);
    const held = count();
    model.dispose();
    return held;
  };
  const held = await open();
  await collect(4);
  console.log(JSON.stringify([held, count()]));
}

/** Ends with a long step under way. */
async function exit(): Promise<void> {
  const layers = 20_000;
  const page = longPage(layers);
  void addon().createDecoder(longSpec(layers)).stepAsync(longStep(page));
  while (!hasBegun(page)) await new Promise((resolve) => setTimeout(resolve, 1));
  process.exit(7);
}

if (what === 'loads') await loads(50);
else if (what === 'mappings') await mappings();
else await exit();
