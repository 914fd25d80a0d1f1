import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { OptionError } from '../base/errors.js';
import { systemErrorInWords } from '../base/system-error.js';

/**
 * Lets `fill` write a folder that appears at `path` whole or not at all: it is made beside and renamed at the end.
 * @throws OptionError if there is something at `path` that is not an empty folder, or no folder can be made there.
 */
export async function writeFolder(path: string, fill: (folder: string) => Promise<void>): Promise<void> {
  const refuse = (found: string, cause?: unknown): never => {
    throw new OptionError({ thing: 'output folder', found, expected: 'a new or empty folder', where: path, cause });
  };
  const refuseFor = (error: NodeJS.ErrnoException): never => refuse(systemErrorInWords(error) ?? error.message, error);
  const target = resolve(path);
  const entries = await readdir(target).catch((error: NodeJS.ErrnoException) => {
    return error.code === 'ENOENT' ? null : refuseFor(error);
  });
  if (entries && entries.length > 0) refuse(`a folder with ${entries.length} entries`);
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.part`);
  await mkdir(temporary, { recursive: true }).catch(refuseFor);
  try {
    await fill(temporary);
    if (entries) await rmdir(target).catch(refuseFor);
    await rename(temporary, target).catch(refuseFor);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}
