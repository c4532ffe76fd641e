/**
 * Results of what was done, in SQLite.
 * @module
 */
import type { DoneRecord, DoneRecords } from '../../idempotency/records.ts';
import type { Database, Statement } from './database.ts';

/** Rows deleted in one commit. */
const PURGE_ROWS = 1000;

interface RecordRow {
  readonly fingerprint: string;
  readonly status: 'running' | 'done';
  readonly sealed_result: Buffer | null;
  readonly kept_until: number;
}

export class SqliteRecords implements DoneRecords {
  private readonly select: Statement;
  private readonly upsert: Statement;
  private readonly delete: Statement;
  private readonly deleteOld: Statement;

  constructor(database: Database) {
    this.select = database.prepare(
      'SELECT fingerprint, status, sealed_result, kept_until FROM records WHERE id = ?',
    );
    this.upsert = database.prepare(
      `INSERT INTO records (id, fingerprint, status, sealed_result, kept_until) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status,
         sealed_result = excluded.sealed_result, kept_until = excluded.kept_until`,
    );
    this.delete = database.prepare('DELETE FROM records WHERE id = ?');
    this.deleteOld = database.prepare(
      'DELETE FROM records WHERE id IN (SELECT id FROM records WHERE kept_until <= ? LIMIT ?)',
    );
  }

  find(id: string): DoneRecord | undefined {
    const row = this.select.get(id) as RecordRow | undefined;
    if (!row) return undefined;
    const { fingerprint, status, sealed_result: sealedResult, kept_until: keptUntil } = row;
    return { fingerprint, status, keptUntil, ...(sealedResult && { sealedResult }) };
  }

  put(id: string, { fingerprint, status, sealedResult, keptUntil }: DoneRecord): void {
    this.upsert.run(id, fingerprint, status, sealedResult ?? null, keptUntil);
  }

  remove(id: string): void {
    this.delete.run(id);
  }

  /** @returns how many went. */
  purge(now: number): number {
    return this.deleteOld.run(now, PURGE_ROWS).changes;
  }
}
