import type { Breathe } from '../base/event-loop.js';

/** Values read between two breaths. */
const PIECE = 4096;

const SPACE: readonly number[] = [0x20, 0x0a, 0x0d, 0x09];
const WORD_OR_NUMBER = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

/** An array or object that is being read; `key` is where its next value goes. */
type Container = { readonly items: unknown[] } | { readonly record: Record<string, unknown>; key: string };

/**
 * What JSON.parse makes of a text, in pieces: a tokenizer of 128,000 entries would hold the event loop too long. Depth
 * costs no stack.
 * @throws SyntaxError
 */
export async function parseJsonText(text: string, breathe: Breathe): Promise<unknown> {
  const reader = new JsonTextReader(text);
  for (let count = 0; ; count++) {
    if (count % PIECE === 0) await breathe();
    if (reader.step()) return reader.result;
  }
}

class JsonTextReader {
  result: unknown = undefined;
  readonly #text: string;
  readonly #open: Container[] = [];
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** Reads a value, or the beginning of an array or object; true at the end of the text. */
  step(): boolean {
    const first = this.#peek();
    if (first === '[' && !this.#isEmpty(']')) this.#open.push({ items: [] });
    else if (first === '{' && !this.#isEmpty('}')) this.#open.push({ record: {}, key: this.#key() });
    else return this.#put(first === '[' ? [] : first === '{' ? {} : this.#scalar(first));
    return false;
  }

  /** Whether a container ends where it begins; goes past what was read of it. */
  #isEmpty(end: string): boolean {
    this.#at++;
    const isEmpty = this.#peek() === end;
    if (isEmpty) this.#at++;
    return isEmpty;
  }

  /** Puts a value where it belongs, and closes the containers that end after it. */
  #put(value: unknown): boolean {
    for (let whole = value; ;) {
      const container = this.#open.at(-1);
      if (container === undefined) {
        if (this.#peek() !== '') this.#fail('the end of the text');
        this.result = whole;
        return true;
      }
      if ('items' in container) container.items.push(whole);
      else setOwn(container.record, container.key, whole);
      const [end, inner] = 'items' in container ? [']', container.items] : ['}', container.record];
      const sign = this.#peek();
      if (sign !== ',' && sign !== end) this.#fail(`"," or "${end}"`);
      this.#at++;
      if (sign === ',') {
        if ('key' in container) container.key = this.#key();
        return false;
      }
      this.#open.pop();
      whole = inner;
    }
  }

  #key(): string {
    if (this.#peek() !== '"') this.#fail('a key');
    const key = this.#string();
    if (this.#peek() !== ':') this.#fail('":"');
    this.#at++;
    return key;
  }

  #scalar(first: string): unknown {
    if (first === '"') return this.#string();
    WORD_OR_NUMBER.lastIndex = this.#at;
    const [word] = WORD_OR_NUMBER.exec(this.#text) ?? this.#fail('a value');
    this.#at += word.length;
    return word === 'true' ? true : word === 'false' ? false : word === 'null' ? null : Number(word);
  }

  #string(): string {
    const text = this.#text;
    let isPlain = true;
    let end = this.#at + 1;
    for (let unit = text.charCodeAt(end); unit !== 0x22; unit = text.charCodeAt(++end)) {
      if (unit === 0x5c) {
        isPlain = false;
        end++;
      } else if (!(unit >= 0x20)) {
        this.#at = end;
        this.#fail('a string without control characters and with an end');
      }
    }
    const start = this.#at;
    this.#at = end + 1;
    return isPlain ? text.slice(start + 1, end) : (JSON.parse(text.slice(start, end + 1)) as string);
  }

  /** The next character that is not white space; empty at the end. */
  #peek(): string {
    while (SPACE.includes(this.#text.charCodeAt(this.#at))) this.#at++;
    return this.#text[this.#at] ?? '';
  }

  #fail(expected: string): never {
    const found = this.#text[this.#at];
    const what = found === undefined ? 'the end' : JSON.stringify(found);
    throw new SyntaxError(`JSON that has ${what} at character ${this.#at}, where ${expected} should be`);
  }
}

/** As JSON.parse does it: "__proto__" is a key like others. */
function setOwn(record: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') record[key] = value;
  else Object.defineProperty(record, key, { value, writable: true, enumerable: true, configurable: true });
}
