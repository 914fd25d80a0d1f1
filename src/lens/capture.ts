import type { LlamaConfig } from '../checkpoint/config.js';
import type { HookName } from '../layers/hook-names.js';
import type { Activation } from './activations.js';
import { isAttentionPoint, pointShape } from './point-shapes.js';

/** Puts together the values of named points from a run's chunks of positions. */
export class Capture {
  readonly #activations = new Map<HookName, Activation>();
  readonly #names: ReadonlySet<HookName>;

  constructor(
    readonly config: LlamaConfig,
    readonly names: readonly HookName[],
    readonly batch: number,
    readonly pos: number,
  ) {
    this.#names = new Set(names);
  }

  wants(name: HookName): boolean {
    return this.#names.has(name);
  }

  /** An array of a point's size for a chunk of `pos` positions that follows `start` others: the point's own for all. */
  chunkArray(name: HookName, start: number, pos: number): Float32Array {
    if (pos === this.pos) return this.#activation(name).values;
    return new Float32Array(pointShape(this.config, name, this.batch, pos, start + pos).reduce((a, b) => a * b, 1));
  }

  /** Copies a chunk's values, shaped as `chunkArray` tells, to their place. */
  store(name: HookName, chunk: Float32Array, start: number, pos: number): void {
    const { values } = this.#activation(name);
    if (chunk === values) return;
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

  activations(): Activation[] {
    return this.names.map((name) => this.#activation(name));
  }

  /** A point's whole values, made when they are first needed. */
  #activation(name: HookName): Activation {
    const known = this.#activations.get(name);
    if (known) return known;
    const shape = pointShape(this.config, name, this.batch, this.pos, this.pos);
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    if (name.endsWith('.hook_attn_scores')) values.fill(-Infinity);
    this.#activations.set(name, { name, shape, values });
    return { name, shape, values };
  }
}
