/**
 * The outbox in SQLite: messages that are still to be delivered, sealed, and the leases upon them.
 * @module
 */
import { randomBytes } from 'node:crypto';
import type { KeyVault } from '../../consumers/key-vault.ts';
import type { Lease, LeasedMessage, Outbox, OutboxMessage, OutboxQueue } from '../../idempotency/outbox.ts';
import { documentText, type Json } from '../../idempotency/state.ts';
import type { CommitGroup } from '../unit-of-work.ts';
import type { Database, Statement } from './database.ts';

export class SqliteOutbox implements Outbox {
  private readonly vault: KeyVault;
  private readonly insert: Statement;
  private readonly deleteSubject: Statement;
  private readonly onAdd: () => void;

  /** @param onAdd called before the commit. */
  constructor(database: Database, vault: KeyVault, onAdd: () => void) {
    this.vault = vault;
    this.onAdd = onAdd;
    this.insert = database.prepare(
      'INSERT INTO outbox (topic, key, sealed_payload, subject) VALUES (?, ?, ?, ?)',
    );
    this.deleteSubject = database.prepare('DELETE FROM outbox WHERE subject = ?');
  }

  add({ topic, payload, key = randomBytes(32).toString('base64url'), subject }: OutboxMessage): void {
    const sealed = this.vault.seal('outbox', key, Buffer.from(documentText(payload)));
    this.insert.run(topic, key, sealed, subject ?? null);
    this.onAdd();
  }

  forget(subject: string): void {
    this.deleteSubject.run(subject);
  }
}

interface OutboxRow {
  readonly id: number;
  readonly key: string;
  readonly sealed_payload: Buffer;
  readonly failures: number;
  readonly due_at: number;
  readonly lease: string | null;
  readonly leased_until: number;
}

/** No message waits longer than this for its next delivery: beyond it, the clock was set back. */
const LONGEST_WAIT_MS = 3_600_000;

export interface SqliteOutboxQueueParts {
  readonly writer: Database;
  readonly reader: Database;
  readonly vault: KeyVault;
  readonly commitGroup: CommitGroup;
}

export class SqliteOutboxQueue implements OutboxQueue {
  private readonly vault: KeyVault;
  private readonly commitGroup: CommitGroup;
  private readonly selectTopics: Statement;
  private readonly selectFirst: Statement;
  private readonly takeLease: Statement;
  private readonly extendLease: Statement;
  private readonly remove: Statement;
  private readonly postpone: Statement;

  constructor({ writer, reader, vault, commitGroup }: SqliteOutboxQueueParts) {
    this.vault = vault;
    this.commitGroup = commitGroup;
    this.selectTopics = reader.prepare('SELECT DISTINCT topic FROM outbox').pluck();
    this.selectFirst = writer.prepare('SELECT * FROM outbox WHERE topic = ? ORDER BY id LIMIT 1');
    this.takeLease = writer.prepare('UPDATE outbox SET lease = ?, leased_until = ? WHERE id = ?');
    this.extendLease = writer.prepare('UPDATE outbox SET leased_until = ? WHERE id = ? AND lease = ?');
    this.remove = writer.prepare('DELETE FROM outbox WHERE id = ? AND lease = ?');
    this.postpone = writer.prepare(
      'UPDATE outbox SET failures = failures + 1, due_at = ?, lease = NULL, leased_until = 0 WHERE id = ? AND lease = ?',
    );
  }

  async lease(topic: string, { owner, now, until, isAlive }: Lease): Promise<LeasedMessage | undefined> {
    const row = await this.commitGroup.run('lease a message', () => {
      const first = this.selectFirst.get(topic) as OutboxRow | undefined;
      if (!first || isAhead(first.due_at, now)) return undefined;
      const isTaken = first.lease !== null && first.lease !== owner && isAhead(first.leased_until, now);
      if (isTaken && isAlive(first.lease as string)) return undefined;
      this.takeLease.run(owner, until, first.id);
      return first;
    });
    if (!row) return undefined;
    const { id, key, failures } = row;
    const payload = JSON.parse(this.vault.open('outbox', key, row.sealed_payload).toString()) as Json;
    return { id, topic, key, payload, failures };
  }

  extend(id: number, { owner, until }: Lease): Promise<boolean> {
    return this.commitGroup.run('extend a lease', () => this.extendLease.run(until, id, owner).changes === 1);
  }

  delivered(id: number, owner: string): Promise<void> {
    return this.commitGroup.run('end a delivery', () => void this.remove.run(id, owner));
  }

  failed(id: number, owner: string, dueAt: number): Promise<void> {
    return this.commitGroup.run('put a delivery off', () => void this.postpone.run(dueAt, id, owner));
  }

  topics(): readonly string[] {
    return this.selectTopics.all() as string[];
  }
}

function isAhead(time: number, now: number): boolean {
  return time > now && time <= now + LONGEST_WAIT_MS;
}
