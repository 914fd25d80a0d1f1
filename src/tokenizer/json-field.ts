import { TokenizerError } from '../base/errors.js';

/** Those in use have one or two characters. */
const LONGEST_INSERTION = 32;

/** A value inside a parsed JSON file that knows where it stands, so that every complaint names file and field. */
export class JsonField {
  constructor(
    readonly value: unknown,
    readonly path: string,
    readonly file: string,
  ) {}

  get absent(): boolean {
    return this.value === undefined || this.value === null;
  }

  get(key: string): JsonField {
    const record = this.record();
    const value = Object.hasOwn(record, key) ? record[key] : undefined;
    return new JsonField(value, this.path === '' ? key : `${this.path}.${key}`, this.file);
  }

  record(): Readonly<Record<string, unknown>> {
    if (!isRecord(this.value)) this.fail('an object');
    return this.value;
  }

  items(): JsonField[] {
    if (!Array.isArray(this.value)) this.fail('an array');
    return this.value.map((item: unknown, i) => new JsonField(item, `${this.path}[${i}]`, this.file));
  }

  string(): string {
    if (typeof this.value !== 'string') this.fail('a string');
    return this.value;
  }

  /** A string that a file puts in place of another: a long one, over and over, would make any text huge. */
  insertion(): string {
    const text = this.string();
    return text.length <= LONGEST_INSERTION ? text : this.fail(`at most ${LONGEST_INSERTION} characters`);
  }

  boolean(): boolean {
    if (typeof this.value !== 'boolean') this.fail('true or false');
    return this.value;
  }

  /** A whole number in [0, limit). */
  index(limit: number): number {
    const { value } = this;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value >= limit) {
      this.fail(`a whole number from 0 to ${limit - 1}`);
    }
    return value;
  }

  optionalString(): string | null {
    return this.absent ? null : this.string();
  }

  optionalBoolean(): boolean | null {
    return this.absent ? null : this.boolean();
  }

  fail(expected: string): never {
    throw new TokenizerError({
      thing: this.path === '' ? 'content of the file' : this.path.slice(0, 200),
      found: brief(this.value),
      expected,
      where: this.file,
    });
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value in a few words, however large it is. */
export function brief(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (isRecord(value)) return `an object with ${Object.keys(value).length} keys`;
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
