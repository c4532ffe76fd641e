/**
 * Denied client certificates in SQLite.
 * @module
 */
import type {
  DeniedCertificate,
  DeniedCertificateChanges,
  DeniedCertificateReader,
} from '../../consumers/denied-certificates.ts';
import type { Database, Statement } from './database.ts';

/** On a connection that only reads: what it sees as new is what others have committed. */
export class SqliteDeniedCertificateReader implements DeniedCertificateReader {
  private readonly select: Statement;
  private readonly selectAll: Statement;
  private readonly dataVersion: Statement;
  private seenVersion = -1;
  private seen: ReadonlySet<string> = new Set();

  constructor(reader: Database) {
    this.select = reader.prepare('SELECT 1 FROM denied_certificates WHERE serial = ?').pluck();
    this.selectAll = reader.prepare('SELECT serial FROM denied_certificates').pluck();
    this.dataVersion = reader.prepare('PRAGMA data_version').pluck();
  }

  has(serial: string): boolean {
    return this.select.get(serial) !== undefined;
  }

  all(): ReadonlySet<string> {
    const version = this.dataVersion.get() as number;
    if (version !== this.seenVersion) {
      this.seen = new Set(this.selectAll.all() as string[]);
      this.seenVersion = version;
    }
    return this.seen;
  }
}

/** Through the connection that holds the transaction. */
export class SqliteDeniedCertificates implements DeniedCertificateChanges {
  private readonly upsert: Statement;
  private readonly deleteOld: Statement;

  constructor(database: Database) {
    this.upsert = database.prepare(
      `INSERT INTO denied_certificates (serial, denied_at, kept_until) VALUES (?, ?, ?)
       ON CONFLICT (serial) DO UPDATE SET kept_until = max(kept_until, excluded.kept_until)`,
    );
    this.deleteOld = database.prepare('DELETE FROM denied_certificates WHERE kept_until <= ?');
  }

  deny({ serial, deniedAt, keptUntil }: DeniedCertificate): void {
    this.upsert.run(serial, deniedAt, keptUntil);
  }

  /** Forgets those that have ended by themselves. */
  purge(now: number): void {
    this.deleteOld.run(now);
  }
}
