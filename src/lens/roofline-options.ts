import type { HookName } from '../layers/hook-names.js';

/** How modules are measured. */
export interface RooflineOptions {
  /** Positions at once, 1 to 512: 1 (default) as when decoding, many as when a prompt is run. */
  readonly rows?: number;
  readonly signal?: AbortSignal;
  /** Passes done, of all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** What one module moved and computed, and how long it took. */
export interface ModuleSpeed {
  /** The point at which its output can be seen. */
  readonly hook: HookName;
  /** Positions at once. */
  readonly rows: number;
  /** Of weights, inputs and outputs. */
  readonly bytes: number;
  /** Additions and multiplications. */
  readonly operations: number;
  /** The median of several passes. */
  readonly microseconds: number;
}
