/**
 * The audit record for whoever only reads it: beside a gateway that may be running, and without its keys where they
 * aren't needed.
 * @module
 */

import { unwrapKeys, type WrappedKey } from '../../consumers/key-vault.ts';
import { CountersignError } from '../../errors.ts';
import { SqliteAuditReader } from './audit.ts';
import { type Database, openForReading } from './database.ts';

export class AuditFile {
  readonly audit: SqliteAuditReader;
  private readonly database: Database;

  /** `store-failed` where there is no database of this version, `store-newer`. */
  constructor(folder: string) {
    this.database = openForReading(folder);
    this.audit = new SqliteAuditReader(this.database);
  }

  /**
   * The audit keys by version; `master-key-wrong` where they don't open.
   * @param masterKey the one in force.
   * @param next one that a change which was cut off may have put in force already.
   */
  keys(masterKey: Buffer, next?: Buffer): ReadonlyMap<number, Buffer> {
    const wrapped = this.database.prepare('SELECT version, wrapped FROM audit_keys').all() as WrappedKey[];
    try {
      return unwrapKeys(masterKey, 'audit-key', wrapped);
    } catch (error) {
      if (!next || !(error instanceof CountersignError)) throw error;
      return unwrapKeys(next, 'audit-key', wrapped);
    }
  }

  close(): void {
    this.database.close();
  }
}
