/**
 * The way back from a backup: its database takes the place of the data folder's, in one step and with nobody at it.
 * @module
 */
import {
  chownSync,
  existsSync,
  linkSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  adoptNextMasterKey,
  loadMasterKey,
  masterKeyFile,
  masterKeysOf,
  putNextMasterKey,
  syncFolder,
} from '../../consumers/master-key.ts';
import { CountersignError } from '../../errors.ts';
import { failure, writeSynced } from './backup.ts';
import { copyDatabase, type Progress, tryMasterKey } from './copy.ts';
import { type Database, databaseExists, databaseFile, makeFolder, openFile } from './database.ts';
import { RESTORED_MARK } from './store.ts';

export interface RestoreOptions {
  /** The backup. */
  readonly source: string;
  /** The data folder. */
  readonly folder: string;
  /** Whether a database that is there may be replaced. */
  readonly force: boolean;
  /** From the environment, in base64; takes the place of every file. */
  readonly givenKey: string | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly onProgress?: Progress | undefined;
  readonly onStep?: ((step: RestoreStep) => void) | undefined;
}

/** How far it has come: the database is still the old one, or already that of the backup. */
export type RestoreStep = 'prepared' | 'replaced';

export interface Restored {
  /** When the backup was made, as its mark says; undefined where it has none. */
  readonly madeAt: string | undefined;
  readonly schemaVersion: number;
  /** Where the master key is: undefined where there is none yet, so that it couldn't be tried. */
  readonly masterKey: 'environment' | 'backup' | 'folder' | undefined;
  /** Where a master key that stood in the way of the backup's was put. */
  readonly replacedKey: string | undefined;
}

/**
 * Copies and checks first; until the last step the database of the data folder is as it was, and a kill at any moment
 * leaves one of the two.
 * `backup-invalid`, `folder-not-empty`, `store-in-use`, `store-newer`, `master-key-wrong`, `store-failed`.
 */
export async function restore(options: RestoreOptions): Promise<Restored> {
  const { source, folder, force, now, onProgress, onStep = () => {} } = options;
  refuseSource(source, folder);
  if (!force && journalsOf(folder, true).length > 0) {
    throw new CountersignError(
      'folder-not-empty',
      `There is a database in ${folder}. Back it up, then give --force to replace it.`,
    );
  }
  makeFolder(folder);
  const draft = `${databaseFile(folder)}.restoring`;
  const held = databaseExists(folder) ? holdAlone(folder) : undefined;
  try {
    rmSync(draft, { force: true });
    const { schemaVersion } = await copyDatabase(databaseFile(source), draft, onProgress).catch((error) => {
      throw failure(`The backup in ${source} can't be read`, asDamage(error));
    });
    const masterKey = findMasterKey(options, draft);
    const madeAt = readMark(source);
    // Before the database: a fence that was raised for nothing costs half a minute, one that wasn't costs a replay.
    replaceMark(folder, madeAt ?? new Date(now).toISOString());
    const replacedKey = masterKey === 'backup' ? takeMasterKey(source, folder, now) : undefined;
    giveToOwner(draft, folder);
    onStep('prepared');
    for (const journal of journalsOf(folder)) rmSync(journal);
    if (databaseExists(folder)) renameSync(draft, databaseFile(folder));
    else takeFreeName(draft, folder);
    onStep('replaced');
    if (held) retire(held);
    syncFolder(folder);
    if (replacedKey !== undefined) adoptNextMasterKey(folder);
    return { madeAt, schemaVersion, masterKey, replacedKey };
  } catch (error) {
    throw failure(`The backup in ${source} can't be restored`, error);
  } finally {
    rmSync(draft, { force: true });
    held?.close();
  }
}

function refuseSource(source: string, folder: string): void {
  if (!databaseExists(source)) {
    throw new CountersignError('backup-invalid', `${source} is no backup: there is no countersign.db in it.`);
  }
  if (existsSync(folder) && realpathSync(source) === realpathSync(folder)) {
    throw new CountersignError('backup-invalid', `${source} is the data folder itself.`);
  }
}

/** A file that SQLite can't read at all is no better than one whose check fails. */
function asDamage(error: unknown): unknown {
  const { code, message } = error as { code?: unknown; message: string };
  const isDamaged = code === 'SQLITE_CORRUPT' || code === 'SQLITE_NOTADB' || code === 'SQLITE_ERROR';
  return isDamaged ? new CountersignError('backup-invalid', `The backup is damaged: ${message}.`) : error;
}

/** What SQLite reads together with a database of this name: an old journal would be played into a new one. */
function journalsOf(folder: string, andDatabase = false): string[] {
  if (!existsSync(folder)) return [];
  const pattern = andDatabase
    ? /^countersign\.db(-wal|-shm|-journal)?$/
    : /^countersign\.db-(wal|shm|journal)$/;
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .map((name) => join(folder, name));
}

/**
 * Only who has a database to himself may take it out of WAL mode: while a gateway or a command has it open, SQLite
 * refuses. The lock is held until the file is replaced. @returns undefined where it is too damaged to be locked.
 */
function holdAlone(folder: string): Database | undefined {
  const database = openFile(databaseFile(folder));
  try {
    database.pragma('locking_mode = EXCLUSIVE');
    database.pragma('journal_mode = DELETE');
    database.exec('BEGIN EXCLUSIVE; COMMIT');
    return database;
  } catch (error) {
    database.close();
    const { code } = error as { code?: string };
    if (code === 'SQLITE_CORRUPT' || code === 'SQLITE_NOTADB') return undefined;
    if (!code?.startsWith('SQLITE_BUSY')) throw failure(`The database in ${folder} can't be replaced`, error);
    throw new CountersignError(
      'store-in-use',
      `The database in ${folder} is open: stop the gateway, and wait for commands that run. Nothing was changed.`,
    );
  }
}

/**
 * Who opened the old file while it was held gets its lock as soon as it is closed, and would write where nobody ever
 * reads. So the file, which has no name any more, becomes one of a later version, which every start refuses.
 */
function retire(held: Database): void {
  // In memory, since a journal's name would be that of the new database.
  held.pragma('journal_mode = MEMORY');
  held.pragma(`user_version = ${0x7fffffff}`);
}

/** Fails where another start has made a database in the meantime. */
function takeFreeName(draft: string, folder: string): void {
  try {
    linkSync(draft, databaseFile(folder));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new CountersignError('store-in-use', `A gateway was started in ${folder}. Stop it, and try again.`);
  }
}

/** The key that the folder will be opened with, tried on the copy. `master-key-wrong` */
function findMasterKey(
  { source, folder, givenKey: given }: RestoreOptions,
  copy: string,
): Restored['masterKey'] {
  const holds = (each: string) => existsSync(masterKeyFile(each));
  const files = holds(source) ? 'backup' : holds(folder) ? 'folder' : undefined;
  const place = given === undefined ? files : 'environment';
  if (place === undefined) return undefined;
  const from = place === 'backup' ? source : folder;
  const key = loadMasterKey({ folder: from, given, databaseExists: true });
  try {
    tryMasterKey(copy, key);
    return place;
  } catch (error) {
    if (!(error instanceof CountersignError)) throw error;
    const name = place === 'environment' ? 'of the environment' : `in ${masterKeyFile(from)}`;
    throw new CountersignError(
      'master-key-wrong',
      `The master key ${name} doesn't open this backup. Give the one of the backup's day. Nothing was changed.`,
      { cause: error },
    );
  }
}

/**
 * Where another key is in force, the backup's waits beside it, as it does when the master key is changed: a start takes
 * whichever opens the database that it finds. @returns where the other was put: it may be all that opens other
 * backups, so it is never lost.
 */
function takeMasterKey(source: string, folder: string, now: number): string | undefined {
  const place = masterKeyFile(folder);
  const text = readFileSync(masterKeyFile(source), 'utf8');
  if (!existsSync(place)) {
    const draft = `${place}.restoring`;
    rmSync(draft, { force: true });
    writeSynced(draft, text);
    giveToOwner(draft, folder);
    renameSync(draft, place);
    return undefined;
  }
  if (readFileSync(place, 'utf8') === text) return undefined;
  const replaced = `${place}.replaced-${now}`;
  linkSync(place, replaced);
  // Of a change of the master key that was cut off, and may be the one that was in force.
  const { next } = masterKeysOf(folder);
  if (next) writeSynced(`${replaced}.next`, `${next.toString('base64')}\n`);
  giveToOwner(putNextMasterKey(folder, Buffer.from(text.trim(), 'base64')), folder);
  return replaced;
}

function readMark(source: string): string | undefined {
  const mark = join(source, RESTORED_MARK);
  if (!existsSync(mark)) return undefined;
  const text = readFileSync(mark, 'utf8').trim();
  return /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text) ? text : undefined;
}

function replaceMark(folder: string, content: string): void {
  const mark = join(folder, RESTORED_MARK);
  rmSync(mark, { force: true });
  writeSynced(mark, `${content}\n`);
  giveToOwner(mark, folder);
}

/** The administrator restores for a service that runs as somebody else, who must be able to open the files. */
function giveToOwner(file: string, folder: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(folder);
  chownSync(file, uid, gid);
}
