import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { engine, scalar } from '@tensorflow/tfjs-core';
import { OptionError } from '../../src/base/errors.js';
import { backendChoice, ready, type BackendName } from '../../src/kernels/backend.js';
import { environment } from '../../src/kernels/environment.js';
import { execute } from '../../src/kernels/tfjs.js';
import { VERSION } from '../../src/base/version.js';
import { runInProcess } from '../support/process.js';
import { TEST_BACKENDS } from '../support/backends.js';

const [, { skip: withoutTensorFlow }] = TEST_BACKENDS;

describe('ready', () => {
  test('uses the backend asked for, and keeps it when none is', async () => {
    assert.equal(await ready('cpu'), 'cpu');
    assert.equal(await ready(), 'cpu');
    assert.equal(engine().backendName, 'cpu');
    assert.deepEqual(await backendChoice(), { name: 'cpu', reason: 'asked for' });
  });

  test('uses tensorflow where tfjs-node loads', { skip: withoutTensorFlow }, async () => {
    assert.equal(await ready('tensorflow'), 'tensorflow');
    assert.equal(engine().backendName, 'tensorflow');
    assert.equal(await ready(), 'tensorflow');
    await ready('cpu');
  });

  test('a backend that there is none of is a typed error, and the one in use stays', async () => {
    await ready('cpu');
    const isTyped = (error: unknown) =>
      error instanceof OptionError && error.message === 'tfjs backend: found webgl, expected cpu or tensorflow';
    await assert.rejects(ready('webgl' as BackendName), isTyped);
    assert.equal(await ready(), 'cpu');
    assert.equal(engine().backendName, 'cpu');
  });

  test('what is asked for last is used, whatever is asked for at the same time', async () => {
    const names: (BackendName | undefined)[] = withoutTensorFlow
      ? [undefined, 'cpu']
      : ['tensorflow', undefined, 'cpu', undefined];
    const found = await Promise.all(names.map((name) => ready(name)));
    assert.equal(found[found.length - 1], 'cpu');
    assert.equal(engine().backendName, 'cpu');
  });

  test('by itself picks the best one, and says why', async () => {
    const { stdout } = await runInProcess(`
      import { engine, scalar } from '@tensorflow/tfjs-core';
      import { add } from './src/ops/index.js';
      import { backendChoice } from './src/kernels/backend.js';
      const { name, reason } = await backendChoice();
      console.log(JSON.stringify({ name, reason, used: engine().backendName, sum: add(scalar(1), scalar(2)).dataSync()[0] }));
    `);
    const { name, reason, used, sum } = JSON.parse(stdout);
    assert.equal(name, withoutTensorFlow ? 'cpu' : 'tensorflow');
    assert.equal(used, name);
    assert.ok(reason.length > 0);
    assert.equal(sum, 3);
  });

  test('a kernel that the backend in use has not is a typed error', async () => {
    await ready('cpu');
    assert.throws(() => execute('NibbleNothing', { x: scalar(1) }, {}), OptionError);
  });
});

describe('environment', () => {
  test('tells what was picked and why, with tfjs and without', async () => {
    await ready('cpu');
    const rows = async (tfjs: boolean) =>
      new Map(
        (await environment({ tfjs })).objects().map((row) => {
          const { what, picked, why } = row as { what: string; picked: string; why: string };
          assert.ok(picked.length > 0 && why.length > 0, what);
          return [what, picked];
        }),
      );
    const found = await rows(true);
    assert.deepEqual([...found.keys()], ['nibblelens', 'node', 'machine', 'kernels', 'threads', 'tfjs backend']);
    assert.equal(found.get('nibblelens'), VERSION);
    assert.equal(found.get('node'), process.versions.node);
    assert.equal(found.get('tfjs backend'), 'cpu');
    assert.equal((await rows(false)).get('tfjs backend'), 'not loaded');
  });

  test('without the addon says so, and that it is slow', async () => {
    const { stdout } = await runInProcess(
      "import { environment } from './src/kernels/environment.js'; console.log(JSON.stringify((await environment({ tfjs: false })).objects()));",
      { NIBBLELENS_NATIVE: 'off' },
    );
    const kernels = JSON.parse(stdout).find(({ what }: { what: string }) => what === 'kernels');
    assert.equal(kernels.picked, 'typescript');
    assert.match(kernels.why, /slower.*NIBBLELENS_NATIVE=off/);
  });
});
