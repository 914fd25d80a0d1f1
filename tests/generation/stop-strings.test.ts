import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StopStrings } from '../../src/generation/stop-strings.js';

const run = (stops: readonly string[], pieces: readonly string[]): { text: string; stopped: boolean } => {
  const rule = new StopStrings(stops);
  const certain = pieces.map((piece) => rule.push(piece));
  assert.equal(certain.some((text) => stops.some((stop) => text.includes(stop))), false);
  return { text: certain.join('') + rule.end(), stopped: rule.stopped };
};

test('the cut does not depend on the pieces', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), fc.array(word, { maxLength: 4 }), (pieces, stops) => {
      const text = pieces.join('');
      assert.deepEqual(run(stops, pieces), run(stops, [...text]));
      assert.deepEqual(run(stops, [text]), run(stops, [...text]));
    }),
    { numRuns: 1000 },
  );
});

test('text is held back no longer than it may begin a stop string', () => {
  const rule = new StopStrings(['\n\n', 'User:']);
  assert.deepEqual(['Hi\n', 'Us', 'e', 'd', '\n', '\n', 'more'].map((piece) => rule.push(piece)), [
    'Hi', '\n', '', 'Used', '', '', '',
  ]);
  assert.equal(rule.stopped, true);
});
