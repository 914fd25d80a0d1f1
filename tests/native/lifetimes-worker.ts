// What a worker of lifetimes.test.ts does with an addon of its own; it posts a message when it has begun.
import { parentPort, workerData } from 'node:worker_threads';
import { longSpec, longStep, product, type Task } from './lifetimes-support.js';
import { addon } from './support.js';

const { kind, page }: Task = workerData;

const { w, x, rows } = product();
const y = new Float32Array(rows * w.outFeatures);
const multiply = () => addon().matmul(x, rows, w, null, 'exact', y);

if (kind === 'product once') {
  multiply();
  parentPort?.postMessage(y);
} else if (kind === 'products for ever') {
  parentPort?.postMessage('begun');
  for (;;) multiply();
} else if (page) {
  void addon().createDecoder(longSpec()).stepAsync(longStep(page));
  parentPort?.postMessage('begun');
}
