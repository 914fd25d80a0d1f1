import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The folder of this package, from src/cli and from dist/cli alike. */
export const PACKAGE_FOLDER = fileURLToPath(new URL('../../', import.meta.url));

/** The model that comes with the package. */
export const BUNDLED_MODEL = fileURLToPath(new URL('../../data/storyteller-int4', import.meta.url));

export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(`${PACKAGE_FOLDER}package.json`, 'utf8')) as { version: string };
  return version;
}
