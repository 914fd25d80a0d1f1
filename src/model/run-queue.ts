let last: Promise<unknown> = Promise.resolve();

/**
 * Runs `work` after all work queued before it. The tfjs engine is one per process and its scopes and tapes are
 * synchronous, so passes that await between layers must not interleave.
 */
export function queued<T>(work: () => Promise<T>): Promise<T> {
  const result = last.then(work);
  last = result.catch(() => undefined);
  return result;
}
