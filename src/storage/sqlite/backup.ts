/**
 * A backup of the data folder, made while a gateway runs: a folder with `countersign.db` and the mark `restored`.
 * Whoever serves from it raises the fence, since nonces that were claimed after the copy aren't in it: messages from
 * before the restart are refused by their time.
 * @module
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { masterKeyFile, syncFolder } from '../../consumers/master-key.ts';
import { CountersignError } from '../../errors.ts';
import { copyDatabase, type Progress, tryMasterKey } from './copy.ts';
import { databaseExists, databaseFile } from './database.ts';
import { RESTORED_MARK } from './store.ts';

export interface BackupOptions {
  /** The data folder. */
  readonly folder: string;
  /** The folder to make, or one that is there and empty. */
  readonly target: string;
  /** Goes into the backup; left out where undefined. */
  readonly masterKey?: Buffer | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly onProgress?: Progress | undefined;
}

export interface Backup {
  readonly bytes: number;
  readonly schemaVersion: number;
}

/**
 * Copies the database as it stands at one moment, while others read and write. The copy is checked and synced before
 * it gets its name: a folder that holds `countersign.db` is a whole backup.
 * `folder-not-empty`, `backup-invalid` where the database is damaged, `store-newer`, `store-failed`.
 */
export async function backUp(options: BackupOptions): Promise<Backup> {
  const { folder, target, masterKey, now, onProgress } = options;
  if (!databaseExists(folder)) {
    throw new CountersignError('store-failed', `There is no database in ${folder}.`);
  }
  const isNew = !existsSync(target);
  refuseTarget(folder, target, isNew);
  try {
    mkdirSync(target, { recursive: true, mode: 0o700 });
    chmodSync(target, 0o700);
    writeSynced(join(target, RESTORED_MARK), `${new Date(now).toISOString()}\n`);
    if (masterKey) writeSynced(masterKeyFile(target), `${masterKey.toString('base64')}\n`);
    const draft = `${databaseFile(target)}.partial`;
    const { schemaVersion } = await copyDatabase(databaseFile(folder), draft, onProgress);
    // Not the one that is being changed at this moment: a backup that can't be opened would be found out too late.
    if (masterKey) tryMasterKey(draft, masterKey);
    renameSync(draft, databaseFile(target));
    syncFolder(target);
    syncFolder(dirname(resolve(target)));
    return { bytes: statSync(databaseFile(target)).size, schemaVersion };
  } catch (error) {
    if (isNew) rmSync(target, { recursive: true, force: true });
    else for (const name of readdirSync(target)) rmSync(join(target, name));
    throw failure(`The backup can't be made`, error);
  }
}

function refuseTarget(folder: string, target: string, isNew: boolean): void {
  if (realPath(target).startsWith(realPath(folder) + sep)) {
    // It would be lost together with what it is to save.
    throw new CountersignError('folder-not-empty', `${target} lies in the data folder; name another place.`);
  }
  if (!isNew && (!statSync(target).isDirectory() || readdirSync(target).length > 0)) {
    throw new CountersignError('folder-not-empty', `${target} is there and isn't empty; name a new folder.`);
  }
}

/** Past all links, also of what isn't there yet. */
function realPath(path: string): string {
  const full = resolve(path);
  if (existsSync(full)) return realpathSync(full);
  return join(realPath(dirname(full)), basename(full));
}

/** A new file, for its owner alone, that outlasts a power loss. */
export function writeSynced(file: string, content: string): void {
  const descriptor = openSync(file, 'wx', 0o600);
  try {
    writeSync(descriptor, content);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** The error with what failed before it; `store-failed` where it has no code of its own. */
export function failure(what: string, error: unknown): CountersignError {
  const { message } = error as Error;
  if (error instanceof CountersignError) return new CountersignError(error.code, message, { cause: error });
  return new CountersignError('store-failed', `${what}: ${message}.`, { cause: error });
}
