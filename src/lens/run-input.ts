import { ContextFullError, nearest, OptionError, ShapeError, UnknownNameError } from '../base/errors.js';
import type { HookName } from '../layers/hook-names.js';
import type { ModelDecoder } from '../model/model-decoder.js';
import type { HookSelector } from './run-options.js';

/** The common length of sequences that can be run as one batch. Throws where they cannot. */
export function checkSequences(decoder: ModelDecoder, sequences: readonly Int32Array[]): number {
  const pos = sequences[0]?.length ?? 0;
  if (sequences.length === 0 || sequences.some((ids) => ids.length !== pos)) {
    throw new ShapeError({
      thing: 'lengths of the sequences of one run',
      found: sequences.map((ids) => ids.length),
      expected: 'at least one, all equal (run unequal ones apart)',
    });
  }
  for (const ids of sequences) decoder.checkIds(ids);
  if (pos > decoder.contextLength) {
    throw new ContextFullError({ thing: 'positions', found: pos, expected: `at most ${decoder.contextLength}` });
  }
  return pos;
}

/** Throws `UnknownNameError` with the nearest names. */
export function checkName(name: HookName, known: readonly HookName[]): void {
  if (known.includes(name)) return;
  throw new UnknownNameError({ thing: 'hook name', found: name, expected: `such as ${nearest(name, known).join(', ')}` });
}

/** The names that a selector means, in the order of a pass. */
export function select(selector: HookSelector, known: readonly HookName[]): HookName[] {
  if (selector === 'all') return [...known];
  if (typeof selector === 'function') return known.filter(selector);
  const names = typeof selector === 'string' ? [selector] : selector;
  if (!Array.isArray(names)) {
    throw new OptionError({ thing: 'points', found: typeof names, expected: "'all', names, or a function of names" });
  }
  for (const name of names) checkName(name, known);
  return known.filter((name) => names.includes(name));
}

/** Ids [batch, pos] in one array. */
export function concatenate(parts: readonly Int32Array[]): Int32Array {
  const whole = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
