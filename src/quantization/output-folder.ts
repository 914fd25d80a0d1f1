import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { OptionError } from '../base/errors.js';

/**
 * Lets `fill` write a folder that appears at `path` whole or not at all: it is made beside and renamed at the end.
 * @throws OptionError if there is something at `path` that is not an empty folder.
 */
export async function writeFolder(path: string, fill: (folder: string) => Promise<void>): Promise<void> {
  const target = resolve(path);
  const entries = await readdir(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw new OptionError({
      thing: 'output folder',
      found: error.message,
      expected: 'a new or empty folder',
      where: path,
    });
  });
  if (entries && entries.length > 0) {
    const found = `a folder with ${entries.length} entries`;
    throw new OptionError({ thing: 'output folder', found, expected: 'a new or empty folder', where: path });
  }
  await mkdir(dirname(target), { recursive: true });
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.part`);
  await mkdir(temporary);
  try {
    await fill(temporary);
    if (entries) await rmdir(target);
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}
