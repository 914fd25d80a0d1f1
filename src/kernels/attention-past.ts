import { GradientError } from '../base/errors.js';
import type { Past } from '../native/native.js';

/** @throws GradientError where keys of an earlier run were read: what they came from is on no tape. */
export function refusePast(kernel: string, past: Past): void {
  const longest = Math.max(0, ...(past ?? []).map(({ length }) => length));
  if (longest === 0) return;
  throw new GradientError({
    thing: 'gradient of attention',
    found: `${longest} cached positions of an earlier run`,
    expected: 'all positions in one run',
    where: kernel,
  });
}
