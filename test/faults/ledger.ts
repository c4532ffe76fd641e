/**
 * What the database holds of the effects, read from the file while no gateway runs on it.
 * @module
 */
import { verifyChain } from '../../src/audit/chain.ts';
import { systemClock } from '../../src/clock.ts';
import { databaseFile, inspect, openFile } from '../../src/storage/sqlite/database.ts';
import { SqliteStore } from '../../src/storage/sqlite/store.ts';
import type { Entry } from './effects.ts';

export interface Ledger {
  /** By their `op`. */
  readonly entries: ReadonlyMap<string, Entry>;
  readonly counters: ReadonlyMap<string, number>;
  readonly accounts: ReadonlyMap<string, number>;
  /** How many audit rows each `op` has. */
  readonly audited: ReadonlyMap<string, number>;
  /** What is wrong with the file, or with the chain of the audit record. */
  readonly damage: readonly string[];
}

export function readLedger(folder: string): Ledger {
  const damage: string[] = [];
  // As the next start would: it recovers what the last process left in the journal.
  const store = new SqliteStore({ folder, clock: systemClock, skew: 30, masterKey: undefined });
  const { fault } = verifyChain(store.audit.links(), store.auditKeys);
  if (fault) damage.push(`row ${fault.seq} of the audit record: ${fault.why}`);
  store.close();
  const database = openFile(databaseFile(folder));
  try {
    damage.push(...inspect(database).damage);
    const select = database.prepare('SELECT id, value FROM state WHERE collection = ?');
    const collection = <T>(name: string) =>
      new Map(
        (select.all(name) as { id: string; value: string }[]).map(({ id, value }): [string, T] => [
          id,
          JSON.parse(value) as T,
        ]),
      );
    const audited = database
      .prepare(
        "SELECT subject, count(*) AS rows FROM audit WHERE action IN ('counter.raise', 'transfer.make') GROUP BY subject",
      )
      .all() as { subject: string; rows: number }[];
    return {
      entries: collection<Entry>('entries'),
      counters: collection<number>('counters'),
      accounts: collection<number>('accounts'),
      audited: new Map(audited.map(({ subject, rows }) => [subject, rows])),
      damage,
    };
  } finally {
    database.close();
  }
}
