import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { addon, withoutAddon } from './support.js';

describe('sumBlocks', { skip: withoutAddon }, () => {
  for (const [block, blocks] of [[1, 1], [15, 3], [16, 2], [17, 5], [1000, 7], [65_537, 4]] as const) {
    test(`reads every word of ${blocks} blocks of ${block}, whatever the threads`, () => {
      // large enough that sums wrap
      const words = Int32Array.from({ length: block * blocks }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
      const expected = Int32Array.from({ length: blocks }, (_, i) => {
        return words.subarray(i * block, (i + 1) * block).reduce((sum, word) => (sum + word) | 0, 0);
      });
      const before = addon().info().threads;
      for (const threads of [1, 2, 3]) {
        addon().setThreads(threads);
        const sums = new Int32Array(blocks);
        addon().sumBlocks(words, block, sums);
        assert.deepEqual(sums, expected);
      }
      addon().setThreads(before);
    });
  }
});
