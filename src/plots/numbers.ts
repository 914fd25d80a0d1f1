/** `value` to so many significant digits, as a number: what a spec carries, so that it stays small. */
export const rounded = (value: number, digits: number = 4): number => Number(value.toPrecision(digits));

/** A number to read: three digits, "1.2e-5" only where it must be, a true minus sign. */
export function inWords(value: number, digits: number = 3): string {
  const magnitude = Math.abs(value);
  const written =
    magnitude !== 0 && (magnitude < 1e-4 || magnitude >= 1e6)
      ? value.toExponential(digits - 1).replace('e+', 'e')
      : String(rounded(value, magnitude >= 10 ** digits ? Math.ceil(Math.log10(magnitude)) : digits));
  return written.replaceAll('-', '−');
}

/** "1 layer", "6 layers". */
export const counted = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? '' : 's'}`;

/** Bytes to read, in binary units. */
export function bytesInWords(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${inWords(bytes / 1024 ** power)} ${units[power]}`;
}

/** Ticks of a logarithmic axis: 1, 2 and 5 of each power of ten, the powers alone over more than two decades. */
export function logTicks(from: number, to: number): number[] {
  const [first, last] = [Math.floor(Math.log10(from)), Math.ceil(Math.log10(to))];
  const steps = to / from > 200 ? [1] : [1, 2, 5];
  return Array.from({ length: last - first + 1 }, (_, i) => steps.map((step) => Number(`${step}e${first + i}`)))
    .flat()
    .filter((tick) => tick >= from && tick <= to);
}

/** The p-quantile of ascending values, linear between neighbours (type 7 of Hyndman and Fan, 1996). */
export function quantile(ascending: ArrayLike<number>, p: number): number {
  const at = (ascending.length - 1) * p;
  const below = Math.floor(at);
  const above = Math.min(below + 1, ascending.length - 1);
  return ascending[below] + (ascending[above] - ascending[below]) * (at - below);
}
