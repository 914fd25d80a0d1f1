import { GradientError } from '../base/errors.js';
import type { Past } from '../native/native.js';

/** @throws GradientError where keys of an earlier run were read: what they came from is on no tape. */
export function refusePast(kernel: string, past: Past): void {
  if (past === null) return;
  throw new GradientError({
    thing: 'gradient of attention',
    found: `${Math.max(...past.map(({ length }) => length))} cached positions of an earlier run`,
    expected: 'all positions in one run',
    where: kernel,
  });
}
