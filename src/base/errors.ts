/** The parts that every error of this library states. */
export interface ErrorParts {
  /** What is wrong, as a noun: "tensor length", "rope type". */
  thing: string;
  /** What was met. */
  found: unknown;
  /** What would have been right. */
  expected: unknown;
  /** File, tensor and byte offset, or op and shapes. */
  where?: string;
  cause?: unknown;
}

function inWords(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return `[${value.map(inWords).join(', ')}]`;
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}

/** Base of all errors that the library throws on purpose: says thing, found, expected and where. */
export class NibbleLensError extends Error {
  readonly thing: string;
  readonly found: unknown;
  readonly expected: unknown;
  readonly where: string | undefined;

  constructor({ thing, found, expected, where, cause }: ErrorParts) {
    super(
      `${thing}: found ${inWords(found)}, expected ${inWords(expected)}${where ? ` (${where})` : ''}`,
      cause === undefined ? undefined : { cause },
    );
    this.name = new.target.name;
    this.thing = thing;
    this.found = found;
    this.expected = expected;
    this.where = where;
  }
}

/** A file of a checkpoint is missing, damaged, or of a kind that is not supported. */
export class CheckpointError extends NibbleLensError {}
/** A tokenizer file is missing, damaged, or of a kind that is not supported. */
export class TokenizerError extends NibbleLensError {}
/** Shapes or lengths do not fit together. */
export class ShapeError extends NibbleLensError {}
/** An argument or option has a value that it cannot have. */
export class OptionError extends NibbleLensError {}
/** A name (of a hook, option, tensor) is not known; `expected` lists the nearest ones. */
export class UnknownNameError extends NibbleLensError {}
/** The context window is full. */
export class ContextFullError extends NibbleLensError {}
/** Something was used after `dispose()`. */
export class DisposedError extends NibbleLensError {}
/** There is no memory for what was to be made; the process goes on. */
export class OutOfMemoryError extends NibbleLensError {}
/** A gradient was asked for where none is defined. */
export class GradientError extends NibbleLensError {}

/** The names nearest to `name` by edit distance, for "did you mean". */
export function nearest(name: string, known: Iterable<string>, count = 3): string[] {
  return [...known]
    .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, count)
    .map(({ candidate }) => candidate);
}

/** Levenshtein distance, by the usual two-row recurrence. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substitution, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}
