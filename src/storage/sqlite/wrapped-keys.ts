/**
 * The data and audit keys, wrapped by the master key: opened at each start, made at the first, and wrapped anew when
 * the master key changes.
 *
 * A change must survive a kill at any point. The new key is written beside the old one first (`master.key.next`), then
 * the rows change in one commit, then the file takes its place. Whoever touches these files holds the write lock of
 * the database, so that the rows say at any time which of the two files is in force.
 * @module
 */
import { unwrapKeys, type WrappedKey, wrapKey, wrapNewKey } from '../../consumers/key-vault.ts';
import {
  adoptNextMasterKey,
  dropNextMasterKey,
  masterKeysOf,
  putNextMasterKey,
} from '../../consumers/master-key.ts';
import { CountersignError } from '../../errors.ts';
import { type Database, durably } from './database.ts';

type Keys = ReadonlyMap<number, Buffer>;

export interface OpenKeys {
  /** By version. */
  readonly dataKeys: Keys;
  readonly auditKeys: Keys;
}

/** How far a change of the master key has come. */
export type RekeyStep = 'written' | 'wrapped' | 'committed';

const TABLES = [
  { table: 'data_keys', purpose: 'data-key', neededBy: 'keys' },
  { table: 'audit_keys', purpose: 'audit-key', neededBy: 'audit' },
] as const;
type Table = (typeof TABLES)[number];

/** Whether a master key opens every key that a database holds, as each start asks. Changes nothing. */
export function unwrapsAll(database: Database, masterKey: Buffer): boolean {
  try {
    for (const each of TABLES) unwrapKeys(masterKey, each.purpose, rowsOf(database, each));
    return true;
  } catch (error) {
    if (error instanceof CountersignError && error.code === 'master-key-wrong') return false;
    throw error;
  }
}

function rowsOf(database: Database, { table }: Table): WrappedKey[] {
  return database.prepare(`SELECT version, wrapped FROM ${table}`).all() as WrappedKey[];
}

export class WrappedKeys {
  private readonly database: Database;
  private readonly folder: string;
  private readonly given: string | undefined;

  /** @param given the master key from the environment, in the place of the file. */
  constructor(database: Database, folder: string, given: string | undefined) {
    this.database = database;
    this.folder = folder;
    this.given = given;
  }

  /** @param read the master key, as it was read before the lock was taken. `master-key-wrong`: nothing was changed. */
  open(read: Buffer): OpenKeys {
    return this.locked(() => {
      const masterKey = this.inForce(read);
      for (const each of TABLES) if (this.rows(each).length === 0) this.make(each, masterKey);
      const [dataKeys, auditKeys] = TABLES.map((each) => this.unwrap(each, masterKey)) as [Keys, Keys];
      return { dataKeys, auditKeys };
    });
  }

  /** Wraps every key by another master key. Call inside a transaction, and `settle()` when it has ended. */
  rewrap(next: Buffer, onStep: (step: RekeyStep) => void): void {
    const current = this.inForce(this.read());
    if (next.equals(current)) {
      throw new CountersignError(
        'master-key-wrong',
        'This master key is in force already. Nothing was changed.',
      );
    }
    if (this.given === undefined) putNextMasterKey(this.folder, next);
    onStep('written');
    for (const each of TABLES) {
      const update = this.database.prepare(`UPDATE ${each.table} SET wrapped = ? WHERE version = ?`);
      for (const [version, key] of this.unwrap(each, current)) {
        update.run(wrapKey(next, each.purpose, version, key).wrapped, version);
      }
      this.unwrap(each, next);
    }
    onStep('wrapped');
  }

  /** Lets the file that waits follow the commit, or its failure. */
  settle(): void {
    this.locked(() => {
      const { next } = masterKeysOf(this.folder);
      if (!next) return;
      if (this.unwraps(next)) adoptNextMasterKey(this.folder);
      else dropNextMasterKey(this.folder);
    });
    // The rows are written over in their places, once they have left the journal: whoever has the old master key must
    // not find what it opens. Where somebody reads at this moment, that happens later.
    this.database.pragma('wal_checkpoint(TRUNCATE)');
  }

  private read(): Buffer {
    if (this.given !== undefined) return Buffer.from(this.given, 'base64');
    const { current } = masterKeysOf(this.folder);
    if (current) return current;
    throw new CountersignError('master-key-missing', 'The master key is gone. Nothing was changed.');
  }

  /** The master key that opens what stands here. Finishes a change that was cut off after its commit. */
  private inForce(read: Buffer): Buffer {
    if (this.given === undefined && !this.unwraps(read)) {
      // Another process may have changed it after it was read.
      const { current, next } = masterKeysOf(this.folder);
      if (current && this.unwraps(current)) return current;
      if (next && this.unwraps(next)) {
        adoptNextMasterKey(this.folder);
        return next;
      }
    }
    for (const each of TABLES) this.unwrap(each, read);
    return read;
  }

  private unwraps(masterKey: Buffer): boolean {
    return unwrapsAll(this.database, masterKey);
  }

  private unwrap(each: Table, masterKey: Buffer): Keys {
    return unwrapKeys(masterKey, each.purpose, this.rows(each));
  }

  private rows(each: Table): WrappedKey[] {
    return rowsOf(this.database, each);
  }

  /** Keys that were lost are not made anew beside what they are needed for: that would hide the loss. */
  private make({ table, purpose, neededBy }: Table, masterKey: Buffer): void {
    if (this.database.prepare(`SELECT 1 FROM ${neededBy} LIMIT 1`).get() !== undefined) {
      throw new CountersignError(
        'store-failed',
        `The table ${table} is empty, though there are rows in ${neededBy}: somebody has removed the keys. Restore a backup. Nothing was changed.`,
      );
    }
    const { version, wrapped } = wrapNewKey(masterKey, purpose, 1);
    this.database.prepare(`INSERT INTO ${table} (version, wrapped) VALUES (?, ?)`).run(version, wrapped);
  }

  private locked<T>(work: () => T): T {
    return durably(this.database, () => this.database.transaction(work).immediate());
  }
}
