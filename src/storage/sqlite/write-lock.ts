/**
 * The lock that a turn begins with. Where another process holds it, SQLite's wait stalls the event loop, and so all that
 * asks nothing of the store: after one that was in vain, the next turns fail at once where the lock isn't free yet.
 * @module
 */
import type { Database, Statement } from './database.ts';

/** Milliseconds after a wait in vain in which no turn waits. */
const IMPATIENCE = 1000;

export class WriteLock {
  private readonly database: Database;
  private readonly begin: Statement;
  private impatientUntil = 0;

  constructor(database: Database) {
    this.database = database;
    this.begin = database.prepare('BEGIN IMMEDIATE');
  }

  /** Begins a transaction that may write. Throws what SQLite does. */
  take(): void {
    if (performance.now() >= this.impatientUntil) this.wait();
    else this.tryOnce();
    this.impatientUntil = 0;
  }

  private wait(): void {
    try {
      this.begin.run();
    } catch (error) {
      if (String((error as { code?: unknown }).code).startsWith('SQLITE_BUSY')) {
        this.impatientUntil = performance.now() + IMPATIENCE;
      }
      throw error;
    }
  }

  private tryOnce(): void {
    const wait = this.database.pragma('busy_timeout', { simple: true });
    this.database.pragma('busy_timeout = 0');
    try {
      this.begin.run();
    } finally {
      this.database.pragma(`busy_timeout = ${wait}`);
    }
  }
}
