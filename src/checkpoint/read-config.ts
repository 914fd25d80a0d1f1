import { join } from 'node:path';
import { CheckpointError } from '../base/errors.js';
import type { LlamaConfig } from './config.js';
import { readJsonFile } from './json.js';
import { parseConfig, type QuantConfigFile } from './parse-config.js';

/** Reads config.json of a folder, with what generation_config.json and an older quant_config.json add. */
export async function readConfig(folder: string): Promise<LlamaConfig> {
  const path = join(folder, 'config.json');
  const json = await readJsonFile(path);
  if (!json) throw new CheckpointError({ thing: 'config.json', found: 'no such file', expected: 'one', where: folder });
  const generationConfig = await readJsonFile(join(folder, 'generation_config.json'));
  return parseConfig(json, path, { generationConfig, quantConfig: await readQuantConfig(folder) });
}

async function readQuantConfig(folder: string): Promise<QuantConfigFile | null> {
  for (const name of ['quant_config.json', 'quantize_config.json']) {
    const where = join(folder, name);
    const fields = await readJsonFile(where);
    if (fields) return { fields, where };
  }
  return null;
}
