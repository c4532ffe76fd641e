/**
 * Documents of a host program's endpoints, in SQLite.
 * @module
 */
import { type Documents, documentText, type Json } from '../../idempotency/state.ts';
import type { Database, Statement } from './database.ts';

export class SqliteDocuments implements Documents {
  private readonly select: Statement;
  private readonly upsert: Statement;
  private readonly remove: Statement;

  constructor(database: Database) {
    this.select = database.prepare('SELECT value FROM state WHERE collection = ? AND id = ?').pluck();
    this.upsert = database.prepare(
      `INSERT INTO state (collection, id, value) VALUES (?, ?, ?)
       ON CONFLICT (collection, id) DO UPDATE SET value = excluded.value`,
    );
    this.remove = database.prepare('DELETE FROM state WHERE collection = ? AND id = ?');
  }

  get(collection: string, id: string): Json | undefined {
    const text = this.select.get(collection, id) as string | undefined;
    return text === undefined ? undefined : (JSON.parse(text) as Json);
  }

  put(collection: string, id: string, value: Json): void {
    this.upsert.run(collection, id, documentText(value));
  }

  delete(collection: string, id: string): void {
    this.remove.run(collection, id);
  }
}
