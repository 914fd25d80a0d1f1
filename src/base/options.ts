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
