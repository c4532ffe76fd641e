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
  const descriptor = openSync(draft, 'wx', 0o600);
  try {
    writeSync(descriptor, `${randomBytes(BYTES).toString('base64')}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
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
