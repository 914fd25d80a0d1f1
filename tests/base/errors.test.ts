import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import * as errors from '../../src/base/errors.js';
import { nearest, NibbleLensError, ShapeError } from '../../src/base/errors.js';

describe('errors', () => {
  test('say thing, found, expected and where, in words', () => {
    const cases: [found: unknown, expected: unknown, message: string][] = [
      [3, 4, 'size: found 3, expected 4 (op)'],
      ['[1, 2]', '[2, 2]', 'size: found [1, 2], expected [2, 2] (op)'],
      [[1, [2, 'x']], ['a', 'b'], 'size: found [1, [2, x]], expected [a, b] (op)'],
      [{ a: 1 }, null, 'size: found {"a":1}, expected null (op)'],
      [undefined, NaN, 'size: found undefined, expected NaN (op)'],
      [2n ** 60n, true, 'size: found 1152921504606846976, expected true (op)'],
    ];
    for (const [found, expected, message] of cases) {
      assert.equal(new ShapeError({ thing: 'size', found, expected, where: 'op' }).message, message);
    }
    assert.equal(new ShapeError({ thing: 'size', found: 1, expected: 2 }).message, 'size: found 1, expected 2');
  });

  test('keep their parts, their kind and their cause', () => {
    const cause = new Error('disk');
    const error = new ShapeError({ thing: 'size', found: 1, expected: 2, where: 'here', cause });
    assert.ok(error instanceof ShapeError && error instanceof NibbleLensError && error instanceof Error);
    assert.deepEqual([error.thing, error.found, error.expected, error.where], ['size', 1, 2, 'here']);
    assert.equal(error.cause, cause);
    assert.equal('cause' in new ShapeError({ thing: 'size', found: 1, expected: 2 }), false);
  });

  test('are named as their classes, and are told apart', () => {
    const classes = Object.entries(errors).filter(([name]) => name.endsWith('Error'));
    assert.ok(classes.length > 5);
    for (const [name, value] of classes) {
      const Kind = value as typeof NibbleLensError;
      const error = new Kind({ thing: 'a', found: 'b', expected: 'c' });
      assert.equal(error.name, name);
      assert.equal(
        classes.filter(([, other]) => error instanceof (other as typeof NibbleLensError)).length,
        name === 'NibbleLensError' ? 1 : 2,
      );
    }
  });
});

describe('nearest', () => {
  test('finds names by the number of letters to change', () => {
    const known = ['blocks.0.attn.hook_pattern', 'blocks.0.attn.hook_z', 'hook_embed', 'ln_final.hook_scale'];
    assert.deepEqual(nearest('blocks.0.attn.hook_patern', known, 1), [known[0]]);
    assert.deepEqual(nearest('hook_embd', known, 2)[0], 'hook_embed');
    assert.deepEqual(nearest('anything', []), []);
    assert.equal(nearest('', known).length, 3);
  });

  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 });

  test('orders as the distance by its recursive definition does, equal ones as they came', () => {
    const distance = (a: string, b: string): number => {
      if (a === '' || b === '') return a.length + b.length;
      if (a[0] === b[0]) return distance(a.slice(1), b.slice(1));
      return 1 + Math.min(distance(a.slice(1), b), distance(a, b.slice(1)), distance(a.slice(1), b.slice(1)));
    };
    fc.assert(
      fc.property(word, fc.array(word, { maxLength: 5 }), (name, known) => {
        const expected = known
          .map((candidate, at) => ({ candidate, at, far: distance(name, candidate) }))
          .sort((a, b) => a.far - b.far || a.at - b.at)
          .map(({ candidate }) => candidate);
        assert.deepEqual(nearest(name, known, known.length), expected);
      }),
      { numRuns: 200 },
    );
  });
});
