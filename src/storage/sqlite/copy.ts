/**
 * A consistent copy of a database file, taken while others read and write it.
 * @module
 */
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { unwrapKeys, type WrappedKey } from '../../consumers/key-vault.ts';
import { CountersignError } from '../../errors.ts';
import { inspect, openFile } from './database.ts';

/** Told after each step; both count pages. */
export type Progress = (done: number, total: number) => void;

export interface Copied {
  readonly schemaVersion: number;
}

/** Pages of a step, between which the event loop turns: 4 MiB. */
const STEP = 1024;

/**
 * Copies what is committed at this moment to a new file, for its owner alone; checks the copy, and syncs it.
 * `backup-invalid` where it is damaged, no store of ours, or made by a newer version. Whoever calls removes what is
 * left of a copy that failed.
 */
export async function copyDatabase(
  source: string,
  target: string,
  onProgress: Progress = () => {},
): Promise<Copied> {
  closeSync(openSync(target, 'wx', 0o600));
  const database = openFile(source);
  try {
    database.pragma('query_only = ON');
    // One read transaction around all steps: without it, SQLite begins anew after each commit of a gateway.
    database.exec('BEGIN');
    database.pragma('user_version');
    await database.backup(target, {
      progress({ totalPages, remainingPages }) {
        onProgress(totalPages - remainingPages, totalPages);
        return STEP;
      },
    });
    database.exec('COMMIT');
  } finally {
    database.close();
  }
  const schemaVersion = check(target);
  sync(target);
  return { schemaVersion };
}

/** @returns the schema's version. */
function check(file: string): number {
  const copy = openFile(file);
  try {
    // One file alone, which can be read from where nothing can be written. The next start enters WAL mode again.
    copy.pragma('journal_mode = DELETE');
    const { schemaVersion, newestSchemaVersion, damage } = inspect(copy);
    if (damage.length > 0) throw new CountersignError('backup-invalid', `It is damaged: ${damage[0]}.`);
    if (schemaVersion <= newestSchemaVersion) return schemaVersion;
    throw new CountersignError(
      'store-newer',
      `It has schema version ${schemaVersion}; this program knows ${newestSchemaVersion}. Use the newer version.`,
    );
  } finally {
    copy.close();
  }
}

/** `master-key-wrong` where it isn't the one that the copy's secrets are sealed under. */
export function tryMasterKey(copy: string, key: Buffer): void {
  const database = openFile(copy);
  try {
    const wrapped = database.prepare('SELECT version, wrapped FROM data_keys').all() as WrappedKey[];
    unwrapKeys(key, 'data-key', wrapped);
  } finally {
    database.close();
  }
}

function sync(file: string): void {
  const descriptor = openSync(file, 'r+');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
