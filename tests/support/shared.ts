import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('../../../shared/', import.meta.url);

/** A path under the folder of reference material that CI has beside the checkout, or null where it is absent. */
export function sharedPath(path: string): string | null {
  const file = fileURLToPath(new URL(path, root));
  return existsSync(file) ? file : null;
}

/** For `test(name, { skip: missing('models/tiny') }, …)`: false, or the message to skip with. */
export function missing(path: string): false | string {
  return sharedPath(path) === null ? `../shared/${path} is not there` : false;
}
