import { readFile, stat } from 'node:fs/promises';
import { CheckpointError } from '../base/errors.js';

/** An object of a JSON file, as a map, so that no key of a file reaches `Object.prototype`. */
export type JsonObject = ReadonlyMap<string, unknown>;

/** No configuration or index file that people make comes near this. */
const LARGEST_JSON_FILE = 2 ** 24;

/**
 * Parses a JSON object in time linear in its length. Duplicate keys, which JSON.parse lets pass, are refused: in a
 * checkpoint they mean that two readers could see two different tensors.
 * @param where the file, for errors.
 * @throws CheckpointError
 */
export function parseJsonObject(bytes: Uint8Array, where: string): JsonObject {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CheckpointError({
      thing: 'JSON',
      found: 'bytes that are not UTF-8',
      expected: 'UTF-8 text',
      where,
      cause,
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError({ thing: 'JSON', found: (cause as Error).message, expected: 'valid JSON', where, cause });
  }
  const object = asJsonObject(value);
  if (!object) throw new CheckpointError({ thing: 'JSON', found: describe(value), expected: 'an object', where });
  const duplicate = duplicateKey(text);
  if (duplicate !== null) {
    throw new CheckpointError({
      thing: 'JSON key',
      found: `${describe(duplicate)} twice`,
      expected: 'each key once',
      where,
    });
  }
  return object;
}

/** Reads and parses a JSON file; null if there is none. */
export async function readJsonFile(path: string): Promise<JsonObject | null> {
  const bytes = await readSmallFile(path);
  return bytes && parseJsonObject(bytes, path);
}

/** The bytes of a file that is meant to be small; null if there is none. */
export async function readSmallFile(path: string): Promise<Uint8Array | null> {
  try {
    // Looked at before it is opened, since opening a pipe waits for its writer.
    const status = await stat(path);
    if (!status.isFile() || status.size > LARGEST_JSON_FILE) {
      const found = status.isFile() ? `${status.size} bytes` : 'not a regular file';
      const expected = `a file of at most ${LARGEST_JSON_FILE} bytes`;
      throw new CheckpointError({ thing: 'JSON file', found, expected, where: path });
    }
    return await readFile(path);
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new CheckpointError({
      thing: 'file',
      found: message,
      expected: 'a file that can be read',
      where: path,
      cause,
    });
  }
}

/** A value of a parsed file as an object, or null if it is none. */
export function asJsonObject(value: unknown): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? new Map(Object.entries(value)) : null;
}

/** A value of a file in a few words, for errors. Never walks into it: a hostile file may nest a million deep. */
export function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) {
    const scalars = value.length <= 8 && value.every((part) => typeof part !== 'object');
    return scalars ? `[${value.map(describe).join(', ')}]` : `an array of ${value.length}`;
  }
  if (typeof value === 'object' && value !== null) return `an object of ${Object.keys(value).length} keys`;
  const text = typeof value === 'string' ? JSON.stringify(value.slice(0, 200)) : String(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

const [QUOTE, BACKSLASH, COLON, OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = Buffer.from('"\\:[]{}');

/** The first key that an object of this valid JSON text has twice, or null. One pass over the text. */
function duplicateKey(text: string): string | null {
  /** The keys so far of each object that is open; null for an array. */
  const open: (Set<string> | null)[] = [];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === OPEN_BRACE) open.push(new Set());
    else if (code === OPEN_BRACKET) open.push(null);
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) open.pop();
    else if (code === QUOTE) {
      const start = i++;
      let isPlain = true;
      for (let inside; (inside = text.charCodeAt(i)) !== QUOTE; i++) {
        if (inside !== BACKSLASH) continue;
        isPlain = false;
        i++;
      }
      const keys = open[open.length - 1];
      if (!keys || !isFollowedByColon(text, i + 1)) continue;
      const key = isPlain ? text.slice(start + 1, i) : (JSON.parse(text.slice(start, i + 1)) as string);
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return null;
}

function isFollowedByColon(text: string, from: number): boolean {
  let i = from;
  // valid JSON has no other characters up to a space's code there
  while (text.charCodeAt(i) <= 0x20) i++;
  return text.charCodeAt(i) === COLON;
}
