/**
 * The audit record in SQLite: appended under the write lock, so that the chain has one end for all processes.
 * @module
 */
import type {
  AuditEvent,
  AuditFilter,
  AuditHead,
  AuditReader,
  AuditRow,
  AuditTrail,
  ChainLink,
} from '../../audit/audit.ts';
import { linkContent, linkMac, type StoredValue } from '../../audit/chain.ts';
import { type Clock, epochSeconds } from '../../clock.ts';
import { CountersignError } from '../../errors.ts';
import type { Database, Statement } from './database.ts';

/** What the MAC is over, in this order. */
const COLUMNS = [
  'seq',
  'at',
  'key_version',
  'actor',
  'action',
  'subject',
  'detail',
  'keyid',
  'request_id',
] as const;
const NO_BYTES = Buffer.alloc(0);
const LAST = 'SELECT seq, mac FROM audit ORDER BY seq DESC LIMIT 1';
/** Rows read at once: whoever reads them slowly holds no snapshot, which would keep the journal growing. */
const PAGE = 500;

export class SqliteAudit implements AuditTrail {
  private readonly last: Statement;
  private readonly insert: Statement;
  private readonly keyVersion: number;
  private readonly key: Buffer;
  private readonly clock: Clock;

  constructor(database: Database, keys: ReadonlyMap<number, Buffer>, clock: Clock) {
    this.last = database.prepare(LAST);
    this.insert = database.prepare(
      `INSERT INTO audit (${COLUMNS.join(', ')}, mac) VALUES (${COLUMNS.map(() => '?').join(', ')}, ?)`,
    );
    this.keyVersion = Math.max(...keys.keys());
    this.key = keys.get(this.keyVersion) as Buffer;
    this.clock = clock;
  }

  append({ actor, action, subject, detail, keyid, requestId }: AuditEvent): void {
    const before = this.last.get() as { seq: number; mac: Buffer } | undefined;
    const values = [
      (before?.seq ?? 0) + 1,
      epochSeconds(this.clock),
      this.keyVersion,
      actor,
      action,
      subject,
      detail === undefined ? null : JSON.stringify(detail),
      keyid ?? null,
      requestId ?? null,
    ];
    const mac = linkMac(this.key, before?.mac, linkContent(values.map(asStored)));
    const { changes } = this.insert.run(...values, mac);
    // A trigger that somebody put into the file could swallow it.
    if (changes !== 1) throw new CountersignError('store-failed', 'The audit record takes no rows.');
  }
}

/** As `typeof()` and a cast to BLOB say of a value once it is stored. */
function asStored(value: string | number | null): StoredValue {
  if (value === null) return ['null', NO_BYTES];
  return typeof value === 'number' ? ['integer', String(value)] : ['text', value];
}

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

/** Type and bytes of each column in turn, since reading a value could make two different ones the same. */
const SELECT_LINKS = `SELECT seq, key_version, typeof(mac), CAST(mac AS BLOB),
  ${COLUMNS.map((column) => `typeof(${column}), CAST(${column} AS BLOB)`).join(', ')}
  FROM audit WHERE seq > ? ORDER BY seq LIMIT ${PAGE}`;
type LinkRow = [seq: number, keyVersion: number, macType: string, mac: Buffer, ...columns: unknown[]];

export class SqliteAuditReader implements AuditReader {
  private readonly database: Database;
  private readonly last: Statement;
  private readonly selectLinks: Statement;

  constructor(database: Database) {
    this.database = database;
    this.last = database.prepare(LAST);
    this.selectLinks = database.prepare(SELECT_LINKS).raw();
  }

  head(): AuditHead {
    const last = this.last.get() as { seq: number; mac: Buffer } | undefined;
    return { seq: last?.seq ?? 0, mac: last?.mac.toString('base64') ?? '' };
  }

  *rows(filter: AuditFilter = {}): Iterable<AuditRow> {
    const { where, given } = conditions(filter);
    const select = this.database.prepare(`SELECT * FROM audit ${where} ORDER BY seq LIMIT ${PAGE}`);
    let after = filter.after ?? 0;
    if (filter.newest !== undefined) {
      if (filter.newest < 1) return;
      const oldest = this.database
        .prepare(`SELECT seq FROM audit ${where} ORDER BY seq DESC LIMIT 1 OFFSET ?`)
        .pluck();
      after = Math.max(
        after,
        ((oldest.get(after, ...given, filter.newest - 1) as number | undefined) ?? 0) - 1,
      );
    }
    for (;;) {
      const page = reading(() => select.all(after, ...given)) as Row[];
      for (const row of page) yield readRow(row);
      if (page.length < PAGE) return;
      after = (page.at(-1) as Row).seq;
    }
  }

  *links(after = Number.MIN_SAFE_INTEGER): Iterable<ChainLink> {
    for (let last = after; ; ) {
      const page = reading(() => this.selectLinks.all(last)) as LinkRow[];
      for (const row of page) yield readLink(row);
      if (page.length < PAGE) return;
      last = (page.at(-1) as LinkRow)[0];
    }
  }

  /** What SQLite's own check finds wrong with the table and its index; empty where all is well. */
  damage(): readonly string[] {
    const found = reading(() => this.database.pragma('integrity_check(audit)', { simple: false }));
    return (found as { integrity_check: string }[])
      .map((each) => each.integrity_check)
      .filter((line) => line !== 'ok');
  }
}

/** Only what is asked for, so that the indexes are used for a keyid and for whom it is about. */
function conditions({ keyid, since, about }: AuditFilter): { where: string; given: (string | number)[] } {
  const terms = ['seq > ?'];
  const given: (string | number)[] = [];
  if (keyid !== undefined) {
    terms.push('keyid = ?');
    given.push(keyid);
  }
  if (since !== undefined) {
    terms.push('at >= ?');
    given.push(since);
  }
  if (about !== undefined) {
    const list = about.map(() => '?').join(', ');
    terms.push(`(actor IN (${list}) OR subject IN (${list}))`);
    given.push(...about, ...about);
  }
  return { where: `WHERE ${terms.join(' AND ')}`, given };
}

/** Pages of the file that were changed may make no sense to SQLite any more. */
function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new CountersignError(
      'store-failed',
      `The audit record can't be read: ${(error as Error).message}.`,
      {
        cause: error,
      },
    );
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

function readLink([seq, keyVersion, macType, mac, ...columns]: LinkRow): ChainLink {
  const values = COLUMNS.map(
    (_column, i): StoredValue => [
      columns[2 * i] as string,
      (columns[2 * i + 1] as Buffer | null) ?? NO_BYTES,
    ],
  );
  return { seq, keyVersion, content: linkContent(values), mac: macType === 'blob' ? mac : NO_BYTES };
}
