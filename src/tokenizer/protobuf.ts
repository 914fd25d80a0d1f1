import { TokenizerError } from '../base/errors.js';

/** One field of a message in protobuf's wire format (https://protobuf.dev/programming-guides/encoding/). */
export type ProtobufField =
  | { readonly number: number; readonly at: number; readonly kind: 'varint'; readonly value: number }
  | { readonly number: number; readonly at: number; readonly kind: 'bytes'; readonly value: Uint8Array }
  | { readonly number: number; readonly at: number; readonly kind: 'fixed32'; readonly value: number }
  | { readonly number: number; readonly at: number; readonly kind: 'fixed64' };

/** Reads messages of one file; nothing is copied, and every length is checked against what is there. */
export class ProtobufReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #file: string;
  #at: number;
  readonly #end: number;

  constructor(bytes: Uint8Array, file: string, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#file = file;
    this.#at = start;
    this.#end = end;
  }

  /** The next field, or null at the message's end. A fixed32 is read as a float. */
  next(): ProtobufField | null {
    if (this.#at >= this.#end) return null;
    const at = this.#at;
    const key = this.#varint();
    const number = Math.floor(key / 8);
    if (number < 1 || number > 0x1fffffff) this.#fail('protobuf field number', number, '1 to 2^29 − 1', at);
    switch (key % 8) {
      case 0:
        return { number, at, kind: 'varint', value: this.#varint() };
      case 1:
        this.#take(8);
        return { number, at, kind: 'fixed64' };
      case 2: {
        const length = this.#varint();
        const start = this.#take(length);
        return { number, at, kind: 'bytes', value: this.#bytes.subarray(start, start + length) };
      }
      case 5:
        return { number, at, kind: 'fixed32', value: this.#view.getFloat32(this.#take(4), true) };
      default:
        return this.#fail('protobuf wire type', key % 8, '0, 1, 2 or 5', at);
    }
  }

  #take(length: number): number {
    const start = this.#at;
    if (length < 0 || length > this.#end - start) {
      this.#fail('length of a protobuf field', length, `at most ${this.#end - start} bytes`, start);
    }
    this.#at = start + length;
    return start;
  }

  /** A varint as a signed 64-bit number; beyond 2^53 it is rounded, which no field that is read needs. */
  #varint(): number {
    const start = this.#at;
    let value = 0;
    for (let i = 0; i < 10; i++) {
      const byte = this.#bytes[this.#take(1)] as number;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value >= 2 ** 63 ? Number(BigInt.asIntN(64, this.#exact(start))) : value;
    }
    return this.#fail('protobuf varint', 'more than 10 bytes', 'at most 10', start);
  }

  #exact(start: number): bigint {
    let value = 0n;
    for (let i = start; i < this.#at; i++) {
      value |= BigInt((this.#bytes[i] as number) & 0x7f) << BigInt(7 * (i - start));
    }
    return value;
  }

  #fail(thing: string, found: unknown, expected: string, at: number): never {
    throw new TokenizerError({ thing, found, expected, where: `${this.#file}, byte ${at}` });
  }
}
