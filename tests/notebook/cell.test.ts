import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { table } from 'arquero';
import { OptionError } from '../../src/base/errors.js';
import { interruptSignal, livePlot, progress, show, stream, type MimeBundle } from '../../src/notebook/index.js';
import { VIEW_MIME } from '../../src/notebook/view.js';
import { jupyterDisplay } from '../../src/plots/index.js';

const CELL = Symbol.for('nibblelens.cell');

/** A cell as the kernel offers it, which records what it is told. */
class RecordingCell {
  controller = new AbortController();
  signal = this.controller.signal;
  shown: { id: string; bundle: MimeBundle }[] = [];
  updated: { id: string; bundle: MimeBundle }[] = [];

  show(id: string, bundle: () => MimeBundle): void {
    this.shown.push({ id, bundle: bundle() });
  }

  update(id: string, bundle: () => MimeBundle): void {
    this.updated.push({ id, bundle: bundle() });
  }
}

/** A source of pieces that ends early when aborted, as a generation does. */
function source(
  pieces: readonly string[],
  signal?: AbortSignal,
): AsyncIterable<{ text: string }> & PromiseLike<string> {
  let made = '';
  const iterate = async function* (): AsyncGenerator<{ text: string }> {
    for (const text of pieces) {
      if (signal?.aborted) return;
      made += text;
      yield { text };
    }
  };
  return {
    [Symbol.asyncIterator]: iterate,
    then: (done, fail) => Promise.resolve(made).then(done, fail),
  };
}

describe('in a cell', () => {
  let cell: RecordingCell;
  beforeEach(() => Reflect.set(globalThis, CELL, (cell = new RecordingCell())));
  afterEach(() => Reflect.deleteProperty(globalThis, CELL));

  const views = (): unknown[] => [...cell.shown, ...cell.updated].map(({ bundle }) => bundle[VIEW_MIME]);

  test('show makes an output of its own, which is replaced in place', () => {
    const replace = show('first');
    replace(table({ a: [1] }));
    const other = show('other');
    other('changed');
    assert.equal(cell.shown.length, 2);
    assert.deepEqual(
      cell.updated.map(({ id }) => id),
      cell.shown.map(({ id }) => id),
    );
    assert.notEqual(cell.shown[0].id, cell.shown[1].id);
    assert.deepEqual(cell.shown[0].bundle, {
      [VIEW_MIME]: { kind: 'text', text: 'first', growing: false },
      'text/plain': 'first',
    });
  });

  test('show keeps its options for what replaces the first', () => {
    const replace = show(table({ a: [1, 2] }), { title: 'T', rows: 1 });
    replace(table({ a: [1, 2, 3] }));
    assert.deepEqual(
      views().map((view) => [Reflect.get(Object(view), 'title'), Reflect.get(Object(view), 'more')]),
      [
        ['T', 1],
        ['T', 2],
      ],
    );
  });

  test('show at the end of a cell is not itself shown', () => {
    assert.deepEqual(Reflect.get(show('x'), Symbol.for('Jupyter.display'))(), {});
  });

  test('show takes whatever shows itself, and refuses the rest', () => {
    show({ [jupyterDisplay]: () => ({ 'text/html': '<b>x</b>' }) });
    assert.deepEqual(cell.shown[0].bundle, { 'text/html': '<b>x</b>' });
    assert.throws(() => show(new Map() as never), OptionError);
  });

  test('stream grows one text and ends it with a note', async () => {
    assert.equal(await stream(source([' upon', ' a']), { prompt: 'Once' }), ' upon a');
    assert.equal(cell.shown.length, 1);
    const all = views() as { prompt: string; text: string; growing: boolean; note?: string }[];
    assert.deepEqual(
      all.map(({ prompt, text, growing }) => [prompt, text, growing]),
      [
        ['Once', '', true],
        ['Once', ' upon', true],
        ['Once', ' upon a', true],
        ['Once', ' upon a', false],
      ],
    );
    assert.match(all[3].note ?? '', /^2 steps in \d\.\d\d s · \S+ per second$/);
  });

  test('stream gives what there is when the cell is stopped, and says so', async () => {
    const pieces = source(['a', 'b', 'c'], cell.signal);
    const { update } = cell;
    cell.update = (id, bundle) => {
      cell.controller.abort();
      update.call(cell, id, bundle);
    };
    assert.equal(await stream(pieces), 'a');
    const last = views().at(-1) as { note: string; growing: boolean };
    assert.match(last.note, /^1 step in .* · stopped$/);
    assert.equal(last.growing, false);
  });

  test('stream ends its text where the source fails', async () => {
    const failing = {
      async *[Symbol.asyncIterator]() {
        yield { text: 'a' };
        throw new RangeError('no');
      },
      then: () => assert.fail(),
    };
    await assert.rejects(stream(failing as never), RangeError);
    assert.equal((views().at(-1) as { growing: boolean }).growing, false);
  });

  test('progress is one bar, from the first call on', () => {
    const bar = progress('reading');
    assert.equal(cell.shown.length, 0);
    bar(1, 4);
    bar(4, 4);
    assert.deepEqual([cell.shown.length, cell.updated.length], [1, 1]);
    const [first, last] = views() as { label: string; done: number; total: number; note: string }[];
    assert.deepEqual(first, { kind: 'progress', label: 'reading', done: 1, total: 4, note: '' });
    assert.match(last.note, /^\d+\.\d s$/);
  });

  test('a live plot draws its lines anew', () => {
    const plot = livePlot('Loss', { y: 'nats' });
    plot.add({ train: 1, test: 2 });
    plot.add({ train: 0.5 }, 10);
    plot.add({ train: 0.25 });
    assert.deepEqual([cell.shown.length, cell.updated.length], [1, 3]);
    const { data } = plot.figure().toJSON();
    assert.deepEqual(
      data.map((line) => [Reflect.get(line, 'name'), Reflect.get(line, 'x'), Reflect.get(line, 'y')]),
      [
        ['train', [0, 10, 11], [1, 0.5, 0.25]],
        ['test', [0], [2]],
      ],
    );
  });

  test('the stop signal is the cell’s', () => {
    assert.equal(interruptSignal(), cell.signal);
  });
});
