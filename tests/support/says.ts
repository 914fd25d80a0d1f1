import assert from 'node:assert/strict';
import { CheckpointError } from '../../src/base/errors.js';

/** What an error must say: each a part of it, as text or by pattern. */
export interface Expected {
  thing: string | RegExp;
  found: string | RegExp;
  expected: string | RegExp;
  /** After the folder's path. */
  where?: string | RegExp;
}

const matches = (text: string, part: string | RegExp): boolean =>
  typeof part === 'string' ? text.includes(part) : part.test(text);

/** For `assert.rejects`: a CheckpointError that says these parts, at a path that starts with `folder`. */
export function says(folder: string, parts: Expected): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof CheckpointError, error instanceof Error ? error.stack : String(error));
    for (const name of ['thing', 'found', 'expected'] as const) {
      assert.ok(matches(String(error[name]), parts[name]), `${name} of: ${error.message}`);
    }
    const where = error.where ?? '';
    assert.ok(
      where.startsWith(folder) && matches(where.slice(folder.length), parts.where ?? ''),
      `where of: ${error.message}`,
    );
    assert.ok(error.message.length < 2000);
    return true;
  };
}
