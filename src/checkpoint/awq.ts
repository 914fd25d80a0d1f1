import { CheckpointError } from '../base/errors.js';
import { breather, type Breathe } from '../base/event-loop.js';
import { bf16ToF32, f16ToF32 } from '../base/float16.js';
import { groupSlot, groupSlots, PANEL } from '../matrix/panels.js';
import { groupsPerRow, type PackedStorage } from '../matrix/storage.js';
import { weightFloats, weightHalves } from '../native/weight-memory.js';
import { eachRow, gemmCodes, gemmZeros, gemvCodes, gemvFastCodes, gemvZeros } from './awq-codes.js';
import type { Dtype, Elements } from './tensor-info.js';

/** A tensor of a packed linear layer, and where it is, for errors. */
export interface PackedPart {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** File and tensor. */
  readonly where: string;
  read(breathe: Breathe): Promise<Elements>;
}

/** The tensors of a linear layer that AutoAWQ or llm-awq packed. */
export interface AwqParts {
  readonly qweight: PackedPart;
  readonly scales: PackedPart;
  /** Absent only in checkpoints without zero points. */
  readonly qzeros: PackedPart | null;
}

export interface AwqSizes {
  readonly outFeatures: number;
  readonly inFeatures: number;
  /** Infinity: one group per row. */
  readonly groupSize: number;
}

export type AwqLayout = 'gemm' | 'gemv' | 'gemv_fast';

/**
 * Tells the layout from shapes and dtypes, and checks all of them. With N outputs, K inputs, G groups a row:
 *
 * | | qweight | qzeros | scales |
 * |---|---|---|---|
 * | gemm | i32 [K, N/8] | i32 [G, N/8] | [G, N] |
 * | gemv | i32 [N, K/8] | i32 [N, Z] | [N, 8·Z], 8·Z ≥ G |
 * | gemv_fast | i16 [N/4, K] | float [8·Z, N] | [8·Z, N] |
 *
 * Where N = K the shapes of qweight do not tell; those of scales do. `version` in a config is not looked at, since it
 * is wrong in some files.
 * @throws CheckpointError
 */
export function awqLayout(
  { qweight, scales, qzeros }: AwqParts,
  { outFeatures, inFeatures, groupSize }: AwqSizes,
): AwqLayout {
  const [n, k] = [outFeatures, inFeatures];
  const groups = groupsPerRow(k, Math.min(groupSize, k));
  requireDtype(scales, ['F16', 'BF16', 'F32']);
  requireDtype(qweight, ['I32', 'I16']);
  if (qweight.dtype === 'I16') {
    if (n % 4 !== 0 || k % 64 !== 0)
      requireShape(qweight, 'out features a multiple of 4 and in features of 64', () => false);
    requireShape(qweight, `[${n / 4}, ${k}]`, (shape) => equal(shape, [n / 4, k]));
    requireShape(scales, `[${groups} or more, ${n}]`, ([rows, columns]) => rows >= groups && columns === n);
    if (!qzeros) throw missingZeros(qweight);
    requireDtype(qzeros, [scales.dtype]);
    requireShape(qzeros, `[${groups} or more, ${n}]`, ([rows, columns]) => rows >= groups && columns === n);
    return 'gemv_fast';
  }
  const isGemm = n % 8 === 0 && equal(qweight.shape, [k, n / 8]) && equal(scales.shape, [groups, n]);
  if (isGemm) {
    if (qzeros) {
      requireDtype(qzeros, ['I32']);
      requireShape(qzeros, `[${groups}, ${n / 8}]`, (shape) => equal(shape, [groups, n / 8]));
    }
    return 'gemm';
  }
  const shapes = [
    ...(n % 8 === 0 ? [`[${k}, ${n / 8}] (gemm)`] : []),
    ...(k % 8 === 0 ? [`[${n}, ${k / 8}] (gemv)`] : []),
  ];
  const known = shapes.join(' or ') || `out or in features a multiple of 8, not ${n} and ${k}`;
  requireShape(qweight, known, (shape) => equal(shape, [n, k / 8]) || equal(shape, [k, n / 8]));
  const expected = `[${groups}, ${n}] (gemm) or [${n}, ${groups} or more] (gemv)`;
  requireShape(
    scales,
    expected,
    ([rows, columns]) => equal(qweight.shape, [n, k / 8]) && rows === n && columns >= groups,
  );
  if (qzeros) {
    requireDtype(qzeros, ['I32']);
    requireShape(
      qzeros,
      `[${n}, ${Math.ceil(groups / 8)} or more]`,
      ([rows, words]) => rows === n && 8 * words >= groups,
    );
  }
  return 'gemv';
}

/**
 * Codes, zero points, scales and offsets of an AWQ linear layer, exactly as its file has them, in compute layout 3.
 * Padding of zeros and scales is dropped; f16 scales stay f16, bfloat16 ones become float32.
 * @throws CheckpointError for shapes or dtypes that fit no layout, and scales or offsets that are not finite.
 */
export async function unpackAwq(
  parts: AwqParts,
  sizes: AwqSizes,
  breathe: Breathe = breather(),
): Promise<PackedStorage> {
  const { outFeatures, inFeatures } = sizes;
  const layout = awqLayout(parts, sizes);
  const groupSize = Math.min(sizes.groupSize, inFeatures);
  const groups = groupsPerRow(inFeatures, groupSize);
  const words = async (part: PackedPart) => (await part.read(breathe)) as Int32Array;
  const perGroup = async (part: PackedPart, thing: string) => {
    const stored = (await part.read(breathe)) as Uint16Array | Float32Array;
    // [N, groups or more] or [groups or more, N]
    const [rowStep, groupStep] = layout === 'gemv' ? [stored.length / outFeatures, 1] : [1, outFeatures];
    return finite(part, thing, stored, { n: outFeatures, groups, rowStep, groupStep }, breathe);
  };
  const scales = await perGroup(parts.scales, 'scale');
  const shared = {
    kind: 'packed',
    bits: 4,
    outFeatures,
    inFeatures,
    groupSize,
    scales,
  } as const;
  switch (layout) {
    case 'gemm': {
      const codes = await gemmCodes(await words(parts.qweight), outFeatures, inFeatures, breathe);
      const zeros = parts.qzeros && (await gemmZeros(await words(parts.qzeros), outFeatures, groups, breathe));
      return { ...shared, codes, zeros, offsets: null };
    }
    case 'gemv': {
      const codes = await gemvCodes(await words(parts.qweight), outFeatures, inFeatures, breathe);
      const zeros = parts.qzeros && (await gemvZeros(await words(parts.qzeros), outFeatures, groups, breathe));
      return { ...shared, codes, zeros, offsets: null };
    }
    case 'gemv_fast': {
      if (!parts.qzeros) throw missingZeros(parts.qweight);
      const stored = (await parts.qweight.read(breathe)) as Int16Array;
      const codes = await gemvFastCodes(stored, outFeatures, inFeatures, breathe);
      return { ...shared, codes, zeros: null, offsets: await perGroup(parts.qzeros, 'offset') };
    }
  }
}

/** Where group g of row n is in a stored array: n·rowStep + g·groupStep. */
interface GroupOrder {
  readonly n: number;
  readonly groups: number;
  readonly rowStep: number;
  readonly groupStep: number;
}

/** Scales or offsets in the order of panels, all finite; bfloat16 becomes float32. */
async function finite(
  part: PackedPart,
  thing: string,
  stored: Uint16Array | Float32Array,
  { n, groups, rowStep, groupStep }: GroupOrder,
  breathe: Breathe,
): Promise<Uint16Array | Float32Array> {
  const values = part.dtype === 'F16' ? weightHalves(groupSlots(n, groups)) : weightFloats(groupSlots(n, groups));
  const isFloat16 = part.dtype === 'F16';
  const decode = part.dtype === 'BF16' ? bf16ToF32 : (value: number) => value;
  await eachRow(n, breathe, (row) => {
    let slot = groupSlot(row, 0, groups);
    for (let g = 0; g < groups; g++, slot += PANEL) {
      const value = decode(stored[row * rowStep + g * groupStep]);
      if (isFloat16 ? isNotFiniteF16(value) : !Number.isFinite(value)) {
        const found = String(isFloat16 ? f16ToF32(value) : value);
        const where = `${part.where}, output ${row}, group ${g}`;
        throw new CheckpointError({ thing, found, expected: 'a finite number', where });
      }
      values[slot] = value;
    }
  });
  return values;
}

const isNotFiniteF16 = (bits: number): boolean => (bits & 0x7c00) === 0x7c00;

const equal = (shape: readonly number[], other: readonly number[]): boolean =>
  shape.length === other.length && shape.every((size, i) => size === other[i]);

function requireShape(part: PackedPart, expected: string, fits: (shape: readonly number[]) => boolean): void {
  if (part.shape.length === 2 && fits(part.shape)) return;
  throw new CheckpointError({ thing: 'shape', found: `[${part.shape.join(', ')}]`, expected, where: part.where });
}

function requireDtype(part: PackedPart, expected: readonly Dtype[]): void {
  if (expected.includes(part.dtype)) return;
  throw new CheckpointError({ thing: 'dtype', found: part.dtype, expected: expected.join(' or '), where: part.where });
}

const missingZeros = (qweight: PackedPart): CheckpointError =>
  new CheckpointError({ thing: 'tensor', found: 'no qzeros', expected: 'qzeros beside qweight', where: qweight.where });
