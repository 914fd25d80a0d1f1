import { UsageError } from './failure.js';

/** What a number on the command line must be; the bounds belong to it unless said otherwise. */
export interface NumberRule {
  readonly from?: number;
  readonly above?: number;
  readonly to?: number;
  readonly whole?: boolean;
}

function inWords({ from, above, to, whole }: NumberRule): string {
  const kind = whole ? 'a whole number' : 'a number';
  const low = from !== undefined ? ` from ${from}` : above !== undefined ? ` above ${above}` : '';
  return `${kind}${low}${to !== undefined ? ` to ${to}` : from !== undefined ? ' up' : ''}`;
}

function toNumber(option: string, text: string, rule: NumberRule): number {
  const value = Number(text);
  const { from = -Infinity, above = -Infinity, to = Infinity, whole } = rule;
  const fits = text.trim() !== '' && Number.isFinite(value) && value >= from && value > above && value <= to;
  if (!fits || (whole && !Number.isSafeInteger(value))) {
    throw new UsageError(`${option}: found ${JSON.stringify(text)}, expected ${inWords(rule)}`);
  }
  return value;
}

/** A commander parser for a number. */
export const number =
  (option: string, rule: NumberRule) =>
  (text: string): number =>
    toNumber(option, text, rule);

/** A commander parser for text that is not empty, given several times. */
export const texts =
  (option: string) =>
  (text: string, before: readonly string[] = []): string[] => {
    if (text === '') throw new UsageError(`${option}: found an empty text, expected at least one character`);
    return [...before, text];
  };

/** The same for numbers. */
export const numbers =
  (option: string, rule: NumberRule) =>
  (text: string, before: readonly number[] = []): number[] => [...before, toNumber(option, text, rule)];

/** A commander parser for `ID=BIAS`, given several times. */
export const biases =
  (option: string) =>
  (text: string, before: Readonly<Record<number, number>> = {}): Record<number, number> => {
    const [id, bias, ...rest] = text.split('=');
    if (bias === undefined || rest.length > 0) {
      throw new UsageError(`${option}: found ${JSON.stringify(text)}, expected ID=BIAS, such as 13=-100`);
    }
    return {
      ...before,
      [toNumber(option, id as string, { from: 0, whole: true })]: toNumber(option, bias, {}),
    };
  };
