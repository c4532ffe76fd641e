/**
 * The file `countersign.db`: opening it, its settings and its schema. The only place that imports better-sqlite3.
 * @module
 */
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { CountersignError } from '../../errors.ts';
import { migrations } from './migrations.ts';

export type Database = Sqlite.Database;
export type Statement = Sqlite.Statement;

/** How long a lock held by another process is waited for: the wait stalls the event loop, so it is short. */
const LOCK_WAIT_MS = 250;
/** Bytes of a database that is inspected in memory. */
const MOST_COPIED = 1024 * 1024 * 1024;

/** The same at a start, where another start may be making the schema. */
const START_WAIT_MS = 5000;

export function databaseFile(folder: string): string {
  return join(folder, 'countersign.db');
}

export function databaseExists(folder: string): boolean {
  return existsSync(databaseFile(folder));
}

export interface Connections {
  /** Writes, and reads of what its own transaction wrote. */
  readonly writer: Database;
  /** Reads of what is committed, also while a transaction of the writer is open. */
  readonly reader: Database;
}

/**
 * Opens the database, made and migrated where need be; folder and file are for their owner alone. Both connections
 * wait for locks as a start does, until `limitLockWait()`.
 */
export function openDatabase(folder: string, startWaitMs = START_WAIT_MS): Connections {
  makeFolder(folder);
  const file = databaseFile(folder);
  // Made by us first, since SQLite gives its journals the permissions of this file.
  closeSync(openSync(file, 'a', 0o600));
  const opened: Database[] = [];
  const connect = (): Database => {
    const database = new Sqlite(file, { timeout: startWaitMs });
    opened.push(database);
    // Before any setting, since WAL mode is written into the file.
    refuseNewer(database);
    enterWalMode(database, startWaitMs);
    database.pragma('synchronous = NORMAL');
    database.pragma('foreign_keys = ON');
    database.pragma('trusted_schema = OFF');
    return database;
  };
  try {
    const writer = connect();
    // Free of cost for nonces (measured: 26 µs a turn with it, 27 without; 1.5 and 1.7 a purged row).
    writer.pragma('secure_delete = ON');
    migrate(writer);
    const reader = connect();
    reader.pragma('query_only = ON');
    return { writer, reader };
  } catch (error) {
    for (const database of opened) database.close();
    throw openFailure(folder, error);
  }
}

/** `store-failed` for whatever went wrong, unless it has a code of its own. */
export function openFailure(folder: string, error: unknown): CountersignError {
  if (error instanceof CountersignError) return error;
  // The 13 places where it was looked for would hide what to do.
  if ((error as Error).message.startsWith('Could not locate the bindings file')) return notCompiled(error);
  return new CountersignError(
    'store-failed',
    `The database ${databaseFile(folder)} can't be opened: ${(error as Error).message}.`,
    { cause: error },
  );
}

function notCompiled(cause: unknown): CountersignError {
  const detail =
    'SQLite was not compiled when the packages were installed. Run npm rebuild better-sqlite3, with a C++ compiler; npm says if it wants the install script of better-sqlite3 approved first (npm install-scripts approve better-sqlite3).';
  return new CountersignError('store-failed', detail, { cause });
}

/** From the start's patience to that of a process which serves. */
export function limitLockWait({ writer, reader }: Connections, lockWaitMs = LOCK_WAIT_MS): void {
  for (const database of [writer, reader]) database.pragma(`busy_timeout = ${lockWaitMs}`);
}

/** Writes the journal into the file and empties it. @returns false where somebody still reads from it. */
export function truncateJournal(database: Database): boolean {
  const [{ busy }] = database.pragma('wal_checkpoint(TRUNCATE)') as [{ busy: number }];
  return busy === 0;
}

/** Commits of the work outlast a power loss. */
export function durably<T>(database: Database, work: () => T): T {
  database.pragma('synchronous = FULL');
  try {
    return work();
  } finally {
    database.pragma('synchronous = NORMAL');
  }
}

export function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
}

/**
 * Two starts that make the file at once would each wait for the other, so SQLite refuses one of them at once, without
 * its usual wait (measured: 40 of 200 raced first starts). That one tries again, and finds the file in WAL mode.
 */
function enterWalMode(database: Database, waitMs: number): void {
  const deadline = performance.now() + waitMs;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    try {
      database.pragma('journal_mode = WAL');
      return;
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'SQLITE_BUSY' || performance.now() > deadline) throw error;
      Atomics.wait(pause, 0, 0, 5);
    }
  }
}

/** `store-newer` where a newer version made the schema. @returns the schema's version. */
function refuseNewer(database: Database): number {
  const version = database.pragma('user_version', { simple: true }) as number;
  if (version > migrations.length) {
    throw new CountersignError(
      'store-newer',
      `The database has schema version ${version}; this program knows ${migrations.length}. Run the newer version. Nothing was changed.`,
    );
  }
  return version;
}

/** Brings the schema forward in one transaction. */
function migrate(database: Database): void {
  const upgrade = database.transaction(() => {
    const version = refuseNewer(database);
    for (const migration of migrations.slice(version)) database.exec(migration);
    if (version < migrations.length) database.pragma(`user_version = ${migrations.length}`);
  });
  database.pragma('synchronous = FULL');
  upgrade.immediate();
  database.pragma('synchronous = NORMAL');
}

export interface Inspection {
  readonly schemaVersion: number;
  readonly newestSchemaVersion: number;
  /** What SQLite's own check finds wrong; empty where all is well. */
  readonly damage: readonly string[];
  /** Epoch seconds; 0 where there is none. */
  readonly nonceHorizon: number;
}

/** Looks at a database without changing anything. */
export function inspectDatabase(folder: string): Inspection {
  const database = openUnchanged(databaseFile(folder));
  try {
    return inspect(database);
  } finally {
    database.close();
  }
}

/** The same for one that is open. */
export function inspect(database: Database): Inspection {
  const found = database.prepare('PRAGMA quick_check').pluck().all() as string[];
  const horizon = database.prepare("SELECT value FROM meta WHERE name = 'nonce-horizon'").pluck().get();
  return {
    schemaVersion: database.pragma('user_version', { simple: true }) as number,
    newestSchemaVersion: migrations.length,
    damage: found.filter((line) => line !== 'ok'),
    nonceHorizon: (horizon as number | undefined) ?? 0,
  };
}

/** A reader of a database of this version, also while a gateway runs: nothing is made, migrated or recovered. */
export function openForReading(folder: string): Database {
  if (!databaseExists(folder)) {
    throw new CountersignError('store-failed', `There is no database in ${folder}.`);
  }
  let database: Database | undefined;
  try {
    database = openUnchanged(databaseFile(folder));
    if (refuseNewer(database) < migrations.length) {
      throw new CountersignError(
        'store-failed',
        'The database was made by an older version; start the gateway once, which brings it up to date.',
      );
    }
    return database;
  } catch (error) {
    database?.close();
    throw openFailure(folder, error);
  }
}

/** A file as it stands, whatever is in it: a backup, or a copy under way. Nothing is made or migrated. */
export function openFile(file: string, lockWaitMs = LOCK_WAIT_MS): Database {
  return new Sqlite(file, { fileMustExist: true, timeout: lockWaitMs });
}

/**
 * A reader of a file in WAL mode leaves a journal behind, which it may not remove. So where nobody has the database
 * open, a copy in memory is read.
 */
function openUnchanged(file: string): Database {
  const journal = `${file}-wal`;
  if (!existsSync(journal) && statSync(file).size <= MOST_COPIED) {
    const copy = readFileSync(file);
    // Out of WAL mode, which is for files alone (SQLite's file format, section 1.3.3).
    if (copy.length > 20) copy.fill(1, 18, 20);
    // A gateway that has just started may have written while the file was read.
    if (!existsSync(journal)) return new Sqlite(copy);
  }
  return new Sqlite(file, { readonly: true, timeout: LOCK_WAIT_MS });
}
