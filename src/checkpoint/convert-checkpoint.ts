import { copyFile, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { breather, type Breathe } from '../base/event-loop.js';
import { checkOptionNames } from '../base/options.js';
import { VERSION } from '../base/version.js';
import { formName } from '../matrix/form.js';
import { openCheckpoint, type Checkpoint } from './checkpoint.js';
import { copyCompanions } from './companions.js';
import { configJson } from './config-json.js';
import { copyGgufMetadata, GGUF_TOKENIZER, ggufTokenizerKind } from './gguf-tokenizer-file.js';
import { EMBEDDING, type ModuleSpec } from './names.js';
import { writeFolder } from './output-folder.js';
import { writeComputeFile, type ModuleToWrite } from './write-compute.js';

/** How a checkpoint is converted. */
export interface ConvertOptions {
  signal?: AbortSignal;
  /** Bytes written, of all. */
  onProgress?: (done: number, total: number) => void;
}

/** What `convertCheckpoint` wrote. */
export interface ConversionResult {
  /** The new folder. */
  readonly path: string;
  /** Of the weights' file. */
  readonly bytes: number;
  /** Matrices, by how they are stored: "int4 g128", "bf16". */
  readonly matrices: Readonly<Record<string, number>>;
  readonly record: {
    /** Name of the checkpoint that it was made of. */
    readonly model: string;
    /** Hash of its contents; see `Checkpoint.hash`. */
    readonly hash: string;
    readonly versions: { readonly nibblelens: string; readonly node: string };
  };
}

/**
 * Writes any checkpoint that can be opened as a folder whose weights are in the layout that kernels read, so that
 * `loadModel` maps them, in milliseconds, and nothing is read before it is used. Numbers keep their bits. Config and
 * tokenizer go along. `output` appears whole, or, after an error or an abort, not at all.
 * @throws CheckpointError for a bad input; OptionError for an output folder that is not new or empty.
 */
export async function convertCheckpoint(
  input: string,
  output: string,
  options: ConvertOptions = {},
): Promise<ConversionResult> {
  checkOptionNames(options, ['signal', 'onProgress'], 'option of convertCheckpoint');
  const checkpoint = await openCheckpoint(input, { signal: options.signal });
  try {
    const breathe = breather(options.signal);
    const modules = checkpoint.modules.map((spec) => moduleToWrite(checkpoint, spec, breathe));
    const record = {
      model: basename(checkpoint.path),
      hash: await checkpoint.hash(),
      versions: { nibblelens: VERSION, node: process.versions.node },
    };
    const about = {
      'nibblelens.version': VERSION,
      'nibblelens.source': record.model,
      'nibblelens.source_hash': record.hash,
    };
    let bytes = 0;
    await writeFolder(output, async (folder) => {
      await carryAlong(checkpoint, folder, breathe);
      const file = join(folder, 'model.safetensors');
      await writeComputeFile(file, modules, about, options);
      bytes = (await stat(file)).size;
    });
    return { path: output, bytes, matrices: countForms(modules), record };
  } finally {
    await checkpoint.close();
  }
}

/** Config and tokenizer: files of a folder as they are; those of a GGUF file from its metadata. */
async function carryAlong({ path, metadata, config }: Checkpoint, folder: string, breathe: Breathe): Promise<void> {
  const file = join(folder, 'config.json');
  if (metadata) {
    await writeFile(file, `${JSON.stringify(configJson(config), null, 2)}\n`);
    if (ggufTokenizerKind(metadata) !== null) await copyGgufMetadata(path, join(folder, GGUF_TOKENIZER), breathe);
  } else {
    await copyFile(join(path, 'config.json'), file);
    await copyCompanions(path, folder);
  }
}

function moduleToWrite(checkpoint: Checkpoint, spec: ModuleSpec, breathe: Breathe): ModuleToWrite {
  const { name, kind, shape } = spec;
  if (kind === 'norm') return { kind, name, size: shape[0], read: () => checkpoint.vector(`${name}.weight`, breathe) };
  const [outFeatures, inFeatures] = shape;
  const read = async () =>
    name === EMBEDDING ? { weight: await checkpoint.embedding(breathe), bias: null } : checkpoint.linear(name, breathe);
  const [form, hasBias] = [checkpoint.formOf(spec), name !== EMBEDDING && checkpoint.hasBias(name)];
  return { kind: 'matrix', name, outFeatures, inFeatures, form, hasBias, read };
}

function countForms(modules: readonly ModuleToWrite[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const module of modules) {
    if (module.kind === 'norm') continue;
    const name = formName(module.form);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return Object.fromEntries(counts);
}
