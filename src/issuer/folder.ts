/**
 * The issuer's folder: only its owner reads it, and what is written there is whole or not there.
 * @module
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { CountersignError } from '../errors.ts';

/** The root's public half. */
export const ROOT_FILE = 'root.pem';

/** `authority-invalid` where there is none, or others can read or write it. */
export function checkFolder(dir: string): void {
  const stats = statOf(dir);
  if (!stats) throw invalid(`There is no folder ${dir}: countersign ca init makes it.`);
  if (!stats.isDirectory()) throw invalid(`${dir} is no folder.`);
  checkPrivate(dir, stats, '700');
}

/** @returns what a file of the issuer's folder holds. `authority-invalid` where it is missing or, if told, not private. */
export function readIssuerFile(file: string, isPrivate = false): string {
  const stats = statOf(file);
  if (!stats) throw invalid(`There is no ${file}: is this the folder of an issuer?`);
  if (isPrivate) checkPrivate(file, stats, '600');
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw invalid(`${file} can't be read: ${(error as Error).message}.`);
  }
}

function checkPrivate(path: string, { mode }: Stats, wanted: string): void {
  if (process.platform === 'win32' || (mode & 0o077) === 0) return;
  throw invalid(`Others can get at ${path}; run: chmod ${wanted} ${path}`);
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw invalid(`${path} can't be read: ${(error as Error).message}.`);
  }
}

/** Written beside its place, synced, renamed: what lay there is replaced, or stays as it was where this fails. */
export function replaceFile(file: string, content: string | Buffer, mode: number): void {
  write(file, content, mode, renameSync);
}

/** The same for a file that mustn't be there yet: fails with EEXIST where it is. */
export function createFile(file: string, content: string | Buffer, mode: number): void {
  write(file, content, mode, (draft) => {
    linkSync(draft, file);
    unlinkSync(draft);
  });
}

function write(
  file: string,
  content: string | Buffer,
  mode: number,
  put: (draft: string, file: string) => void,
): void {
  const draft = `${file}.${randomBytes(6).toString('hex')}.draft`;
  try {
    // Flushed before it has its name, so that a power loss leaves no empty file under it.
    writeFileSync(draft, content, { mode, flag: 'wx', flush: true });
    put(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
  syncFolder(dirname(file));
}

/** Makes a new name in a folder outlast a power loss. */
export function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function invalid(detail: string): CountersignError {
  return new CountersignError('authority-invalid', detail);
}
