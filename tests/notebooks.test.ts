import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

interface Output {
  output_type: string;
  data?: Record<string, unknown>;
}
interface Cell {
  cell_type: 'markdown' | 'code';
  source: string[];
  outputs?: Output[];
  execution_count?: number | null;
}
interface Notebook {
  cells: Cell[];
  metadata: { kernelspec: { name: string } };
}

const FOLDER = new URL('../notebooks/', import.meta.url);
const MOST_LINES = { imports: 8, beat: 12 };
const BEATS = { least: 5, most: 8 };
const MOST_BYTES = 600_000;
const SHOWN = ['application/vnd.plotly.v1+json', 'application/vnd.nibblelens.view+json'];

describe('notebooks as committed', () => {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith('.ipynb'));

  test('there are five, and each leads to another', () => {
    assert.equal(names.length, 5);
    for (const name of names) {
      const linked = /\]\((\d\d-[\w-]+\.ipynb)\)/.exec(readFileSync(new URL(name, FOLDER), 'utf8'))?.[1];
      assert.ok(linked !== undefined && linked !== name && names.includes(linked), `${name} leads to ${linked}`);
    }
  });

  for (const name of names) {
    const json = readFileSync(new URL(name, FOLDER), 'utf8');
    const { cells, metadata } = JSON.parse(json) as Notebook;
    const code = cells.filter(({ cell_type: type }) => type === 'code');
    const [imports, ...beats] = code;

    test(`${name} has the form: imports, then beats of prose, short code, one output, prose`, () => {
      assert.equal(metadata.kernelspec.name, 'nibblelens');
      assert.match(cells[0].source.join(''), /^# .+\n\n\*\*Question\.\*\* [^]+\?\n\n\*\*Answer\.\*\* /);
      assert.ok(imports.source.length <= MOST_LINES.imports);
      for (const line of imports.source) assert.match(line, /^import /);
      assert.ok(beats.length >= BEATS.least && beats.length <= BEATS.most, `${beats.length} beats`);
      for (const { source } of beats) {
        assert.ok(source.length <= MOST_LINES.beat, `${source.length} lines: ${source[0]}`);
        assert.ok(source.some((line) => line.includes('assert.')), `no check: ${source[0]}`);
      }
      cells.forEach(({ cell_type: type }, i) => {
        assert.ok(type === 'markdown' || cells[i + 1].cell_type === 'markdown', `no prose after cell ${i}`);
      });
      const closing = cells[cells.length - 1].source.filter((line) => line.trim() !== '');
      assert.deepEqual(
        closing.map((line) => /^\*\*(.+?)\.\*\* ./.exec(line)?.[1]),
        ['What held', 'What surprised', 'What comes next'],
      );
    });

    test(`${name} shows its outputs without a kernel`, () => {
      assert.ok(json.length < MOST_BYTES, `${json.length} characters`);
      assert.deepEqual(code.map(({ execution_count: count }) => count), code.map((_, i) => i + 1));
      assert.deepEqual(imports.outputs, []);
      for (const { source, outputs = [] } of beats) {
        assert.equal(outputs.length, 1, `${outputs.length} outputs: ${source[0]}`);
        assert.equal(outputs[0].output_type, 'display_data');
        assert.ok(SHOWN.some((type) => outputs[0].data?.[type] !== undefined), source[0]);
      }
    });
  }
});
