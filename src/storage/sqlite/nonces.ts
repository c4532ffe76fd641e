/**
 * Nonces in SQLite: the verdicts of one turn, given under the write lock and appended as one row.
 *
 * Every process holds the whole window in memory. Under the lock it first reads the rows that others appended, so
 * its memory is exact when it judges. Measured: 11.8 µs a turn, where a unique index costs 14 to 20 µs a nonce.
 * @module
 */

import { ENTRY_BYTES, encodeNonce, NonceWindow } from '../../replay/nonce-window.ts';
import type { Nonce, NonceVerdict } from '../../replay/nonces.ts';
import type { Database, Statement } from './database.ts';
import { Meta } from './meta.ts';

/** Rows deleted in one commit, so that no purge holds the lock for long. */
const PURGE_ROWS = 2000;

interface NonceRow {
  readonly id: number;
  readonly entries: Buffer;
}

export class SqliteNonces {
  private readonly window = new NonceWindow();
  private readonly meta: Meta;
  private readonly selectNew: Statement;
  private readonly insert: Statement;
  private readonly selectOld: Statement;
  private readonly selectNewestOld: Statement;
  private readonly deleteRow: Statement;
  private lastRow = 0;
  private horizon = 0;
  /** What this turn claimed, in stored form. Taken back where the commit fails. */
  private turn = Buffer.alloc(64 * ENTRY_BYTES);
  private used = 0;
  private latest = 0;
  fence = 0;

  constructor(database: Database) {
    this.meta = new Meta(database);
    this.selectNew = database.prepare('SELECT id, entries FROM nonces WHERE id > ? ORDER BY id');
    this.insert = database.prepare('INSERT INTO nonces (id, expires, entries) VALUES (?, ?, ?)');
    // The newest row stays, so that ids never start anew and no process misses a row.
    this.selectOld = database.prepare(
      'SELECT id FROM nonces WHERE expires <= ? AND id < (SELECT max(id) FROM nonces) ORDER BY expires LIMIT ?',
    );
    this.selectNewestOld = database
      .prepare(
        'SELECT expires FROM nonces WHERE expires <= ? AND id < (SELECT max(id) FROM nonces) ORDER BY expires DESC LIMIT 1',
      )
      .pluck();
    this.deleteRow = database.prepare('DELETE FROM nonces WHERE id = ?');
  }

  get size(): number {
    return this.window.size;
  }

  /** Reads what other processes committed. Call inside a transaction, before the turn's verdicts. */
  follow(): void {
    for (const row of this.selectNew.iterate(this.lastRow) as IterableIterator<NonceRow>) {
      for (let at = 0; at < row.entries.length; at += ENTRY_BYTES) this.window.add(row.entries, at);
      this.lastRow = row.id;
    }
    this.forget(this.meta.number('nonce-horizon'));
  }

  /** Takes over a horizon that is stored durably. */
  forget(horizon: number): void {
    this.horizon = Math.max(this.horizon, horizon);
    this.window.forget(this.horizon);
  }

  /** Judges one nonce. Call between `follow` and `append`, under the write lock. */
  claim(nonce: Nonce): NonceVerdict {
    if (nonce.expires <= this.horizon || nonce.created <= this.fence) return 'expired';
    if (this.used === this.turn.length) this.turn = Buffer.concat([this.turn], this.turn.length * 2);
    encodeNonce(nonce, this.turn, this.used);
    if (!this.window.add(this.turn, this.used)) return 'replayed';
    this.used += ENTRY_BYTES;
    this.latest = Math.max(this.latest, nonce.expires);
    return 'claimed';
  }

  /** Writes the turn's row, inside the transaction. */
  append(): void {
    if (this.used > 0) this.insert.run(this.lastRow + 1, this.latest, this.turn.subarray(0, this.used));
  }

  /** The transaction was committed. */
  committed(): void {
    if (this.used > 0) this.lastRow++;
    this.used = 0;
    this.latest = 0;
  }

  /** The transaction was rolled back: its nonces were never used. */
  rolledBack(): void {
    for (let at = 0; at < this.used; at += ENTRY_BYTES) this.window.delete(this.turn, at);
    this.used = 0;
    this.latest = 0;
  }

  /**
   * First half of a purge, durable before the second: moves the horizon up to the newest expiry among the rows that
   * may go, and no further, so that a clock that jumped ahead for a moment refuses no more than it must.
   * @param limit from `forgettable()`.
   * @returns the horizon, which never moves back.
   */
  raiseHorizon(limit: number): number {
    const newest = this.selectNewestOld.get(limit) as number | undefined;
    const horizon = Math.max(this.meta.number('nonce-horizon'), newest ?? 0);
    this.meta.set('nonce-horizon', horizon);
    return horizon;
  }

  /** Second half. @returns how many rows went. */
  deleteBehind(horizon: number): number {
    const rows = this.selectOld.all(horizon, PURGE_ROWS) as { id: number }[];
    for (const { id } of rows) this.deleteRow.run(id);
    return rows.length;
  }
}
