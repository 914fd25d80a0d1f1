import { OptionError } from '../base/errors.js';
import type { Mode } from './storage.js';

/** @throws OptionError unless it is 'exact' or 'fast'. */
export function checkMode(mode: Mode): void {
  if (mode !== 'exact' && mode !== 'fast') {
    throw new OptionError({ thing: 'mode', found: mode, expected: 'exact or fast' });
  }
}
