import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { endInOrder, Kernel, kernelFolder, printed, resultText, skip, types, type Exchange } from './kernel.js';

describe('output and the stop button', { skip }, () => {
  const folder = kernelFolder();
  let kernel: Kernel;
  before(async () => (kernel = await Kernel.start(folder)));
  after(() => endInOrder(kernel, folder));

  before(() => kernel.value(`import { loadModel, bundled, show } from 'nibblelens';`));

  /** Starts a cell that prints, presses stop once it does, and gives what came of it, with the milliseconds since. */
  async function stopped(code: string): Promise<{ exchange: Exchange; ms: number }> {
    const cell = kernel.execute(code);
    await kernel.heard('stream');
    const pressed = performance.now();
    await kernel.interrupt();
    const exchange = await cell;
    assert.equal(exchange.reply['ename'], 'Interrupted', code);
    return { exchange, ms: performance.now() - pressed };
  }

  describe('output', () => {
    test('of 200,000 lines arrives whole and in order', async () => {
      const exchange = await kernel.execute('for (let i = 0; i < 200_000; i++) console.log(i);');
      assert.equal(printed(exchange), Array.from({ length: 200_000 }, (_, i) => `${i}\n`).join(''));
      assert.equal(types(exchange).at(-1), 'idle');
    });

    test('of 3,000 displays arrives whole', async () => {
      const exchange = await kernel.execute('for (let i = 0; i < 3000; i++) show(`display ${i}`);');
      assert.equal(types(exchange).filter((type) => type === 'display_data').length, 3000);
      assert.deepEqual(types(exchange).slice(-2), ['display_data', 'idle']);
    });

    test('keeps the order of both streams and of displays', async () => {
      const exchange = await kernel.execute(`console.log('a'); console.error('b'); show('c'); console.log('d'); 'e'`);
      assert.deepEqual(types(exchange).slice(2, -1), ['stream', 'stream', 'display_data', 'stream', 'execute_result']);
    });

    test('arrives while a loop holds the thread, with busy and the prompt before it', async () => {
      const flag = join(folder, 'heard');
      const cell = kernel.execute(
        `import { existsSync } from 'node:fs'; console.log('a'); console.log('b'); while (!existsSync(${JSON.stringify(flag)}));`,
      );
      assert.deepEqual((await kernel.heard('stream')).content, { name: 'stdout', text: 'a\nb\n' });
      writeFileSync(flag, '');
      assert.deepEqual(types(await cell), ['busy', 'execute_input', 'stream', 'idle']);
    });

    test('after the end belongs to the cell that caused it', async () => {
      kernel.late.length = 0;
      await kernel.execute(`void setTimeout(() => console.log('afterwards'), 200);`);
      await kernel.heard('stream');
      assert.deepEqual(
        kernel.late.map(({ content }) => content['text']),
        ['afterwards\n'],
      );
    });

    test('in place is replaced, at most about 20 times a second, and ends with the last state', async () => {
      const exchange = await kernel.execute(`const update = show('0'); const started = performance.now();
for (let i = 1; i <= 100; i++) { update(String(i)); await new Promise((go) => setTimeout(go, 2)); }
performance.now() - started`);
      const updates = exchange.published.filter(({ type }) => type === 'update_display_data');
      const most = Number(resultText(exchange)) / 45 + 2;
      assert.ok(updates.length > 1 && updates.length < most, `${updates.length} updates, at most ${most}`);
      const { data } = updates.at(-1)?.content as { data: Record<string, string> };
      assert.equal(data['text/plain'], '100');
      const ids = exchange.published
        .map(({ content }) => (content['transient'] as { display_id?: string } | undefined)?.display_id)
        .filter(Boolean);
      assert.equal(new Set(ids).size, 1);
    });
  });

  describe('stop', () => {
    const HOLD = [
      ['a loop', 'while (true) ticks++;'],
      ['a loop after an await', 'await new Promise((go) => setTimeout(go, 10)); while (true) ticks++;'],
      ['a loop in a timer', 'setTimeout(() => { while (true) ticks++; }, 1); await new Promise(() => {});'],
      ['a loop that catches', 'try { while (true) ticks++; } catch { while (true) ticks++; }'],
      ['a loop of resolved awaits', 'while (true) { await null; ticks++; }'],
      ['a loop that prints', 'while (true) console.log(ticks++);'],
      ['an await that never ends', 'ticks++; await new Promise(() => {});'],
    ] as const;
    for (const [name, code] of HOLD) {
      test(`ends ${name}, and keeps the variables`, async (t) => {
        await kernel.value('let ticks = 0;');
        const { ms } = await stopped(`console.log('go'); ${code}`);
        t.diagnostic(`${Math.round(ms)} ms`);
        assert.equal(await kernel.value('ticks > 0'), 'true');
      });
    }

    test('aborts the cell’s signal, and lets the cell end in its own way', async () => {
      const { exchange } = await stopped(`import { interruptSignal } from 'nibblelens';
console.log('go'); await new Promise((go) => interruptSignal().addEventListener('abort', go)); console.log('tidied up');`);
      assert.equal(printed(exchange), 'go\ntidied up\n');
    });

    test('ends a generation in the midst, whose text so far is kept', async (t) => {
      await kernel.value('const model = await loadModel(bundled.storytellerInt4);');
      const options = `{ maxTokens: 1_000_000, contextOverflow: 'slide', seed: 1 }`;
      const { ms } = await stopped(
        `import { stream } from 'nibblelens'; console.log('go'); const story = await stream(model.generate('Once', ${options}));`,
      );
      t.diagnostic(`${Math.round(ms)} ms`);
      assert.equal(await kernel.value('story.stopReason'), `'cancelled'`);
      assert.equal(await kernel.value('story.text.length > 0'), 'true');
    });

    test('drops the cells that wait', async () => {
      const all = [`console.log('go'); while (true);`, '2', '3'].map((code) => kernel.execute(code));
      await kernel.heard('stream');
      await kernel.interrupt();
      assert.deepEqual(
        (await Promise.all(all)).map(({ reply }) => reply['status']),
        ['error', 'aborted', 'aborted'],
      );
      assert.equal(await kernel.value('4'), '4');
    });

    test('does nothing where nothing runs', async () => {
      assert.deepEqual((await kernel.interrupt()).reply, { status: 'ok' });
      assert.equal(await kernel.value('5'), '5');
    });
  });

  test('a kernel that is shut down while a cell holds the thread ends', async () => {
    const busy = await Kernel.start(folder);
    busy.tell('execute_request', { code: `console.log('go'); while (true);`, silent: false });
    await busy.heard('stream');
    await busy.stop();
    assert.equal(busy.process.signalCode, 'SIGKILL');
  });
});
