import { CheckpointError } from '../base/errors.js';
import { describe, type JsonObject } from './json.js';

/** Names of keys by those of config.json. */
export type KeyNames = Readonly<Partial<Record<string, string>>>;

/** Reads checked values from an object of a config file; every failure names the key and the file. */
export class ConfigFields {
  readonly fields: JsonObject;
  readonly where: string;
  /** Of a nested object: "rope_scaling." */
  readonly prefix: string;
  /** What a file of another format calls these keys, for errors. */
  readonly names: KeyNames;

  constructor(fields: JsonObject, where: string, prefix = '', names: KeyNames = {}) {
    this.fields = fields;
    this.where = where;
    this.prefix = prefix;
    this.names = names;
  }

  /** The value of the first of these keys that is there and not null. */
  get(...keys: string[]): unknown {
    for (const key of keys) {
      const value = this.fields.get(key);
      if (value !== undefined && value !== null) return value;
    }
    return undefined;
  }

  /** A whole number of 1 to `most`. */
  count(key: string, most: number, absent?: number): number {
    const value = this.get(key) ?? absent;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most) return value;
    return this.fail(key, value, `a whole number from 1 to ${most}`);
  }

  /** A number over 0 that is one as a float32 too, since kernels compute with it. */
  positive(key: string, absent?: number): number {
    const value = this.get(key) ?? absent;
    if (typeof value === 'number' && Number.isFinite(Math.fround(value)) && Math.fround(value) > 0) return value;
    return this.fail(key, value, 'a number over 0, within the range of float32');
  }

  flag(key: string, absent: boolean): boolean {
    const value = this.get(key) ?? absent;
    return typeof value === 'boolean' ? value : this.fail(key, value, 'true or false');
  }

  text(keys: readonly string[], absent?: string): string {
    const value = this.get(...keys) ?? absent;
    return typeof value === 'string' ? value : this.fail(keys[0], value, 'a string');
  }

  fail(key: string, found: unknown, expected: string): never {
    const name = this.prefix + key;
    throw new CheckpointError({ thing: this.names[name] ?? name, found: describe(found), expected, where: this.where });
  }
}
