import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CheckpointError } from '../base/errors.js';
import { breather } from '../base/event-loop.js';
import { asJsonObject, describe, readJsonFile } from './json.js';
import { canonicalName } from './names.js';
import { openSafetensors, type LoadMode, type SafetensorsFile } from './safetensors.js';
import type { TensorInfo } from './tensor-info.js';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/** A tensor and the file that holds it; `info.name` is its name there. */
export interface LocatedTensor {
  readonly info: TensorInfo;
  readonly file: SafetensorsFile;
}

/** The safetensors files of a checkpoint. */
export interface CheckpointFiles {
  readonly folder: string;
  readonly files: readonly SafetensorsFile[];
  /** By the names of `names.ts`. */
  readonly tensors: ReadonlyMap<string, LocatedTensor>;
}

export interface OpenFilesOptions {
  load?: LoadMode;
  signal?: AbortSignal;
  /** Files opened, of all. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Opens `model.safetensors`, else the shards that `model.safetensors.index.json` names, else the only safetensors file
 * of a folder; or one file given by its path. Reads headers only.
 * @throws CheckpointError if files or tensors of the index are missing, and for damaged files.
 */
export async function openFiles(path: string, options: OpenFilesOptions = {}): Promise<CheckpointFiles> {
  const { folder, names, weightMap } = await findFiles(path);
  const breathe = breather(options.signal);
  const files: SafetensorsFile[] = [];
  try {
    for (const name of names) {
      await breathe();
      files.push(await openSafetensors(join(folder, name), { load: options.load }));
      options.onProgress?.(files.length, names.length);
    }
    const located = weightMap ? locateByIndex(weightMap, files, join(folder, INDEX)) : locateAll(files);
    return { folder, files, tensors: renamed(located) };
  } catch (error) {
    await Promise.all(files.map((file) => file.close()));
    throw error;
  }
}

interface Found {
  folder: string;
  names: readonly string[];
  weightMap?: ReadonlyMap<string, string>;
}

async function findFiles(path: string): Promise<Found> {
  const names = await namesIn(path);
  if (!names) return { folder: dirname(path), names: [basename(path)] };
  if (names.includes(SINGLE)) return { folder: path, names: [SINGLE] };
  const index = names.includes(INDEX) ? await readJsonFile(join(path, INDEX)) : null;
  if (index) {
    const weightMap = parseWeightMap(index.get('weight_map'), join(path, INDEX));
    const present = new Set(names);
    for (const [tensor, shard] of weightMap) {
      if (present.has(shard)) continue;
      const expected = `${shard}, where ${INDEX} has tensor ${describe(tensor)}`;
      throw new CheckpointError({ thing: 'shard', found: 'no such file', expected, where: path });
    }
    return { folder: path, names: [...new Set(weightMap.values())].sort(), weightMap };
  }
  const others = names.filter((name) => name.endsWith('.safetensors'));
  if (others.length === 1) return { folder: path, names: others };
  const pickles = names.filter((name) => /\.(bin|pt|pth|gguf)$/.test(name));
  const seen = [...others, ...pickles];
  const found = seen.length > 0 ? seen.slice(0, 8).join(', ') : 'none';
  const isByPath = names.some((name) => name.endsWith('.gguf'));
  const expected = `${SINGLE} or ${INDEX}${isByPath ? '; a GGUF file is opened by its own path' : ''}`;
  throw new CheckpointError({ thing: 'weights', found, expected, where: path });
}

/** The names in a folder, or null if the path is no folder. */
async function namesIn(path: string): Promise<string[] | null> {
  try {
    return (await stat(path)).isDirectory() ? await readdir(path) : null;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const found = code === 'ENOENT' || code === 'ENOTDIR' ? 'no such path' : message;
    throw new CheckpointError({ thing: 'checkpoint', found, expected: 'a folder', where: path, cause });
  }
}

function parseWeightMap(value: unknown, where: string): Map<string, string> {
  const object = asJsonObject(value);
  if (!object || object.size === 0) {
    throw new CheckpointError({
      thing: 'weight_map',
      found: describe(value),
      expected: 'tensor names and their files',
      where,
    });
  }
  return new Map(
    [...object].map(([tensor, file]) => {
      if (typeof file === 'string' && /^[^/\\\0]+\.safetensors$/.test(file) && file.length < 256) return [tensor, file];
      const expected = 'the name of a safetensors file in this folder';
      throw new CheckpointError({
        thing: `file of tensor ${describe(tensor)}`,
        found: describe(file),
        expected,
        where,
      });
    }),
  );
}

function locateByIndex(
  weightMap: ReadonlyMap<string, string>,
  files: readonly SafetensorsFile[],
  index: string,
): LocatedTensor[] {
  const byName = new Map(files.map((file) => [basename(file.path), file]));
  return [...weightMap].map(([name, fileName]) => {
    const file = byName.get(fileName);
    const info = file?.tensors.get(name);
    if (file && info) return { info, file };
    const expected = `tensor ${describe(name)}, as ${index} says`;
    throw new CheckpointError({ thing: 'shard', found: 'no such tensor', expected, where: file?.path ?? fileName });
  });
}

const locateAll = (files: readonly SafetensorsFile[]): LocatedTensor[] =>
  files.flatMap((file) => [...file.tensors.values()].map((info) => ({ info, file })));

function renamed(located: readonly LocatedTensor[]): Map<string, LocatedTensor> {
  const tensors = new Map<string, LocatedTensor>();
  for (const tensor of located) {
    const { name } = tensor.info;
    const known = canonicalName(name);
    const other = tensors.get(known);
    if (other) {
      const found = `${describe(other.info.name)} and ${describe(name)}`;
      throw new CheckpointError({
        thing: `tensor ${describe(known)}`,
        found,
        expected: 'one of them',
        where: tensor.file.path,
      });
    }
    tensors.set(known, tensor);
  }
  return tensors;
}
