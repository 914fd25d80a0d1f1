/**
 * The characters by which byte-level BPE writes bytes in its vocabulary (GPT-2's `bytes_to_unicode`): printable
 * Latin-1 characters stand for themselves, the others for U+0100 onwards in order.
 */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCharCode(printable ? byte : next++);
  });
})();

const BYTE_OF = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

/** The bytes that a byte-level vocabulary entry stands for, or null if it is not written in those characters. */
export function bytesOfCharacters(token: string): Uint8Array | null {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = BYTE_OF.get(token[i] as string);
    if (byte === undefined) return null;
    bytes[i] = byte;
  }
  return bytes;
}

const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

/** The byte that a byte-fallback token such as "<0x0A>" stands for, or −1. */
export function byteOfToken(token: string): number {
  const match = BYTE_TOKEN.exec(token);
  return match ? Number.parseInt(match[1] as string, 16) : -1;
}

/** Number of UTF-8 bytes of a code point; a lone surrogate takes those of U+FFFD. */
export const utf8Length = (codePoint: number): number =>
  codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
