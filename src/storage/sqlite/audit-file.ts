/**
 * The audit record for whoever only reads it: beside a gateway that may be running, and without its keys where they
 * aren't needed.
 * @module
 */
import { unwrapKeys, type WrappedKey } from '../../consumers/key-vault.ts';
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

  /** The audit keys by version; `master-key-wrong` where they don't open. */
  keys(masterKey: Buffer): ReadonlyMap<number, Buffer> {
    const wrapped = this.database.prepare('SELECT version, wrapped FROM audit_keys').all();
    return unwrapKeys(masterKey, 'audit-key', wrapped as WrappedKey[]);
  }

  close(): void {
    this.database.close();
  }
}
