import type { Tensor } from '@tensorflow/tfjs-core';
import type { HookName, LayerPoint } from './hook-names.js';
import { layerHook } from './hook-names.js';

/**
 * Reads and replaces what flows through a pass at its named points. A pass without a tap builds no names and keeps no
 * tensors for it.
 */
export interface Tap {
  /** Whether `visit` does anything at this point; points that need work of their own are skipped otherwise. */
  wants(name: HookName): boolean;
  /**
   * Hands over the tensor at a point and returns the one to go on with, of the same shape. The tensor belongs to the
   * pass: whoever wants its values later copies them.
   */
  visit(name: HookName, tensor: Tensor): Tensor;
}

/** A tap seen from inside one layer, whose points are named without the layer. */
export interface PointTap<Point extends string> {
  wants(point: Point): boolean;
  visit(point: Point, tensor: Tensor): Tensor;
}

/** A tap as one decoder layer sees it. */
export type LayerTap = PointTap<LayerPoint>;

/** `tap` as decoder layer `layer` sees it. */
export const tapOfLayer = (tap: Tap, layer: number): LayerTap => ({
  wants: (point) => tap.wants(layerHook(layer, point)),
  visit: (point, tensor) => tap.visit(layerHook(layer, point), tensor),
});

/** The tensor to go on with after `point`: `tensor` itself without a tap. */
export const tapped = <Point extends string>(tap: PointTap<Point> | null, point: Point, tensor: Tensor): Tensor =>
  tap === null ? tensor : tap.visit(point, tensor);
