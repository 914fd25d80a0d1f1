import type { HookName } from '../layers/hook-names.js';
import type { Activation } from './activations.js';

/** Which points: 'all', names, or a test of names. */
export type HookSelector = 'all' | HookName | readonly HookName[] | ((name: HookName) => boolean);

/**
 * Sees the values at a point and returns those to go on with, of the same length, or nothing to leave them as they
 * are. The values are a copy: changing them has no effect unless they are returned.
 */
export type Hook = (activation: Activation) => Float32Array | void;

/** Hooks by point; an interface, so that the compiler's messages call it by its name. */
export interface Hooks extends Readonly<Partial<Record<HookName, Hook>>> {}

/** What a run captures and replaces, and how it is followed and stopped. */
export interface RunOptions {
  /** Points whose values the result keeps. Default: none. */
  capture?: HookSelector;
  /** Hooks by point. With any, the pass is composed, in one piece; without, it is fused where the addon is there. */
  hooks?: Hooks;
  /** 'composed' asks for the layer-by-layer way even where the fused one would do. */
  path?: 'fused' | 'composed';
  signal?: AbortSignal;
  /** Positions done, of all. */
  onProgress?: (done: number, total: number) => void;
}
