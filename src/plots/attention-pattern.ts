import { OptionError, ShapeError } from '../base/errors.js';
import { checkWhole } from '../base/options.js';
import { checkValues } from './rows.js';

/** Which key/value head a query head reads, when `heads` share `kvHeads` in groups of equal size. */
export function kvHeadOf(head: number, heads: number, kvHeads: number): number {
  return Math.floor(head / (heads / kvHeads));
}

/** Checks the numbers of heads: every key/value head serves equally many. */
export function checkHeads(heads: number, kvHeads: number, where: string): void {
  checkWhole(where, 'heads', heads, 1);
  checkWhole(where, 'kvHeads', kvHeads, 1, heads);
  if (heads % kvHeads !== 0) {
    throw new ShapeError({ thing: 'heads', found: heads, expected: `a multiple of ${kvHeads} key/value heads`, where });
  }
}

/**
 * Rows of an attention pattern [query, key] in percent, to `decimals` places. A row ends at its query's own position
 * unless a later key has weight: what a causal mask hides has no value, and takes no room.
 */
export function percentRows(pattern: Float32Array, tokens: number, decimals: number, where: string): number[][] {
  checkValues(pattern, tokens * tokens, 'attention pattern', where);
  const bad = pattern.findIndex((weight) => weight < 0 || weight > 1.001);
  if (bad >= 0) {
    throw new OptionError({
      thing: 'attention weight',
      found: pattern[bad],
      expected: '0 to 1',
      where: `${where}, index ${bad}`,
    });
  }
  return Array.from({ length: tokens }, (_, query) => {
    const row = pattern.subarray(query * tokens, (query + 1) * tokens);
    const end =
      Math.max(
        query,
        row.findLastIndex((weight) => weight > 0),
      ) + 1;
    return Array.from(row.subarray(0, end), (weight) => Number((weight * 100).toFixed(decimals)));
  });
}

/** A colour bar for weights in percent. */
export const shareBar: object = {
  title: { text: 'attention / %', side: 'right', font: { size: 12 } },
  tickvals: [0, 25, 50, 75, 100],
  thickness: 12,
  ypad: 0,
  outlinewidth: 0,
};
