import { joined, mutateBytes } from './mutate-bytes.js';
import type { Draws } from './random.js';

/** A field as it is in the file: its tag, and what follows, in bytes. */
interface Field {
  readonly number: number;
  readonly wire: number;
  /** Without the length of a length-delimited one. */
  readonly bytes: Uint8Array;
}

const VARINTS = [0n, 1n, 2n, 3n, 6n, 127n, 128n, 2n ** 31n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n] as const;
const SCORES = [0, -1, 1e30, -1e30, NaN, Infinity, -Infinity] as const;

/** Changes 1 to 4 fields of a SentencePiece model as fields, at any depth, and now and then some bytes of the result. */
export function mutateProtobuf(file: Uint8Array, draws: Draws): Uint8Array {
  if (draws.once(5)) return mutateBytes(file, draws);
  let fields = fieldsOf(file) ?? [];
  for (let edits = 1 + draws.below(draws.pick([1, 4])); edits > 0; edits--) fields = edit(fields, draws);
  const bytes = encode(fields);
  return draws.once(20) ? mutateBytes(bytes, draws) : bytes;
}

function edit(fields: readonly Field[], draws: Draws): Field[] {
  if (fields.length === 0) return [];
  // Settings come last and are few; pieces are many.
  const at = draws.once(3) ? Math.max(0, fields.length - 1 - draws.below(3)) : draws.below(fields.length);
  const field = fields[at];
  switch (draws.below(9)) {
    case 0:
      return fields.toSpliced(at, 1);
    case 1:
      return fields.toSpliced(at, 0, field);
    case 2:
      return fields.toSpliced(at, 1, { ...field, number: 1 + draws.below(draws.pick([5, 50])) });
    case 3: {
      const other = draws.below(fields.length);
      return fields.toSpliced(at, 1, fields[other]).toSpliced(other, 1, field);
    }
    case 4:
      return fields.slice(0, at);
    default: {
      const inner = field.wire === 2 ? fieldsOf(field.bytes) : null;
      const bytes = inner && inner.length > 0 && !draws.once(6) ? encode(edit(inner, draws)) : otherValue(field, draws);
      return fields.toSpliced(at, 1, { ...field, bytes });
    }
  }
}

function otherValue({ wire, bytes }: Field, draws: Draws): Uint8Array {
  switch (wire) {
    case 0:
      return varint(draws.pick(VARINTS));
    case 5:
      return new Uint8Array(Float32Array.of(draws.pick(SCORES)).buffer);
    case 2: {
      const texts = ['', 'a', '\u2581', '<0x41>', '<s>', '\u0000', '\u00e9', '\ud83d\ude00', 'x'.repeat(5000)];
      if (draws.once(2)) return new TextEncoder().encode(draws.pick(texts));
      return mutateBytes(bytes, draws);
    }
    default:
      return bytes;
  }
}

/** The fields of a message, or null if these bytes are none. */
function fieldsOf(message: Uint8Array): Field[] | null {
  const fields: Field[] = [];
  let at = 0;
  const read = (): bigint | null => {
    let value = 0n;
    for (let shift = 0n; at < message.length && shift < 70n; shift += 7n) {
      const byte = message[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return null;
  };
  while (at < message.length) {
    const tag = read();
    if (tag === null || tag > 2n ** 32n || tag < 8n) return null;
    const wire = Number(tag & 7n);
    const start = at;
    const length = wire === 2 ? read() : wire === 0 ? read() && 0n : wire === 5 ? 4n : wire === 1 ? 8n : null;
    if (length === null) return null;
    const from = wire === 2 ? at : start;
    const to = wire === 0 ? at : from + Number(length);
    if (to > message.length) return null;
    fields.push({ number: Number(tag >> 3n), wire, bytes: message.subarray(from, to) });
    at = to;
  }
  return fields;
}

const encode = (fields: readonly Field[]): Uint8Array =>
  joined(
    ...fields.flatMap(({ number, wire, bytes }) => [
      varint(BigInt(number) * 8n + BigInt(wire)),
      ...(wire === 2 ? [varint(BigInt(bytes.length))] : []),
      bytes,
    ]),
  );

function varint(value: bigint): Uint8Array {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 0x80n; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.of(...out, Number(rest));
}
