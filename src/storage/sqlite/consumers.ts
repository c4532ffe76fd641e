/**
 * Consumers, keys and grants in SQLite.
 * @module
 */
import {
  type Consumer,
  type ConsumerChanges,
  type ConsumerKey,
  type ConsumerReader,
  generateConsumerId,
  type KeyTerm,
  type KeyUsage,
  type Page,
  type RoleGrant,
} from '../../consumers/consumer.ts';
import { CountersignError } from '../../errors.ts';
import {
  type ConsumerRow,
  type GrantRow,
  type KeyRow,
  readConsumer,
  readGrant,
  readKey,
  readTerm,
  type TermRow,
} from './consumer-rows.ts';
import type { Database, Statement } from './database.ts';

export class SqliteConsumerReader implements ConsumerReader {
  private readonly selectKey: Statement;
  private readonly selectConsumer: Statement;
  private readonly selectPage: Statement;
  private readonly selectKeys: Statement;
  private readonly selectUsage: Statement;
  private readonly selectStanding: Statement;
  private readonly selectGrant: Statement;
  private readonly selectGrants: Statement;

  constructor(database: Database) {
    this.selectKey = database.prepare('SELECT * FROM keys WHERE keyid = ?');
    this.selectConsumer = database.prepare('SELECT * FROM consumers WHERE name = ?');
    this.selectPage = database.prepare('SELECT * FROM consumers WHERE name > ? ORDER BY name LIMIT ?');
    this.selectKeys = database.prepare('SELECT * FROM keys WHERE consumer = ? ORDER BY created_at, keyid');
    this.selectUsage = database.prepare('SELECT last_used, calls FROM key_usage WHERE keyid = ?');
    this.selectStanding = database.prepare(
      `SELECT k.keyid, k.consumer, k.not_after, s.created_at AS superseded_at, u.last_used
       FROM keys k JOIN consumers c ON c.name = k.consumer
       LEFT JOIN keys s ON s.keyid = k.successor LEFT JOIN key_usage u ON u.keyid = k.keyid
       WHERE k.revoked_at IS NULL AND c.disabled_at IS NULL AND k.not_after > ? ORDER BY k.not_after, k.keyid`,
    );
    this.selectGrant = database.prepare('SELECT * FROM grants WHERE id = ?');
    this.selectGrants = database.prepare(
      `SELECT * FROM grants WHERE (@consumer IS NULL OR consumer = @consumer)
       AND (@status IS NULL OR status = @status) ORDER BY id`,
    );
  }

  findKey(keyid: string): { consumer: Consumer; key: ConsumerKey } | undefined {
    const row = this.selectKey.get(keyid) as KeyRow | undefined;
    if (!row) return undefined;
    return {
      key: readKey(row),
      consumer: readConsumer(this.selectConsumer.get(row.consumer) as ConsumerRow),
    };
  }

  find(name: string): Consumer | undefined {
    const row = this.selectConsumer.get(name) as ConsumerRow | undefined;
    return row && readConsumer(row);
  }

  list({ after = '', limit }: Page = { limit: -1 }): Consumer[] {
    return (this.selectPage.all(after, limit) as ConsumerRow[]).map(readConsumer);
  }

  keysOf(name: string): ConsumerKey[] {
    return (this.selectKeys.all(name) as KeyRow[]).map(readKey);
  }

  usageOf(keyid: string): KeyUsage | undefined {
    const row = this.selectUsage.get(keyid) as { last_used: number; calls: number } | undefined;
    return row && { lastUsed: row.last_used, calls: row.calls };
  }

  standingKeys(now: number): KeyTerm[] {
    return (this.selectStanding.all(now) as TermRow[]).map(readTerm);
  }

  findGrant(id: string): RoleGrant | undefined {
    const row = this.selectGrant.get(id) as GrantRow | undefined;
    return row && readGrant(row);
  }

  grants({ consumer, status }: { consumer?: string; status?: RoleGrant['status'] } = {}): RoleGrant[] {
    const rows = this.selectGrants.all({ consumer: consumer ?? null, status: status ?? null });
    return (rows as GrantRow[]).map(readGrant);
  }
}

const KEPT_CHANGES = 10_000;

/** Reads and changes through the connection that holds the transaction. */
export class SqliteConsumers extends SqliteConsumerReader implements ConsumerChanges {
  private readonly insertConsumer: Statement;
  private readonly updateConsumer: Statement;
  private readonly deleteUsage: Statement;
  private readonly deleteKeys: Statement;
  private readonly deleteConsumer: Statement;
  private readonly insertKey: Statement;
  private readonly updateEnd: Statement;
  private readonly updateDisabled: Statement;
  private readonly updateRevoked: Statement;
  private readonly upsertGrant: Statement;
  private readonly upsertUsage: Statement;
  private readonly insertChange: Statement;
  private readonly deleteChanges: Statement;

  constructor(database: Database) {
    super(database);
    this.insertConsumer = database.prepare(
      'INSERT INTO consumers (id, name, roles, created_at) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO NOTHING',
    );
    this.updateConsumer = database.prepare(
      'UPDATE consumers SET roles = ?, disabled_at = ?, version = version + 1 WHERE name = ?',
    );
    this.deleteUsage = database.prepare(
      'DELETE FROM key_usage WHERE keyid IN (SELECT keyid FROM keys WHERE consumer = ?)',
    );
    this.deleteKeys = database.prepare('DELETE FROM keys WHERE consumer = ?');
    this.deleteConsumer = database.prepare('DELETE FROM consumers WHERE name = ?');
    this.insertKey = database.prepare(
      `INSERT INTO keys (keyid, consumer, sealed_secret, created_at, not_before, not_after, label, role_subset,
         allow, certificate_uri, vouched_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.updateEnd = database
      .prepare(
        `UPDATE keys SET not_after = coalesce(?, not_after), successor = coalesce(?, successor) WHERE keyid = ?
         RETURNING consumer`,
      )
      .pluck();
    this.updateDisabled = database.prepare(
      'UPDATE consumers SET disabled_at = coalesce(disabled_at, ?), version = version + 1 WHERE name = ?',
    );
    this.updateRevoked = database
      .prepare('UPDATE keys SET revoked_at = coalesce(revoked_at, ?) WHERE keyid = ? RETURNING consumer')
      .pluck();
    this.upsertGrant = database.prepare(
      `INSERT INTO grants (id, consumer, role, status, requested_at, decided_at) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET status = excluded.status, decided_at = excluded.decided_at`,
    );
    this.upsertUsage = database.prepare(
      `INSERT INTO key_usage (keyid, last_used, calls) SELECT keyid, ?, ? FROM keys WHERE keyid = ?
       ON CONFLICT (keyid) DO UPDATE SET last_used = max(last_used, excluded.last_used), calls = calls + excluded.calls`,
    );
    this.insertChange = database.prepare('INSERT INTO changes (consumer) VALUES (?)');
    this.deleteChanges = database.prepare(
      `DELETE FROM changes WHERE id IN
       (SELECT id FROM changes WHERE id <= (SELECT max(id) FROM changes) - ${KEPT_CHANGES} ORDER BY id LIMIT 1000)`,
    );
  }

  add({ name, roles, createdAt, disabledAt }: Omit<Consumer, 'id' | 'version'>): void {
    if (this.insertConsumer.run(generateConsumerId(), name, JSON.stringify(roles), createdAt).changes === 0) {
      throw new CountersignError(
        'consumer-exists',
        `There is a consumer "${name}" already; choose another name.`,
      );
    }
    if (disabledAt !== undefined) this.updateDisabled.run(disabledAt, name);
    this.insertChange.run(name);
  }

  update(name: string, change: { roles?: readonly string[]; disabledAt?: number | null }): void {
    const before = this.find(name);
    if (!before) throw unknownConsumer(name);
    const { roles = before.roles, disabledAt = before.disabledAt ?? null } = change;
    this.updateConsumer.run(JSON.stringify(roles), disabledAt, name);
    this.insertChange.run(name);
  }

  remove(name: string): void {
    this.deleteUsage.run(name);
    this.deleteKeys.run(name);
    if (this.deleteConsumer.run(name).changes === 0) throw unknownConsumer(name);
    this.insertChange.run(name);
  }

  addKey(key: Omit<ConsumerKey, 'vouchedAt'> & { vouchedAt?: number }): void {
    const { keyid, consumer, sealedSecret, createdAt, notBefore, notAfter, label, roleSubset, allow } = key;
    this.insertKey.run(
      keyid,
      consumer,
      sealedSecret,
      createdAt,
      notBefore,
      notAfter,
      label ?? null,
      roleSubset ? JSON.stringify(roleSubset) : null,
      allow ? JSON.stringify(allow) : null,
      key.certificateUri ?? null,
      key.vouchedAt ?? createdAt,
    );
    this.insertChange.run(consumer);
  }

  updateKey(keyid: string, { notAfter, successor }: { notAfter?: number; successor?: string }): void {
    const consumer = this.updateEnd.get(notAfter ?? null, successor ?? null, keyid);
    if (consumer === undefined) throw unknownKey(keyid);
    this.insertChange.run(consumer);
  }

  disable(name: string, at: number): void {
    if (this.updateDisabled.run(at, name).changes === 0) throw unknownConsumer(name);
    this.insertChange.run(name);
  }

  revokeKey(keyid: string, at: number): void {
    const consumer = this.updateRevoked.get(at, keyid);
    if (consumer === undefined) throw unknownKey(keyid);
    this.insertChange.run(consumer);
  }

  putGrant({ id, consumer, role, status, requestedAt, decidedAt }: RoleGrant): void {
    this.upsertGrant.run(id, consumer, role, status, requestedAt, decidedAt ?? null);
  }

  /**
   * Removes some of the oldest rows that say which consumer was changed, but for so many that a process which has not
   * looked meanwhile forgets all it holds, rather than to follow them. @returns how many.
   */
  trimChanges(): number {
    return this.deleteChanges.run().changes;
  }

  addUsage(keyid: string, { lastUsed, calls }: KeyUsage): void {
    // Nothing where the key was removed meanwhile.
    this.upsertUsage.run(lastUsed, calls, keyid);
  }
}

function unknownConsumer(name: string): CountersignError {
  return new CountersignError(
    'consumer-unknown',
    `There is no consumer "${name}"; see: countersign consumer list`,
  );
}

function unknownKey(keyid: string): CountersignError {
  return new CountersignError('key-unknown', `There is no key "${keyid}"; see: countersign key list`);
}
