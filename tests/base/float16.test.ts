import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { bf16ArrayToF32, bf16ToF32, f16ArrayToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../../src/base/float16.js';

const PATTERNS = Array.from({ length: 65536 }, (_, bits) => bits);

/** Float32 values of every size that float16 can, cannot quite and cannot at all hold. */
const float32: fc.Arbitrary<number> = fc.oneof(
  fc.float({ noNaN: true }),
  fc.integer({ min: 0, max: 0xffffffff }).map((bits) => {
    const view = new DataView(new ArrayBuffer(4));
    view.setUint32(0, bits);
    return view.getFloat32(0);
  }),
  fc.double({ min: -70000, max: 70000, noNaN: true }).map(Math.fround),
  fc.double({ min: -2e-4, max: 2e-4, noNaN: true }).map(Math.fround),
);

/**
 * The pattern nearest to a value among all of a format's, the even one of two: by search in the list of the values,
 * which are in the order of their patterns from 0 up. `values` ends in what would follow the largest finite one, which
 * stands for infinity.
 */
function nearestPattern(values: readonly number[], value: number): number {
  const magnitude = Math.abs(value);
  const sign = Object.is(value, -0) || value < 0 ? 0x8000 : 0;
  let [low, high] = [0, values.length - 1];
  if (magnitude >= values[high]) return sign | high;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] <= magnitude) low = middle;
    else high = middle;
  }
  const [below, above] = [magnitude - values[low], values[high] - magnitude];
  if (below === above) return sign | (low % 2 === 0 ? low : high);
  return sign | (below < above ? low : high);
}

/** Values of patterns 0 to infinity's, by (1 + fraction)·2^exponent, with that of infinity as if it were a number. */
function positiveValues(fractionBits: number, bias: number): number[] {
  const steps = 2 ** fractionBits;
  const infinity = 0x7fff - steps + 1;
  return Array.from({ length: infinity + 1 }, (_, bits) => {
    const exponent = Math.floor(bits / steps);
    const fraction = (bits % steps) / steps;
    return exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias);
  });
}

const FORMATS = [
  { name: 'float16', decode: f16ToF32, encode: f32ToF16, decodeAll: f16ArrayToF32, values: positiveValues(10, 15) },
  { name: 'bfloat16', decode: bf16ToF32, encode: f32ToBf16, decodeAll: bf16ArrayToF32, values: positiveValues(7, 127) },
];

for (const { name, decode, encode, decodeAll, values } of FORMATS) {
  const infinity = values.length - 1;
  describe(name, () => {
    test('every pattern has the value of its sign, exponent and fraction', () => {
      for (const bits of PATTERNS) {
        const magnitude = bits & 0x7fff;
        const expected = magnitude < infinity ? values[magnitude] : magnitude === infinity ? Infinity : NaN;
        assert.ok(
          Object.is(decode(bits), bits & 0x8000 ? -expected : expected),
          `0x${bits.toString(16)}: ${decode(bits)}`,
        );
      }
    });

    test('every pattern comes back from its value, and NaN as a NaN', () => {
      for (const bits of PATTERNS) {
        const back = encode(decode(bits));
        if ((bits & 0x7fff) > infinity) assert.ok((back & 0x7fff) > infinity, `0x${bits.toString(16)} became ${back}`);
        else assert.equal(back, bits);
      }
    });

    test('values in between go to the nearest one, the even one of two', () => {
      fc.assert(
        fc.property(float32, (value) => {
          if (Number.isNaN(value)) assert.ok((encode(value) & 0x7fff) > infinity);
          else assert.equal(encode(value), nearestPattern(values, value));
        }),
        { numRuns: 3000 },
      );
    });

    test('halfway between any two neighbours is the even one, and a step of float32 beside it is the nearer one', () => {
      const float = new Float32Array(1);
      const bits = new Uint32Array(float.buffer);
      for (let low = 0; low < infinity; low++) {
        float[0] = (values[low] + values[low + 1]) / 2;
        assert.equal(float[0], (values[low] + values[low + 1]) / 2);
        assert.equal(encode(float[0]), low % 2 === 0 ? low : low + 1);
        bits[0] += 1;
        assert.equal(encode(float[0]), low + 1);
        bits[0] -= 2;
        assert.equal(encode(float[0]), low);
      }
    });

    test('an array is decoded number by number', () => {
      const all = decodeAll(Uint16Array.from(PATTERNS));
      assert.equal(all.length, PATTERNS.length);
      for (const bits of PATTERNS) assert.ok(Object.is(all[bits], decode(bits)));
    });
  });
}

test('float16 has the numbers that its standard names', () => {
  const named: [number, number][] = [
    [0x0001, 5.960464477539063e-8], // the least
    [0x03ff, 6.097555160522461e-5], // the largest subnormal one
    [0x0400, 6.103515625e-5], // the least normal one
    [0x3555, 0.333251953125],
    [0x3c00, 1],
    [0xc000, -2],
    [0x7bff, 65504], // the largest
  ];
  for (const [bits, value] of named) assert.equal(f16ToF32(bits), value);
  assert.equal(f32ToF16(65519.996), 0x7bff);
  assert.equal(f32ToF16(65520), 0x7c00);
  assert.equal(f32ToF16(-1e9), 0xfc00);
});
