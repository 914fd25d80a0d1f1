import { native } from './native.js';

const mappings = new WeakSet<ArrayBufferLike>();

/**
 * Bytes of a file, mapped by the addon (see `NativeAddon.mapFile`), or null without the addon. Throws where they cannot
 * be mapped.
 */
export function mapFile(path: string, offset: number, length: number): ArrayBuffer | null {
  const mapping = native()?.mapFile(path, offset, length) ?? null;
  if (mapping) mappings.add(mapping);
  return mapping;
}

/** Whether an array lies in a mapped file. */
export const isMapped = ({ buffer }: ArrayBufferView): boolean => mappings.has(buffer);
