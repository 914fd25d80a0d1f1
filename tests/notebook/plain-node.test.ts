import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runInProcess } from '../support/process.js';

test('outside a notebook texts and tables are printed, and what only moves is silent', async () => {
  const { stdout, stderr } = await runInProcess(`
    import { table } from 'arquero';
    import { interruptSignal, livePlot, progress, show, stream } from './src/notebook/index.js';
    const replace = show('a text');
    replace('another');
    show(table({ a: [1, 2] }), { title: 'Numbers' });
    show({ data: [], layout: { title: { text: 'A figure' } } });
    const bar = progress('reading');
    bar(1, 2);
    bar(2, 2);
    const plot = livePlot('Loss');
    plot.add({ train: 1 });
    show(plot.figure());
    const pieces = { async *[Symbol.asyncIterator]() { yield { text: ' upon' }; yield { text: ' a' }; }, then: (done) => done('whole') };
    const result = await stream(pieces, { prompt: 'Once' });
    console.log(result, interruptSignal().aborted);
  `);
  assert.equal(
    stdout,
    [
      'a text',
      'another',
      'Numbers',
      'a',
      '─',
      '1',
      '2',
      '[figure] A figure',
      '[figure] Loss',
      'Once upon a',
      'whole false',
      '',
    ].join('\n'),
  );
  assert.equal(stderr, '');
});
