/** A rewritten text whose every UTF-16 code unit knows the stretch [start, end) of the source that it came from. */
export interface AlignedText {
  readonly text: string;
  /** Start in the source, per code unit of `text`; never falls. */
  readonly starts: Int32Array;
  /** End in the source, per code unit of `text`; never falls. */
  readonly ends: Int32Array;
}

/** One step of normalisation. `isFirst` tells whether the segment begins at the start of the whole text. */
export type Rewrite = (input: AlignedText, isFirst: boolean) => AlignedText;

/** The stretch [from, to) of a source, not rewritten yet. */
export function alignedSlice(source: string, from: number, to: number): AlignedText {
  const length = to - from;
  const starts = new Int32Array(length);
  const ends = new Int32Array(length);
  for (let i = 0; i < length; i++) {
    starts[i] = from + i;
    ends[i] = from + i + 1;
  }
  return { text: source.slice(from, to), starts, ends };
}

/** Source stretch of the code units [start, end) of a rewritten text; an empty one lies where it would begin. */
export function sourceStretch({ starts, ends }: AlignedText, start: number, end: number): [number, number] {
  if (end > start) return [starts[start] as number, ends[end - 1] as number];
  const at = start > 0 ? (ends[start - 1] as number) : ((starts[0] ?? 0) as number);
  return [at, at];
}

/** Puts `prefix` before a text that is not empty; it stands for nothing of the source. */
export function prepend(prefix: string, input: AlignedText): AlignedText {
  const length = prefix.length;
  if (input.text.length === 0 || length === 0) return input;
  const at = input.starts[0] as number;
  const starts = new Int32Array(length + input.text.length).fill(at, 0, length);
  const ends = new Int32Array(starts.length).fill(at, 0, length);
  starts.set(input.starts, length);
  ends.set(input.ends, length);
  return { text: prefix + input.text, starts, ends };
}

/** Replaces every occurrence of a string. */
export function replaceLiteral(pattern: string, content: string, input: AlignedText): AlignedText {
  if (pattern.length === 1 && content.length === 1) {
    return { ...input, text: input.text.replaceAll(pattern, content) };
  }
  const builder = new AlignedBuilder(input);
  let from = 0;
  for (let at = input.text.indexOf(pattern); at >= 0; at = input.text.indexOf(pattern, from)) {
    builder.keep(from, at);
    builder.put(content, at, at + pattern.length);
    from = at + pattern.length;
  }
  builder.keep(from, input.text.length);
  return builder.finish();
}

/** Drops spaces at both ends and makes one of each run, as SentencePiece's `remove_extra_whitespaces` does. */
export function collapseSpaces(input: AlignedText): AlignedText {
  const builder = new AlignedBuilder(input);
  const { text } = input;
  for (const { index, 0: match } of text.matchAll(/ +|[^ ]+/g)) {
    const end = index + match.length;
    if (match[0] !== ' ') builder.keep(index, end);
    else if (index > 0 && end < text.length) builder.put(' ', index, end);
  }
  return builder.finish();
}

/**
 * Applies a rewriting of which only the result is known. Characters with their combining marks (and runs of Hangul
 * letters) are rewritten one by one; where that does not give the whole's result, what differs shares one stretch.
 */
export function rewriteOpaquely(rewrite: (text: string) => string, input: AlignedText): AlignedText {
  const { text } = input;
  const result = rewrite(text);
  if (result === text) return input;
  const builder = new AlignedBuilder(input);
  for (const { index, 0: cluster } of text.matchAll(/(?:[\u1100-\u11ff]+|[^])\p{M}*/gu)) {
    const rewritten = rewrite(cluster);
    if (rewritten === cluster) builder.keep(index, index + cluster.length);
    else builder.put(rewritten, index, index + cluster.length);
  }
  const clustered = builder.finish();
  if (clustered.text === result) return clustered;

  let head = 0;
  while (head < result.length && head < text.length && result[head] === text[head]) head++;
  let tail = 0;
  const most = Math.min(result.length, text.length) - head;
  while (tail < most && result[result.length - 1 - tail] === text[text.length - 1 - tail]) tail++;
  const coarse = new AlignedBuilder(input);
  coarse.keep(0, head);
  coarse.put(result.slice(head, result.length - tail), head, text.length - tail);
  coarse.keep(text.length - tail, text.length);
  return coarse.finish();
}

/** Writes a rewriting of `input` from left to right. */
class AlignedBuilder {
  readonly #input: AlignedText;
  readonly #parts: string[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  constructor(input: AlignedText) {
    this.#input = input;
  }

  keep(from: number, to: number): void {
    this.#parts.push(this.#input.text.slice(from, to));
    for (let i = from; i < to; i++) {
      this.#starts.push(this.#input.starts[i] as number);
      this.#ends.push(this.#input.ends[i] as number);
    }
  }

  /** Writes `content`, each code unit of which stands for the whole of [from, to). */
  put(content: string, from: number, to: number): void {
    const [start, end] = sourceStretch(this.#input, from, to);
    this.#parts.push(content);
    for (let i = 0; i < content.length; i++) {
      this.#starts.push(start);
      this.#ends.push(end);
    }
  }

  finish(): AlignedText {
    return {
      text: this.#parts.join(''),
      starts: Int32Array.from(this.#starts),
      ends: Int32Array.from(this.#ends),
    };
  }
}
