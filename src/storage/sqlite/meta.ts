/**
 * Single facts about the store, by name.
 * @module
 */
import type { Database, Statement } from './database.ts';

export type Fact = 'boot-id' | 'fence' | 'nonce-horizon' | 'demo-keyid' | 'public-demo-keyid';

export class Meta {
  private readonly select: Statement;
  private readonly upsert: Statement;

  constructor(database: Database) {
    this.select = database.prepare('SELECT value FROM meta WHERE name = ?').pluck();
    this.upsert = database.prepare(
      'INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
    );
  }

  text(name: Fact): string | undefined {
    return this.select.get(name) as string | undefined;
  }

  /** 0 where the fact was never stored. */
  number(name: Fact): number {
    return (this.select.get(name) as number | undefined) ?? 0;
  }

  set(name: Fact, value: string | number): void {
    this.upsert.run(name, value);
  }
}
