import { nearest, OptionError, UnknownNameError } from './errors.js';

/** Throws for options that are no object, or have a name that is none of `known`: a typing error would do nothing. */
export function checkOptionNames(options: object, known: readonly string[], thing: string): void {
  if (typeof options !== 'object' || options === null) {
    throw new OptionError({ thing: 'options', found: options, expected: 'an object' });
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    throw new UnknownNameError({ thing, found: name, expected: nearest(name, known).join(', ') });
  }
}

/** Throws `OptionError` unless `found` is one of `known`. */
export function checkOneOf(thing: string, found: unknown, known: readonly unknown[], where?: string): void {
  if (known.includes(found)) return;
  throw new OptionError({ thing, found, expected: known.join(known.length === 2 ? ' or ' : ', '), ...(where && { where }) });
}

/** Throws `OptionError` unless `found` is the number of one of `count` things: a whole number from 0 to count − 1. */
export function checkIndex(thing: string, found: number, count: number): void {
  if (Number.isInteger(found) && found >= 0 && found < count) return;
  throw new OptionError({ thing, found, expected: `0 to ${count - 1}` });
}

/** Throws `OptionError` unless `found` is a whole number from `least` to `most`. */
export function checkWhole(where: string, thing: string, found: number, least: number, most: number = Infinity): void {
  if (Number.isInteger(found) && found >= least && found <= most) return;
  const end = most === Infinity ? 'on' : `to ${most}`;
  throw new OptionError({ thing, found, expected: `a whole number from ${least} ${end}`, where });
}
