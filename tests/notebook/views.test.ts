import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { table } from 'arquero';
import fc from 'fast-check';
import { OptionError } from '../../src/base/errors.js';
import { bundleOf } from '../../src/notebook/mime-bundle.js';
import { columnText, tableView } from '../../src/notebook/table-view.js';
import { viewBundle, VIEW_MIME } from '../../src/notebook/view.js';
import { Figure } from '../../src/plots/index.js';

describe('a column of a table view', () => {
  const cells = (...values: unknown[]): string[] => columnText(values).cells;

  test('has one number of decimals, as many as its numbers need', () => {
    assert.deepEqual(cells(1, 20, 300), ['1', '20', '300']);
    assert.deepEqual(cells(0.5, 0.25), ['0.50', '0.25']);
    assert.deepEqual(cells(1234.5678, 0.5), ['1235', '0.5']);
    assert.deepEqual(cells(0.1234567, 0.1234568), ['0.123457', '0.123457']);
    assert.deepEqual(cells(1.00001, 1.00002), ['1.00001', '1.00002']);
    assert.deepEqual(cells(0.5123, 1e-9), ['0.5123', '1.00e-9']);
  });

  test('takes what is no finite number', () => {
    assert.deepEqual(cells(1.5, NaN, Infinity, null, undefined), ['1.5', 'NaN', 'Infinity', '', '']);
    assert.deepEqual(cells(10n, 2n ** 64n), ['10', '18446744073709551616']);
    assert.deepEqual(cells('a', 1, true, new Float32Array(2), { a: 1 }), [
      'a',
      '1',
      'true',
      'Float32Array(8 bytes)',
      '{"a":1}',
    ]);
    assert.deepEqual(cells(), []);
    assert.equal(columnText(['1', 2]).number, false);
    assert.equal(columnText([null, undefined]).number, false);
  });

  test('shows every number to a twentieth of it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 8 }),
        (values) => {
          for (const [i, cell] of columnText(values).cells.entries()) {
            const error = Math.abs(Number(cell) - values[i]);
            if (error > 0.05 * Math.abs(values[i])) return false;
          }
          return true;
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('a table view', () => {
  const long = table({
    i: Array.from({ length: 50 }, (_, i) => i),
    text: Array.from({ length: 50 }, () => 'x'.repeat(500)),
  });

  test('shows 20 rows, or as many as are asked for, and says how many are left out', () => {
    assert.deepEqual([tableView(long).rows.length, tableView(long).more], [20, 30]);
    assert.deepEqual([tableView(long, { rows: 0 }).rows.length, tableView(long, { rows: Infinity }).more], [0, 0]);
    assert.equal(tableView(long).rows[0][1].length, 200);
    for (const rows of [-1, NaN]) assert.throws(() => tableView(long, { rows }), OptionError);
  });

  test('has a text for readers that do not know it', () => {
    const bundle = viewBundle(tableView(table({ token: ['Once', 'a'], p: [0.5, 12] }), { title: 'Tokens', rows: 1 }));
    assert.equal(bundle['text/plain'], 'Tokens\ntoken    p\n─────  ───\nOnce   0.5\n… 1 more row');
    const view = bundle[VIEW_MIME];
    assert.deepEqual(JSON.parse(JSON.stringify(view)), view);
  });
});

describe('the text of a view', () => {
  test('is the prompt, the text and the note', () => {
    const text = viewBundle({ kind: 'text', prompt: 'Once', text: ' upon', growing: false, note: '1 step' })[
      'text/plain'
    ];
    assert.equal(text, 'Once upon\n\n1 step');
  });

  test('is a bar of 24 characters', () => {
    const bar = (done: number, total: number): unknown =>
      viewBundle({ kind: 'progress', label: 'x', done, total, note: '' })['text/plain'];
    assert.equal(bar(12, 24), `x ${'█'.repeat(12)}${'░'.repeat(12)} 12/24`);
    assert.equal(bar(30, 24), `x ${'█'.repeat(24)} 30/24`);
    assert.equal(bar(0, 0), `x ${'░'.repeat(24)} 0/0`);
  });
});

describe('the bundle of a value', () => {
  const PLOTLY = 'application/vnd.plotly.v1+json';

  test('is that of a figure, of its own class or of plain JSON', () => {
    const parts = {
      data: [{ type: 'scatter', y: [1] }],
      layout: { title: { text: '<b>Loss</b>' } },
      config: { responsive: true },
    };
    assert.deepEqual(bundleOf(parts), { [PLOTLY]: parts, 'text/plain': '[figure] Loss' });
    assert.deepEqual(bundleOf(new Figure('Loss', parts)), { [PLOTLY]: parts, 'text/plain': '[figure] Loss' });
    assert.deepEqual(bundleOf({ data: [], layout: { title: 'Plain' } }), {
      [PLOTLY]: { data: [], layout: { title: 'Plain' } },
      'text/plain': '[figure] Plain',
    });
    assert.equal(bundleOf({ data: [], layout: {} })?.['text/plain'], '[figure]');
  });

  test('is that of a table', () => {
    assert.deepEqual(Object.keys(bundleOf(table({ a: [1] })) ?? {}), [VIEW_MIME, 'text/plain']);
  });

  test('is what its own method gives', () => {
    const own = {
      text: 'x',
      [Symbol.for('Jupyter.display')]() {
        return { 'text/html': this.text };
      },
    };
    assert.deepEqual(bundleOf(own), { 'text/html': 'x' });
  });

  test('is null for all else', () => {
    for (const value of [
      null,
      undefined,
      1,
      'text',
      [],
      {},
      { data: 1, layout: {} },
      { data: [], layout: null },
      new Map(),
      () => 1,
    ]) {
      assert.equal(bundleOf(value), null);
    }
  });
});
