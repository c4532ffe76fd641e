/**
 * Files between the issuer and others. What is read is a regular file of a bounded size, never a link, and is opened
 * once; what is written is staged under a hidden name, and has its own when all of it is on the disk.
 * @module
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { CountersignError } from '../errors.ts';
import { syncFolder } from './folder.ts';
import { refused } from './names.ts';

/** Bytes. A request is some hundred. */
export const FILE_LIMIT = 64 * 1024;

/** Absent on Windows, where a folder that others write to has no place. */
const NO_LINK = constants.O_NOFOLLOW ?? 0;
/** A pipe that nobody writes to would hold the issuer up for ever. */
const NO_WAIT = constants.O_NONBLOCK ?? 0;

/**
 * The bytes of a file, which is opened once: what was judged is what is used, whatever is put in its place meanwhile.
 * `certificate-request-refused` where it is a link, no regular file, or too large; errors of the system as they are.
 * @param limit bytes.
 */
export function readPlainFile(path: string, limit = FILE_LIMIT): Buffer {
  const descriptor = openPlain(path);
  try {
    const found = fstatSync(descriptor);
    if (!found.isFile()) throw refused(`${path} is not a regular file.`);
    if (found.size > limit) throw refused(`${path} has more than ${limit} bytes.`);
    const bytes = readAll(descriptor, limit + 1);
    // It may have grown since.
    if (bytes.length > limit) throw refused(`${path} has more than ${limit} bytes.`);
    return bytes;
  } finally {
    closeSync(descriptor);
  }
}

function openPlain(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | NO_LINK | NO_WAIT);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ELOOP' || code === 'EMLINK') throw refused(`${path} is a symbolic link.`);
    // A socket can't be opened at all.
    if (code === 'ENXIO') throw refused(`${path} is not a regular file.`);
    throw error;
  }
}

function readAll(descriptor: number, limit: number): Buffer {
  const bytes = Buffer.alloc(limit);
  let length = 0;
  while (length < limit) {
    const read = readSync(descriptor, bytes, length, limit - length, null);
    if (read === 0) break;
    length += read;
  }
  return bytes.subarray(0, length);
}

/** Makes a folder where there is none. `authority-invalid` where something else has its name, a link to a folder too. */
export function ensureFolder(path: string, mode: number): void {
  mkdirSync(path, { recursive: true, mode });
  // In a folder where others write, a link would have the issuer write where they can't.
  if (!lstatSync(path).isDirectory()) {
    throw new CountersignError('authority-invalid', `${path} is not a folder; put it out of the way.`);
  }
}

/**
 * Puts a file on the disk under a name that nobody looks for: one for each name, so that a try after a crash takes the
 * place of the one before. Errors of the system as they are, such as ENOSPC; then nothing is left of it.
 */
export function stageFile(folder: string, name: string, content: string): void {
  dropStaged(folder, name);
  try {
    writeFileSync(stagedFile(folder, name), content, { mode: 0o644, flag: 'wx', flush: true });
  } catch (error) {
    dropStaged(folder, name);
    throw error;
  }
}

/** Gives a staged file its name. */
export function publishFile(folder: string, name: string): void {
  renameSync(stagedFile(folder, name), join(folder, name));
  syncFolder(folder);
}

export function dropStaged(folder: string, name: string): void {
  rmSync(stagedFile(folder, name), { force: true });
}

function stagedFile(folder: string, name: string): string {
  return join(folder, `.${name}.partial`);
}
