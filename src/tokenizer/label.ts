const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const SIGNS: Readonly<Record<string, string>> = { ' ': '·', '\n': '⏎', '\r': '␍', '\t': '⇥' };

/** A readable form of the bytes of a token: spaces as "·", newline as "⏎", what is no whole character as "⟨0A⟩". */
export function labelOfBytes(bytes: Uint8Array): string {
  let text: string;
  try {
    text = strict.decode(bytes);
  } catch {
    return Array.from(bytes, labelOfByte).join('');
  }
  return text.replace(/[\s\p{Cc}\p{Cf}]/gu, (character) => SIGNS[character] ?? codePointLabel(character));
}

/** A byte by itself: a sign where it is white space, else its hexadecimal digits. */
export const labelOfByte = (byte: number): string =>
  SIGNS[String.fromCharCode(byte)] ?? `⟨${byte.toString(16).toUpperCase().padStart(2, '0')}⟩`;

function codePointLabel(character: string): string {
  return `⟨U+${(character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0')}⟩`;
}
