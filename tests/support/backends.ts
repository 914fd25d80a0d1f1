import { ready, type BackendName } from '../../src/ops/index.js';

/** A backend of tfjs to test on. */
export interface TestBackend {
  readonly name: BackendName;
  /** Why it is left out, or false. */
  readonly skip: string | false;
}

const problem = await ready('tensorflow').then(
  () => false as const,
  (error: Error) => error.message,
);
await ready('cpu');

/** `cpu`, and `tensorflow` where tfjs-node is set up. Tests `await ready(name)` before they use one. */
export const TEST_BACKENDS: readonly TestBackend[] = [
  { name: 'cpu', skip: false },
  { name: 'tensorflow', skip: problem },
];
