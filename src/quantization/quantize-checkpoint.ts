import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CheckpointError, OptionError } from '../base/errors.js';
import { breather, type Breathe } from '../base/event-loop.js';
import { checkOptionNames } from '../base/options.js';
import { VERSION } from '../base/version.js';
import { openCheckpoint, type Checkpoint } from '../checkpoint/checkpoint.js';
import { copyCompanions } from '../checkpoint/companions.js';
import { layerModules, type ModuleSpec } from '../checkpoint/names.js';
import { writeFolder } from '../checkpoint/output-folder.js';
import { awqGemmObstacle, packAwqGemm, type AwqGemmTensors } from '../checkpoint/pack-awq.js';
import { writeSafetensors, type TensorToWrite } from '../checkpoint/safetensors.js';
import type { Dtype } from '../checkpoint/tensor-info.js';
import { quantizeMatrix } from './quantize-matrix.js';
import { QuantizationResult, type QuantizationRecord, type QuantizedMatrix } from './result.js';

/** How a checkpoint is quantised. */
export interface QuantizeOptions {
  /** 'rtn' (default): round to nearest; see `quantizeRtn`. */
  method?: 'rtn';
  bits?: 4;
  /** Inputs in a row that share a scale and zero point, 16 or more; default 128. Must divide every matrix's inputs. */
  groupSize?: number;
  signal?: AbortSignal;
  /** Bytes written, of all. */
  onProgress?: (done: number, total: number) => void;
}

const LEAST_GROUP = 16;

/**
 * Writes the INT4 twin of a float checkpoint as a standard AWQ checkpoint (Hugging Face layout, GEMM packing): the
 * linear layers of the decoder layers are quantised, all other tensors are kept as they are. Equal input gives equal
 * bytes.
 * `output` appears whole, or, after an error or an abort, not at all.
 * @throws OptionError for options and an output folder that cannot be; CheckpointError for a bad input, one that is
 * quantised already, and matrices whose sizes the format cannot hold.
 */
export async function quantizeCheckpoint(
  input: string,
  output: string,
  options: QuantizeOptions = {},
): Promise<QuantizationResult> {
  const recipe = checkOptions(options);
  const { groupSize } = recipe;
  const checkpoint = await openCheckpoint(input, { signal: options.signal });
  try {
    requireSafetensors(checkpoint);
    const linears = Array.from({ length: checkpoint.config.numHiddenLayers }, (_, i) =>
      layerModules(checkpoint.config, i),
    )
      .flat()
      .filter(({ kind }) => kind === 'linear');
    for (const spec of linears) checkLinear(checkpoint, spec, groupSize);
    const run = new QuantizationRun(checkpoint, groupSize, options);
    const tensors = [...linears.flatMap((spec) => run.quantized(spec)), ...run.kept(linears)];
    await writeFolder(output, async (folder) => {
      const config = await quantizedConfig(checkpoint.path, groupSize);
      await writeFile(join(folder, 'config.json'), config);
      await copyCompanions(checkpoint.path, folder);
      await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' }, options);
    });
    return run.result(output, linears, {
      model: basename(checkpoint.path),
      hash: await checkpoint.hash(),
      ...recipe,
      versions: { nibblelens: VERSION, node: process.versions.node },
    });
  } finally {
    await checkpoint.close();
  }
}

function checkOptions(options: QuantizeOptions): { method: 'rtn'; bits: 4; groupSize: number } {
  checkOptionNames(options, ['method', 'bits', 'groupSize', 'signal', 'onProgress'], 'option of quantizeCheckpoint');
  const { method = 'rtn', bits = 4, groupSize = 128 } = options;
  if (method !== 'rtn') throw new OptionError({ thing: 'method', found: method, expected: 'rtn' });
  if (bits !== 4) throw new OptionError({ thing: 'bits', found: bits, expected: '4' });
  if (!Number.isInteger(groupSize) || groupSize < LEAST_GROUP) {
    throw new OptionError({ thing: 'groupSize', found: groupSize, expected: `a whole number from ${LEAST_GROUP}` });
  }
  return { method, bits, groupSize };
}

/** Tensors that are kept go into the new file as they are in the old one. */
function requireSafetensors({ format, path: where }: Checkpoint): void {
  if (format === 'safetensors') return;
  const expected = "safetensors in Hugging Face's layout";
  throw new CheckpointError({ thing: 'checkpoint', found: format === 'gguf' ? 'a GGUF file' : 'one in compute layout', expected, where });
}

function checkLinear(checkpoint: Checkpoint, { name, shape: [out, input] }: ModuleSpec, groupSize: number): void {
  const where = `${checkpoint.path}, ${name}`;
  if (checkpoint.isPacked(name)) {
    throw new CheckpointError({ thing: 'linear layer', found: 'a quantised one', expected: 'float weights', where });
  }
  const found = awqGemmObstacle(out, input, groupSize);
  if (found)
    throw new CheckpointError({ thing: 'matrix', found, expected: 'sizes that the AWQ GEMM layout holds', where });
}

/** config.json with `quantization_config`, its keys sorted, as transformers writes it. */
async function quantizedConfig(folder: string, groupSize: number): Promise<string> {
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>;
  const quantization = {
    bits: 4,
    group_size: groupSize,
    modules_to_not_convert: null,
    quant_method: 'awq',
    version: 'gemm',
    zero_point: true,
  };
  const entries = Object.entries({ ...config, quantization_config: quantization });
  return `${JSON.stringify(Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))), null, 2)}\n`;
}

/** The tensors of the new file. Each matrix is quantised when the first of its tensors is written. */
class QuantizationRun {
  readonly #checkpoint: Checkpoint;
  readonly #groupSize: number;
  readonly #breathe: Breathe;
  readonly #matrices = new Map<string, QuantizedMatrix>();
  #squaredError = 0;
  #squaredNorm = 0;

  constructor(checkpoint: Checkpoint, groupSize: number, { signal }: QuantizeOptions) {
    this.#checkpoint = checkpoint;
    this.#groupSize = groupSize;
    this.#breathe = breather(signal);
  }

  /** `qweight`, `qzeros` and `scales` of a linear layer, in place of its `weight`. */
  quantized(spec: ModuleSpec): TensorToWrite[] {
    const [out, input] = spec.shape;
    const groups = input / this.#groupSize;
    // Wide elements come first in the file: scales wait for their turn, the far larger codes are let go of at once.
    let parts: Partial<AwqGemmTensors> | null = null;
    const take = async (part: keyof AwqGemmTensors): Promise<ArrayBufferView> => {
      parts ??= { ...(await this.#quantize(spec)) };
      const data = parts[part] ?? new Int32Array(0);
      delete parts[part];
      return data;
    };
    const [{ name }] = this.#checkpoint.tensorsOf(spec.name);
    const module = name.slice(0, -'.weight'.length);
    return [
      { name: `${module}.qweight`, dtype: 'I32', shape: [input, out / 8], data: () => take('qweight') },
      { name: `${module}.qzeros`, dtype: 'I32', shape: [groups, out / 8], data: () => take('qzeros') },
      { name: `${module}.scales`, dtype: 'F16', shape: [groups, out], data: () => take('scales') },
    ];
  }

  /** All tensors but the weights of these linear layers. */
  kept(linears: readonly ModuleSpec[]): TensorToWrite[] {
    const replaced = new Set(linears.map(({ name }) => this.#checkpoint.tensorsOf(name)[0].name));
    return this.#checkpoint.tensors
      .filter(({ name }) => !replaced.has(name))
      .map((tensor) => ({
        name: tensor.name,
        dtype: tensor.dtype as Dtype,
        shape: tensor.shape,
        data: () => this.#checkpoint.bytesOf(tensor, this.#breathe),
      }));
  }

  result(path: string, linears: readonly ModuleSpec[], record: QuantizationRecord): QuantizationResult {
    const matrices = linears.flatMap(({ name }) => this.#matrices.get(name) ?? []);
    return new QuantizationResult(path, matrices, relativeError(this.#squaredError, this.#squaredNorm), record);
  }

  async #quantize({ name }: ModuleSpec): Promise<AwqGemmTensors> {
    const { weight } = await this.#checkpoint.linear(name, this.#breathe);
    if (weight.kind === 'packed')
      throw new CheckpointError({ thing: name, found: 'packed', expected: 'float weights' });
    const quantization = quantizeMatrix(weight, this.#groupSize, this.#breathe);
    const { storage, squaredError, squaredNorm } = await quantization.catch((cause: unknown) => {
      if (!(cause instanceof OptionError)) throw cause;
      const { thing, found, expected, where } = cause;
      throw new CheckpointError({
        thing,
        found,
        expected,
        where: `${this.#checkpoint.path}, ${name}, ${where}`,
        cause,
      });
    });
    const packed = await packAwqGemm(storage, this.#breathe);
    const bytes = packed.qweight.byteLength + packed.qzeros.byteLength + packed.scales.byteLength;
    const { outFeatures, inFeatures } = weight;
    this.#matrices.set(name, {
      name,
      outFeatures,
      inFeatures,
      relativeError: relativeError(squaredError, squaredNorm),
      bitsPerWeight: (8 * bytes) / (outFeatures * inFeatures),
    });
    this.#squaredError += squaredError;
    this.#squaredNorm += squaredNorm;
    return packed;
  }
}

/** √(Σ(w − ŵ)² / Σw²); a matrix of zeros is met exactly. */
const relativeError = (squaredError: number, squaredNorm: number): number =>
  squaredNorm === 0 ? 0 : Math.sqrt(squaredError / squaredNorm);
