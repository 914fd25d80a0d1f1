import type { LlamaConfig } from '../checkpoint/config.js';
import type { HookName } from '../layers/hook-names.js';
import type { Activation } from './activations.js';
import { isAttentionPoint, pointShape } from './point-shapes.js';

/** Puts together the values of named points from a run's chunks of positions. */
export class Capture {
  readonly #activations: Map<HookName, Activation>;

  constructor(
    readonly config: LlamaConfig,
    readonly names: readonly HookName[],
    readonly batch: number,
    readonly pos: number,
  ) {
    this.#activations = new Map(
      names.map((name) => {
        const shape = pointShape(config, name, batch, pos, pos);
        const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
        if (name.endsWith('.hook_attn_scores')) values.fill(-Infinity);
        return [name, { name, shape, values }];
      }),
    );
  }

  wants(name: HookName): boolean {
    return this.#activations.has(name);
  }

  /** An array of a point's size for a chunk of `pos` positions that follows `start` others. */
  chunkArray(name: HookName, start: number, pos: number): Float32Array {
    return new Float32Array(pointShape(this.config, name, this.batch, pos, start + pos).reduce((a, b) => a * b, 1));
  }

  /** Copies a chunk's values, shaped as `chunkArray` tells, to their place. */
  store(name: HookName, chunk: Float32Array, start: number, pos: number): void {
    const activation = this.#activations.get(name);
    if (!activation) return;
    const { values } = activation;
    const heads = isAttentionPoint(name) ? this.config.numAttentionHeads : 1;
    const rowLength = values.length / (this.batch * heads * this.pos); // keys, or what follows [batch, pos]
    const chunkRowLength = chunk.length / (this.batch * heads * pos);
    for (let block = 0; block < this.batch * heads; block++) {
      for (let row = 0; row < pos; row++) {
        const from = (block * pos + row) * chunkRowLength;
        values.set(chunk.subarray(from, from + chunkRowLength), (block * this.pos + start + row) * rowLength);
      }
    }
  }

  activations(): Iterable<Activation> {
    return this.#activations.values();
  }
}
