/** Numbers that look random, in [0, 1) and of 53 bits. */
export type Random = () => number;

/**
 * sfc32, "small fast counter" (Chris Doty-Humphrey, PractRand, 2010; https://pracrand.sourceforge.net/RNG_engines.txt),
 * seeded by a whole number from 0 to 2^53 − 1. The same seed gives the same numbers everywhere.
 */
export function seededRandom(seed: number): Random {
  let a = seed >>> 0;
  let b = Math.floor(seed / 2 ** 32) >>> 0;
  let c = 0x9e3779b9;
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return sum >>> 0;
  };
  for (let i = 0; i < 15; i++) next();
  return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
}

/** A seed for when none was given: 32 bits of the system's entropy. */
export function freshSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}
