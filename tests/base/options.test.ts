import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OptionError, UnknownNameError } from '../../src/base/errors.js';
import { checkOptionNames } from '../../src/base/options.js';

const known = ['seed', 'temperature', 'topK'];

test('known names pass, whatever they hold', () => {
  checkOptionNames({}, known, 'option');
  checkOptionNames({ seed: undefined, topK: null }, known, 'option');
});

test('a name that is not known is a typed error with the nearest ones', () => {
  assert.throws(
    () => checkOptionNames({ seed: 1, temprature: 0 }, known, 'generation option'),
    (error) => {
      assert.ok(error instanceof UnknownNameError);
      assert.match(error.message, /^generation option: found temprature, expected temperature, /);
      return true;
    },
  );
});

test('what is no object is a typed error', () => {
  for (const options of JSON.parse('[null, 3, "seed"]')) {
    assert.throws(() => checkOptionNames(options, known, 'option'), OptionError);
  }
});
