/**
 * Uses of quotas in SQLite: read under the turn's write lock, so that they are exact for any number of processes, and
 * written once a turn, outside the savepoints of its work.
 * @module
 */
import type { Clock } from '../../clock.ts';
import {
  endOf,
  type Quota,
  type QuotaCharges,
  type QuotaUse,
  type QuotaVerdict,
  standingOf,
  usedBy,
  waitOf,
  withOneMore,
} from '../../limits/quotas.ts';
import type { Database, Statement } from './database.ts';

/** Rows deleted in one commit. */
const PURGE_ROWS = 1000;

const SELECT = 'SELECT since, used FROM quota_uses WHERE counter = ?';

export class SqliteQuotas implements QuotaCharges {
  private readonly clock: Clock;
  private readonly select: Statement;
  private readonly upsert: Statement;
  private readonly deleteSubject: Statement;
  private readonly deleteOld: Statement;
  /** What this turn charged, not yet written. */
  private readonly turn = new Map<string, { readonly use: QuotaUse; readonly ends: number }>();

  constructor(database: Database, clock: Clock) {
    this.clock = clock;
    this.select = database.prepare(SELECT);
    this.upsert = database.prepare(
      `INSERT INTO quota_uses (counter, since, used, ends) VALUES (?, ?, ?, ?)
       ON CONFLICT (counter) DO UPDATE SET since = excluded.since, used = excluded.used, ends = excluded.ends`,
    );
    this.deleteSubject = database.prepare('DELETE FROM quota_uses WHERE instr(counter, ?) > 0');
    this.deleteOld = database.prepare(
      'DELETE FROM quota_uses WHERE counter IN (SELECT counter FROM quota_uses WHERE ends <= ? LIMIT ?)',
    );
  }

  /** Call inside a transaction that holds the write lock. */
  charge(quotas: readonly Quota[]): QuotaVerdict {
    const now = Math.floor(this.clock.now());
    const stored = quotas.map(({ counter }) => this.find(counter));
    const uses = quotas.map((quota, i) => usedBy(quota, stored[i], now));
    const charged = quotas.map((quota, i) => withOneMore(quota, uses[i] as QuotaUse));
    const isAllowed = !charged.includes(undefined);
    const standings = quotas.map((quota, i) => {
      const use = ((isAllowed && charged[i]) || uses[i]) as QuotaUse;
      // A refusal is counted nowhere. But where the clock was set back, the wait is to begin now, and to end.
      if (isAllowed || use.since < (stored[i]?.since ?? 0)) {
        this.turn.set(quota.counter, { use, ends: endOf(quota, use) });
      }
      return standingOf(quota, use, now);
    });
    return { wait: isAllowed ? 0 : waitOf(standings), standings };
  }

  forget(subject: string): void {
    const part = ` ${subject}`;
    this.deleteSubject.run(part);
    for (const counter of this.turn.keys()) if (counter.includes(part)) this.turn.delete(counter);
  }

  /** Writes what the turn charged, inside the transaction. */
  append(): void {
    for (const [counter, { use, ends }] of this.turn) {
      this.upsert.run(counter, use.since, use.used, Math.ceil(ends));
    }
  }

  /** The transaction was committed, or rolled back. */
  ended(): void {
    this.turn.clear();
  }

  /** Forgets counters that are as good as new. @returns how many went. */
  purge(): number {
    return this.deleteOld.run(Math.floor(this.clock.now()), PURGE_ROWS).changes;
  }

  private find(counter: string): QuotaUse | undefined {
    return this.turn.get(counter)?.use ?? (this.select.get(counter) as QuotaUse | undefined);
  }
}

/** Looks at what is committed. */
export class SqliteQuotaReader {
  private readonly clock: Clock;
  private readonly select: Statement;

  constructor(database: Database, clock: Clock) {
    this.clock = clock;
    this.select = database.prepare(SELECT);
  }

  look(quotas: readonly Quota[]): QuotaVerdict {
    const now = Math.floor(this.clock.now());
    const standings = quotas.map((quota) => {
      const use = this.select.get(quota.counter) as QuotaUse | undefined;
      return standingOf(quota, usedBy(quota, use, now), now);
    });
    return { wait: waitOf(standings), standings };
  }
}
