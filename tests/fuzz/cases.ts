import { bytesOf, safetensorsFile, type FolderFiles } from '../support/tiny-checkpoint.js';
import { mutateBytes } from './mutate-bytes.js';
import { mutateConfig } from './mutate-config.js';
import { mutateGguf, mutateGgufData } from './mutate-gguf.js';
import { mutateJson } from './mutate-json.js';
import { mutateProtobuf } from './mutate-protobuf.js';
import { mutateData, mutateHeader, mutateTensors } from './mutate-safetensors.js';
import { caseSeed, Draws } from './random.js';
import {
  awqModels,
  computeModels,
  ggufModels,
  models,
  tokenizerJsons,
  tokenizerModels,
  tokenizerSettings,
  twoFiles,
  type SeedModel,
} from './seeds.js';

/** What a case mutates, and how often it has its turn in every 100 cases. */
export const TARGETS = {
  'safetensors header': 17,
  'safetensors data': 8,
  'AWQ tensors': 12,
  'compute layout': 5,
  'config.json': 11,
  'model.safetensors.index.json': 6,
  'GGUF header': 10,
  'GGUF data': 5,
  'tokenizer.json': 10,
  'tokenizer.model': 9,
  'tokenizer settings': 7,
} as const;
export type Target = keyof typeof TARGETS;

/** A folder to open, all of it drawn from a seed. */
export interface FuzzCase {
  readonly target: Target;
  /** What is opened: a model (with its tokenizer, if it has one), or a tokenizer alone. */
  readonly opens: 'model' | 'tokenizer';
  /** Where that is, from the folder on; empty for the folder itself. */
  readonly path: string;
  readonly load: 'map' | 'copy';
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** For what is done with it once it is open. */
  readonly draws: Draws;
}

const GGUF_FILE = 'model.gguf';

const ORDER = Object.entries(TARGETS).flatMap(([target, share]) => new Array<Target>(share).fill(target as Target));

/** Targets take turns such that any stretch of cases holds all of them; 37 and 100 have no common divisor. */
export const targetOf = (index: number): Target => ORDER[(index * 37) % ORDER.length];

/** Case `index` of the run with this seed: always the same. */
export function fuzzCase(seed: number, index: number): FuzzCase {
  const draws = new Draws(caseSeed(seed, index));
  const target = targetOf(index);
  const load = draws.pick(['map', 'copy'] as const);
  const mutated = filesOf(target, draws);
  const path = GGUF_FILE in mutated ? GGUF_FILE : '';
  const opens = 'config.json' in mutated || path !== '' ? 'model' : 'tokenizer';
  return { target, opens, path, load, files: asBytes(mutated), draws };
}

function filesOf(target: Target, draws: Draws): FolderFiles {
  switch (target) {
    case 'safetensors header': {
      const model = draws.pick(models);
      return withWeights(model, mutateHeader(safetensorsFile(model.tensors, { format: 'pt' }), draws));
    }
    case 'safetensors data': {
      const model = draws.pick(models);
      return withWeights(model, mutateData(model.tensors, draws));
    }
    case 'AWQ tensors': {
      const model = draws.pick(awqModels);
      return withWeights(model, mutateTensors(model.tensors, draws));
    }
    case 'compute layout': {
      const { config, file } = draws.pick(computeModels);
      return { 'config.json': config, 'model.safetensors': draws.once(6) ? mutateBytes(file, draws) : mutateHeader(file, draws) };
    }
    case 'config.json': {
      const model = draws.pick(models);
      const files = asBytes(draws.once(3) ? twoFiles(model) : withWeights(model, safetensorsFile(model.tensors)));
      const config = draws.once(2) ? mutateConfig(model.config, draws) : mutateJson(files['config.json'], draws);
      return { ...files, 'config.json': config };
    }
    case 'model.safetensors.index.json': {
      const files = asBytes(twoFiles(draws.pick(models)));
      const shards = Object.keys(files).filter((name) => name.endsWith('.safetensors'));
      if (draws.once(4)) return { ...files, [shards[0]]: mutateBytes(files[shards[0]], draws) };
      if (draws.once(8)) return { ...files, [shards[0]]: files[shards[1]], [shards[1]]: files[shards[0]] };
      const name = 'model.safetensors.index.json';
      return { ...files, [name]: mutateJson(files[name], draws) };
    }
    case 'GGUF header':
      return { [GGUF_FILE]: mutateGguf(draws.pick(ggufModels), draws) };
    case 'GGUF data':
      return { [GGUF_FILE]: mutateGgufData(draws.pick(ggufModels), draws) };
    case 'tokenizer.json': {
      const file = chosen(tokenizerJsons, draws);
      return beside({ [target]: draws.once(6) ? mutateBytes(file, draws) : mutateJson(file, draws) }, draws);
    }
    case 'tokenizer.model':
      return beside({ [target]: mutateProtobuf(chosen(tokenizerModels, draws), draws) }, draws);
    case 'tokenizer settings': {
      const name = draws.pick(Object.keys(tokenizerSettings));
      const file = tokenizerSettings[name];
      const changed = {
        ...tokenizerSettings,
        [name]: draws.once(6) ? mutateBytes(file, draws) : mutateJson(file, draws),
      };
      const base: FolderFiles = draws.once(2)
        ? { 'tokenizer.json': tokenizerJsons[0] }
        : { 'tokenizer.model': tokenizerModels[0] };
      return beside({ ...base, ...changed }, draws);
    }
  }
}

/** The last one is the largest, and has its turn more seldom. */
const chosen = (files: readonly Uint8Array[], draws: Draws): Uint8Array =>
  draws.once(8) ? files[files.length - 1] : draws.pick(files.slice(0, -1));

const withWeights = ({ config }: SeedModel, weights: Uint8Array): FolderFiles => ({
  'config.json': config,
  'model.safetensors': weights,
});

/** The tokenizer, now and then beside a model (whose vocabulary is smaller), or with good settings. */
function beside(tokenizer: FolderFiles, draws: Draws): FolderFiles {
  const settings = draws.once(2) ? tokenizerSettings : {};
  if (!draws.once(5)) return { ...settings, ...tokenizer };
  const [model] = models;
  return { ...withWeights(model, safetensorsFile(model.tensors)), ...settings, ...tokenizer };
}

const asBytes = (files: FolderFiles): Record<string, Uint8Array> =>
  Object.fromEntries(
    Object.entries(files).map(([name, content]) => {
      if (content instanceof Uint8Array) return [name, bytesOf(content)];
      return [name, new TextEncoder().encode(typeof content === 'string' ? content : JSON.stringify(content))];
    }),
  );
