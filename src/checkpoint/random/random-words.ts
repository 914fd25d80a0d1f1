const rotate = (word: number, by: number): number => (word << by) | (word >>> (32 - by));

/** A stream of random 32-bit words: xoshiro128** (Blackman and Vigna 2021), some 300 million a second. */
export class RandomWords {
  readonly #state: Int32Array;

  /** Streams of different names are independent, so that tensors may be made in any order. */
  constructor(seed: number, name: string) {
    // FNV-1a of the name, then splitmix32 for the state
    let hash = Math.imul(seed ^ 0x811c9dc5, 0x01000193);
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    this.#state = Int32Array.from({ length: 4 }, () => {
      hash = (hash + 0x9e3779b9) | 0;
      let z = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return z ^ (z >>> 15);
    });
  }

  /** The next bytes of the stream, from the start of a word on, aligned to 4. */
  bytes(count: number): Uint8Array {
    const words = new Int32Array(Math.ceil(count / 4));
    let [a, b, c, d] = this.#state;
    for (let i = 0; i < words.length; i++) {
      words[i] = Math.imul(rotate(Math.imul(b, 5), 7), 9);
      const shifted = b << 9;
      c ^= a;
      d ^= b;
      b ^= c;
      a ^= d;
      c ^= shifted;
      d = rotate(d, 11);
    }
    this.#state.set([a, b, c, d]);
    return new Uint8Array(words.buffer, 0, count);
  }

  /** The next 16-bit words. */
  halves(count: number): Uint16Array {
    return new Uint16Array(this.bytes(2 * count).buffer, 0, count);
  }
}
