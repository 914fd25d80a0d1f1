import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { jupyterDisplay, plotMemory, PLOTLY_MIME } from '../../src/plots/index.js';
import { bytesInWords, inWords, logTicks, quantile } from '../../src/plots/numbers.js';
import { CATEGORICAL, DIVERGING, SEQUENTIAL } from '../../src/plots/theme.js';
import { tokenText } from '../../src/plots/token-text.js';

describe('Figure', () => {
  test('shows itself in a notebook as a Plotly bundle', () => {
    const figure = plotMemory([{ kind: 'a <b>', bytes: 1 }], { title: 'Little' });
    assert.equal(jupyterDisplay, Symbol.for('Jupyter.display'));
    const bundle = figure[jupyterDisplay]();
    assert.deepEqual(Object.keys(bundle), [PLOTLY_MIME, 'text/plain']);
    assert.deepEqual(bundle[PLOTLY_MIME], { data: figure.data, layout: figure.layout, config: figure.config });
    assert.equal(bundle['text/plain'], '[figure] Little');
  });
});

describe('tokenText', () => {
  test('makes white space, control characters and marks visible, and nothing is taken for markup', () => {
    const shown = {
      ' the': '·the',
      '·the': '·the',
      '\n': '⏎',
      '\t': '⇥',
      '': '∅',
      '<s>': '&lt;s&gt;',
      '&amp;': '&amp;amp;',
      '\u0007': '⟨7⟩',
      '\u200d': '⟨200D⟩',
      '\u0301': '◌\u0301',
      '\ud83d': '\ufffd',
      '😀': '😀',
      '⟨0A⟩': '⟨0A⟩',
    };
    for (const [token, text] of Object.entries(shown)) assert.equal(tokenText(token), text);
  });

  test('cuts long tokens between characters', () => {
    assert.equal(tokenText('😀'.repeat(20)), `${'😀'.repeat(15)}…`);
    assert.equal(tokenText('<'.repeat(16)), '&lt;'.repeat(16));
  });
});

describe('numbers', () => {
  test('inWords writes three digits', () => {
    assert.deepEqual(
      [0, 1.23456, -0.5, 1234.5, 123456, 0.00001234, -2e9, 0.1].map((value) => inWords(value)),
      ['0', '1.23', '−0.5', '1235', '123456', '1.23e−5', '−2.00e9', '0.1'],
    );
  });

  test('bytesInWords takes binary units', () => {
    assert.deepEqual([0, 1, 1023, 1024, 1.5 * 2 ** 20, 2 ** 45].map(bytesInWords), [
      '0 bytes',
      '1 bytes',
      '1023 bytes',
      '1 KiB',
      '1.5 MiB',
      '32 TiB',
    ]);
  });

  test('quantile interpolates', () => {
    assert.deepEqual(
      [0, 0.25, 0.5, 0.9, 1].map((p) => quantile([1, 2, 3, 5], p)),
      [1, 1.75, 2.5, 4.4, 5],
    );
    assert.equal(quantile([7], 0.3), 7);
  });

  test('logTicks takes 1, 2, 5 or powers of ten alone', () => {
    assert.deepEqual(logTicks(0.9, 25), [1, 2, 5, 10, 20]);
    assert.deepEqual(logTicks(0.001, 10), [0.001, 0.01, 0.1, 1, 10]);
  });
});

/** Relative luminance by WCAG 2.1, from 0 (black) to 1 (white). */
function luminance(color: string): number {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const channel = parseInt(color.slice(i, i + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

describe('colours', () => {
  test('the sequential scale darkens steadily, the diverging one from its middle to both ends', () => {
    const falls = (colors: string[]): boolean =>
      colors.every((color, i) => i === 0 || luminance(color) < luminance(colors[i - 1]));
    assert.ok(falls(SEQUENTIAL.map(([, color]) => color)));
    const diverging = DIVERGING.map(([, color]) => color);
    assert.ok(falls(diverging.slice(5)) && falls(diverging.slice(0, 6).reverse()));
    assert.equal(DIVERGING[5][0], 0.5);
  });

  test('categories are distinct and stand out from white', () => {
    assert.equal(new Set(CATEGORICAL).size, CATEGORICAL.length);
    for (const color of CATEGORICAL) assert.ok(1.05 / (luminance(color) + 0.05) > 2, color);
  });
});
