/**
 * The master key: 32 bytes in a file that only its owner can read, or from the environment.
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
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { CountersignError } from '../errors.ts';

const BYTES = 32;
const FILE = 'master.key';

export function masterKeyFile(folder: string): string {
  return join(folder, FILE);
}

/** Where a new master key waits until the keys of the database are wrapped by it. */
function nextFile(folder: string): string {
  return `${masterKeyFile(folder)}.next`;
}

export function generateMasterKey(): Buffer {
  return randomBytes(BYTES);
}

/** Reads a master key from a file of the operator's choice. `master-key-missing`, `master-key-wrong`. */
export function readMasterKeyFile(file: string): Buffer {
  const key = read(file);
  if (key) return key;
  throw new CountersignError('master-key-missing', `There is no ${file}. Nothing was changed.`);
}

/**
 * The keys of the files in a folder: the one in force, and one that an unfinished change left beside it. Called, like
 * the three functions below, under the write lock of the database: whoever changes these files holds it.
 */
export function masterKeysOf(folder: string): { current: Buffer | undefined; next: Buffer | undefined } {
  return { current: read(masterKeyFile(folder)), next: read(nextFile(folder)) };
}

/** Puts a key beside the one in force, so that it can't be lost once the database needs it. @returns the file. */
export function putNextMasterKey(folder: string, key: Buffer): string {
  // What lies there was never put in force, or the caller's own start would have moved it to its place.
  dropNextMasterKey(folder);
  const file = nextFile(folder);
  write(file, key);
  syncFolder(folder);
  return file;
}

export function dropNextMasterKey(folder: string): void {
  rmSync(nextFile(folder), { force: true });
}

/** Puts the waiting key in the place of the other. */
export function adoptNextMasterKey(folder: string): void {
  renameSync(nextFile(folder), masterKeyFile(folder));
  syncFolder(folder);
}

export interface MasterKeySource {
  readonly folder: string;
  /** From the environment, in base64; takes the place of the file. */
  readonly given: string | undefined;
  /** Whether a database stands beside it already: then no key is made. */
  readonly databaseExists: boolean;
}

/** Reads the master key, and makes it at the very first start. `master-key-missing`, `master-key-wrong`. */
export function loadMasterKey({ folder, given, databaseExists }: MasterKeySource): Buffer {
  if (given !== undefined) return decode(given, 'COUNTERSIGN_MASTER_KEY');
  const file = masterKeyFile(folder);
  const existing = read(file);
  if (existing) return existing;
  if (databaseExists) {
    throw new CountersignError(
      'master-key-missing',
      `There is a database in ${folder} but no master key: without it the secrets can't be opened. Put ${file} back, or set COUNTERSIGN_MASTER_KEY. Nothing was changed.`,
    );
  }
  return create(folder, file);
}

function read(file: string): Buffer | undefined {
  let text: string;
  try {
    const { mode } = statSync(file);
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new CountersignError('master-key-wrong', `Others can read ${file}; run: chmod 600 ${file}`);
    }
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return decode(text, file);
}

function decode(text: string, where: string): Buffer {
  const key = Buffer.from(text.trim(), 'base64');
  if (key.length !== BYTES || key.toString('base64') !== text.trim()) {
    throw new CountersignError(
      'master-key-wrong',
      `${where} must hold ${BYTES} bytes in base64. Nothing was changed.`,
    );
  }
  return key;
}

/** Written beside its place, synced, then linked to it: nobody ever sees half a key, and the first of two wins. */
function create(folder: string, file: string): Buffer {
  // Named at random: in a container every start has the same process id, and a killed one leaves its draft.
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  write(draft, generateMasterKey());
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(draft);
  }
  syncFolder(folder);
  return read(file) as Buffer;
}

function write(file: string, key: Buffer): void {
  const descriptor = openSync(file, 'wx', 0o600);
  try {
    writeSync(descriptor, `${key.toString('base64')}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
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
