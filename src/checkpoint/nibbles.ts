/*
 * Quads of 4-bit codes, two to a word, as lines of compute layout 3 have them: one quad in the low nibbles of the bytes
 * and the next in the high ones.
 */

/** The low nibbles of a word's bytes below those of the next word. */
export const lowNibbles = (word: number, next: number): number => (word & 0x0f0f0f0f) | ((next & 0x0f0f0f0f) << 4);

/** The high nibbles of a word's bytes below those of the next word. */
export const highNibbles = (word: number, next: number): number => ((word >>> 4) & 0x0f0f0f0f) | (next & 0xf0f0f0f0);
