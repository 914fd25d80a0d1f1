import { CheckpointError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import type { CheckpointFiles, LocatedTensor } from './checkpoint-files.js';
import { hashCheckpoint } from './hash.js';
import type { CheckpointTensor } from './module-files.js';

/** The open safetensors files of a checkpoint: what every layout of tensors in them has in common. */
export class SafetensorsFiles {
  readonly path: string;
  readonly tensors: readonly CheckpointTensor[];
  protected readonly files: CheckpointFiles;

  constructor(files: CheckpointFiles) {
    this.path = files.folder;
    this.files = files;
    this.tensors = [...files.tensors.values()].map(asTensor);
  }

  async bytesOf({ name, file: path }: CheckpointTensor, breathe: Breathe): Promise<Uint8Array> {
    const file = this.files.files.find((candidate) => candidate.path === path);
    if (!file) {
      const expected = 'a file of this checkpoint';
      throw new CheckpointError({ thing: 'file', found: path, expected, where: this.path });
    }
    const { offset, bytes } = file.info(name);
    return file.readBytes(offset, bytes, breathe);
  }

  async hash(): Promise<string> {
    return hashCheckpoint(this.files);
  }

  async close(): Promise<void> {
    await Promise.all(this.files.files.map((file) => file.close()));
  }
}

export const asTensor = ({ info: { name, dtype, shape, bytes }, file }: LocatedTensor): CheckpointTensor => ({
  name,
  dtype,
  shape,
  bytes,
  file: file.path,
});
