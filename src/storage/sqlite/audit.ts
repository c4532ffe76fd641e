/**
 * The audit record in SQLite: appended under the write lock, so that the chain has one end for all processes.
 * @module
 */
import {
  type AuditEvent,
  type AuditFilter,
  type AuditHead,
  type AuditReader,
  type AuditRow,
  type AuditTrail,
  auditMac,
  CHAIN_START,
} from '../../audit/audit.ts';
import { type Clock, epochSeconds } from '../../clock.ts';
import type { Database, Statement } from './database.ts';

interface Row {
  readonly seq: number;
  readonly at: number;
  readonly key_version: number;
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly detail: string | null;
  readonly keyid: string | null;
  readonly request_id: string | null;
  readonly mac: Buffer;
}

const LAST = 'SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1';

export class SqliteAudit implements AuditTrail {
  private readonly last: Statement;
  private readonly insert: Statement;
  private readonly keyVersion: number;
  private readonly key: Buffer;
  private readonly clock: Clock;

  constructor(database: Database, keys: ReadonlyMap<number, Buffer>, clock: Clock) {
    this.last = database.prepare(LAST);
    this.insert = database.prepare(
      `INSERT INTO audit (seq, at, key_version, actor, action, subject, detail, keyid, request_id, mac)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.keyVersion = Math.max(...keys.keys());
    this.key = keys.get(this.keyVersion) as Buffer;
    this.clock = clock;
  }

  append({ detail, ...event }: AuditEvent): void {
    const before = this.last.get() as { seq: number; mac: Buffer } | undefined;
    const row = {
      ...event,
      ...(detail && { detail: JSON.stringify(detail) }),
      seq: (before?.seq ?? 0) + 1,
      at: epochSeconds(this.clock),
      keyVersion: this.keyVersion,
    };
    const { seq, at, keyVersion, actor, action, subject, keyid = null, requestId = null } = row;
    const mac = auditMac(this.key, before?.mac ?? CHAIN_START, row);
    this.insert.run(seq, at, keyVersion, actor, action, subject, row.detail ?? null, keyid, requestId, mac);
  }
}

export class SqliteAuditReader implements AuditReader {
  private readonly last: Statement;
  private readonly select: Statement;

  constructor(database: Database) {
    this.last = database.prepare(LAST);
    this.select = database.prepare(
      `SELECT * FROM audit WHERE seq > ? AND at >= ? AND (? IS NULL OR keyid = ?) ORDER BY seq`,
    );
  }

  head(): AuditHead {
    const last = this.last.get() as { seq: number; mac: Buffer } | undefined;
    return { seq: last?.seq ?? 0, mac: last?.mac.toString('base64') ?? '' };
  }

  *rows({ after = 0, since = 0, keyid }: AuditFilter = {}): Iterable<AuditRow> {
    const filter = keyid ?? null;
    for (const row of this.select.iterate(after, since, filter, filter) as IterableIterator<Row>)
      yield readRow(row);
  }
}

function readRow({ key_version: keyVersion, detail, keyid, request_id: requestId, ...row }: Row): AuditRow {
  return {
    ...row,
    keyVersion,
    ...(detail !== null && { detail }),
    ...(keyid !== null && { keyid }),
    ...(requestId !== null && { requestId }),
  };
}
