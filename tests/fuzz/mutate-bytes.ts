import type { Draws } from './random.js';

const INTERESTING = [0, 1, 0x7f, 0x80, 0xff, 0x22, 0x7b, 0x5b, 0x2c, 0x5c, 0x0a] as const;

/** Changes 1 to 8 places of a file, not knowing what they mean. */
export function mutateBytes(file: Uint8Array, draws: Draws): Uint8Array {
  let bytes: Uint8Array = file.slice();
  for (let edits = 1 + draws.below(draws.pick([1, 3, 8])); edits > 0; edits--) bytes = edit(bytes, draws);
  return bytes;
}

function edit(bytes: Uint8Array, draws: Draws): Uint8Array {
  // Most of what has a meaning is near the start.
  const at = draws.below(Math.min(bytes.length + 1, draws.pick([16, 4096, Infinity])));
  const count = 1 + draws.below(draws.pick([1, 8, 512]));
  switch (draws.below(7)) {
    case 0: {
      if (at < bytes.length) bytes[at] ^= 1 << draws.below(8);
      return bytes;
    }
    case 1: {
      if (at < bytes.length) bytes[at] = draws.pick(INTERESTING);
      return bytes;
    }
    case 2:
      return bytes.slice(0, at);
    case 3:
      return joined(bytes.subarray(0, at), bytes.subarray(at + count));
    case 4:
      return joined(bytes.subarray(0, at), new Uint8Array(count).fill(draws.pick(INTERESTING)), bytes.subarray(at));
    case 5: {
      const from = draws.below(bytes.length + 1);
      return joined(bytes.subarray(0, at), bytes.subarray(from, from + count), bytes.subarray(at));
    }
    default: {
      for (let i = at; i < Math.min(at + count, bytes.length); i++) bytes[i] = draws.below(256);
      return bytes;
    }
  }
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
