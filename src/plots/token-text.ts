import { OptionError, ShapeError } from '../base/errors.js';
import { FONT } from './theme.js';

/** Longest label of a token on an axis, in characters. */
const LONGEST = 16;
/** Most labels on an axis as wide as a page; with more tokens than that, every second, third, … has one. */
const MOST_LABELS = 72;

const VISIBLE: Readonly<Record<string, string>> = {
  ' ': '·',
  '\n': '⏎',
  '\r': '␍',
  '\t': '⇥',
  '\u00a0': '⍽',
  '\u200b': '∅',
  '\ufeff': '∅',
};
const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

/** Any text as Plotly is to print it: `<s>` is a token, not strikethrough. */
export const plainText = (text: string): string => text.replace(/[&<>]/g, (character) => ENTITIES[character]);

const hexadecimal = (character: string): string => `⟨${character.codePointAt(0)?.toString(16).toUpperCase()}⟩`;

/**
 * A token as it stands on an axis or in hover text: white space and control characters made visible, lone combining
 * marks on a dotted circle, long ones cut. Labels of `Tokenizer.label` stay as they are.
 */
export function tokenText(token: string): string {
  const visible = token
    .replace(/[ \n\r\t\u00a0\u200b\ufeff]/g, (character) => VISIBLE[character])
    .replace(/\p{Surrogate}/gu, '\ufffd')
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, hexadecimal)
    .replace(/^(?=\p{M})/u, '◌');
  const characters = Array.from(visible);
  const shown = characters.length > LONGEST ? `${characters.slice(0, LONGEST - 1).join('')}…` : visible;
  return plainText(shown === '' ? '∅' : shown);
}

/** An axis of positions 0 … n − 1 whose ticks are the tokens there; equal tokens keep places of their own. */
export function tokenAxis(tokens: readonly string[], title: string): object {
  const stride = Math.ceil(tokens.length / MOST_LABELS);
  const positions = tokens.map((_, position) => position).filter((position) => position % stride === 0);
  return {
    title: { text: title },
    tickmode: 'array',
    tickvals: positions,
    ticktext: positions.map((position) => tokenText(tokens[position])),
    tickfont: { family: FONT.tokens, size: tokens.length > 40 ? 10 : 11 },
    autotickangles: [0, -90],
    range: [-0.6, tokens.length - 0.4],
    showgrid: false,
  };
}

/** Checks the tokens of a plot that has a place for each. */
export function checkTokens(tokens: readonly string[], most: number, where: string): void {
  if (!Array.isArray(tokens) || tokens.length === 0 || tokens.length > most) {
    throw new ShapeError({ thing: 'tokens', found: tokens?.length ?? tokens, expected: `1 to ${most}`, where });
  }
  const bad = tokens.findIndex((token) => typeof token !== 'string');
  if (bad >= 0)
    throw new OptionError({ thing: 'token', found: tokens[bad], expected: 'a text', where: `${where}, token ${bad}` });
}
