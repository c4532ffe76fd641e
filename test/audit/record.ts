/**
 * An audit record with rows of every shape, and a hand that writes into its file as nobody should.
 * @module
 */
import Sqlite from 'better-sqlite3';
import { onTestFinished } from 'vitest';
import type { AuditEvent, AuditHead } from '../../src/audit/audit.ts';
import { type ChainReport, verifyChain } from '../../src/audit/chain.ts';
import { loadMasterKey } from '../../src/consumers/master-key.ts';
import { AuditFile } from '../../src/storage/sqlite/audit-file.ts';
import { databaseFile } from '../../src/storage/sqlite/database.ts';
import { SqliteStore } from '../../src/storage/sqlite/store.ts';
import { dataFolder } from '../storage/data-folder.ts';
import { ManualClock } from '../storage/manual-clock.ts';

/** Events with and without what may be left out, and with text that isn't ASCII. */
export function someEvents(count: number): AuditEvent[] {
  return Array.from({ length: count }, (_, i) => ({
    actor: i % 4 === 0 ? 'cli' : `c0ffee${i}`,
    action: i % 2 ? 'call.refused' : 'consumer.add',
    subject: i % 5 === 0 ? 'café ☕ \u0000 \ufffd' : `shop-${i}`,
    ...(i % 3 !== 0 && { keyid: `shop.${i % 7}` }),
    ...(i % 3 !== 1 && { requestId: `r-${i}` }),
    ...(i % 2 && { detail: { code: 'nonce-replayed', n: i } }),
  }));
}

export interface Record {
  readonly folder: string;
  readonly clock: ManualClock;
  /** Each event in a commit of its own, a second after the one before. */
  append(events: readonly AuditEvent[]): Promise<void>;
  head(): AuditHead;
  /** Closes the store, so that the file can be written by others. */
  close(): void;
}

export function makeRecord(folder = dataFolder()): Record {
  const clock = new ManualClock();
  const store = new SqliteStore({ folder, clock, skew: 30, masterKey: undefined });
  let isOpen = true;
  const close = () => {
    if (isOpen) store.close();
    isOpen = false;
  };
  onTestFinished(close);
  return {
    folder,
    clock,
    async append(events) {
      for (const event of events) {
        await store.commitGroup.run('append', (tx) => tx.audit.append(event));
        clock.seconds++;
      }
    },
    head: () => store.audit.head(),
    close,
  };
}

/** As `countersign audit verify` does. */
export function verify(folder: string, heads: readonly AuditHead[] = []): ChainReport {
  const file = new AuditFile(folder);
  try {
    const masterKey = loadMasterKey({ folder, given: undefined, databaseExists: true });
    return verifyChain(file.audit.links(), file.keys(masterKey), heads);
  } finally {
    file.close();
  }
}

/** Opens the file as an attacker does, who knows SQL and holds no key. */
export function attack<T>(folder: string, work: (database: Sqlite.Database) => T): T {
  const database = new Sqlite(databaseFile(folder));
  try {
    return work(database);
  } finally {
    database.close();
  }
}
