/**
 * Results of what was done, in SQLite.
 * @module
 */
import type { DoneRecord, DoneRecordReader, DoneRecords } from '../../idempotency/records.ts';
import type { Database, Statement } from './database.ts';

/** Rows deleted in one commit. */
const PURGE_ROWS = 1000;

interface RecordRow {
  readonly fingerprint: string;
  readonly status: DoneRecord['status'];
  readonly owner: string | null;
  readonly sealed_result: Buffer | null;
  readonly begun_at: number;
  readonly ended_at: number | null;
  readonly runs_until: number | null;
  readonly actor: string | null;
  readonly subject: string | null;
  readonly kept_until: number;
}

const COLUMNS = [
  'fingerprint',
  'status',
  'owner',
  'sealed_result',
  'begun_at',
  'ended_at',
  'runs_until',
  'actor',
  'subject',
  'kept_until',
] as const;

export class SqliteRecordReader implements DoneRecordReader {
  private readonly select: Statement;
  private readonly countPerson: Statement;

  constructor(database: Database) {
    this.countPerson = database
      .prepare('SELECT count(*) FROM records WHERE actor = @person OR subject = @person')
      .pluck();
    this.select = database.prepare(`SELECT ${COLUMNS.join(', ')} FROM records WHERE id = ?`);
  }

  find(id: string): DoneRecord | undefined {
    const row = this.select.get(id) as RecordRow | undefined;
    if (!row) return undefined;
    const { fingerprint, status, begun_at: begunAt, kept_until: keptUntil } = row;
    return {
      fingerprint,
      status,
      begunAt,
      keptUntil,
      ...(row.owner !== null && { owner: row.owner }),
      ...(row.sealed_result !== null && { sealedResult: row.sealed_result }),
      ...(row.ended_at !== null && { endedAt: row.ended_at }),
      ...(row.runs_until !== null && { runsUntil: row.runs_until }),
      ...(row.actor !== null && { actor: row.actor }),
      ...(row.subject !== null && { subject: row.subject }),
    };
  }

  countOf(person: string): number {
    return this.countPerson.get({ person }) as number;
  }
}

export class SqliteRecords extends SqliteRecordReader implements DoneRecords {
  private readonly upsert: Statement;
  private readonly delete: Statement;
  private readonly deletePerson: Statement;
  private readonly deleteOld: Statement;

  constructor(database: Database) {
    super(database);
    this.upsert = database.prepare(
      `INSERT INTO records (id, ${COLUMNS.join(', ')}) VALUES (?, ${COLUMNS.map(() => '?').join(', ')})
       ON CONFLICT (id) DO UPDATE SET ${COLUMNS.map((column) => `${column} = excluded.${column}`).join(', ')}`,
    );
    this.delete = database.prepare('DELETE FROM records WHERE id = ?');
    this.deletePerson = database.prepare('DELETE FROM records WHERE actor = @person OR subject = @person');
    this.deleteOld = database.prepare(
      'DELETE FROM records WHERE id IN (SELECT id FROM records WHERE kept_until <= ? LIMIT ?)',
    );
  }

  put(id: string, record: DoneRecord): void {
    const {
      fingerprint,
      status,
      owner,
      sealedResult,
      begunAt,
      endedAt,
      runsUntil,
      actor,
      subject,
      keptUntil,
    } = record;
    this.upsert.run(
      id,
      fingerprint,
      status,
      owner ?? null,
      sealedResult ?? null,
      begunAt,
      endedAt ?? null,
      runsUntil ?? null,
      actor ?? null,
      subject ?? null,
      keptUntil,
    );
  }

  remove(id: string): void {
    this.delete.run(id);
  }

  forget(person: string): void {
    this.deletePerson.run({ person });
  }

  /** @returns how many went. */
  purge(now: number): number {
    return this.deleteOld.run(now, PURGE_ROWS).changes;
  }
}
