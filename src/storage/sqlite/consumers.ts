/**
 * Consumers and keys in SQLite.
 * @module
 */
import type { Consumer, ConsumerChanges, ConsumerKey, ConsumerReader } from '../../consumers/consumer.ts';
import { CountersignError } from '../../errors.ts';
import type { Database, Statement } from './database.ts';

interface ConsumerRow {
  readonly name: string;
  readonly roles: string;
  readonly created_at: number;
  readonly disabled_at: number | null;
}

interface KeyRow {
  readonly keyid: string;
  readonly consumer: string;
  readonly sealed_secret: Buffer;
  readonly created_at: number;
  readonly not_before: number;
  readonly not_after: number;
  readonly revoked_at: number | null;
}

export class SqliteConsumerReader implements ConsumerReader {
  private readonly selectKey: Statement;
  private readonly selectConsumer: Statement;
  private readonly selectAll: Statement;
  private readonly selectKeys: Statement;

  constructor(database: Database) {
    this.selectKey = database.prepare('SELECT * FROM keys WHERE keyid = ?');
    this.selectConsumer = database.prepare('SELECT * FROM consumers WHERE name = ?');
    this.selectAll = database.prepare('SELECT * FROM consumers ORDER BY name');
    this.selectKeys = database.prepare('SELECT * FROM keys WHERE consumer = ? ORDER BY created_at, keyid');
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

  list(): Consumer[] {
    return (this.selectAll.all() as ConsumerRow[]).map(readConsumer);
  }

  keysOf(name: string): ConsumerKey[] {
    return (this.selectKeys.all(name) as KeyRow[]).map(readKey);
  }
}

function readConsumer(row: ConsumerRow): Consumer {
  const { name, disabled_at: disabledAt } = row;
  const consumer = { name, roles: JSON.parse(row.roles) as string[], createdAt: row.created_at };
  return disabledAt === null ? consumer : { ...consumer, disabledAt };
}

function readKey(row: KeyRow): ConsumerKey {
  const { keyid, consumer, revoked_at: revokedAt } = row;
  const key = {
    keyid,
    consumer,
    sealedSecret: row.sealed_secret,
    createdAt: row.created_at,
    notBefore: row.not_before,
    notAfter: row.not_after,
  };
  return revokedAt === null ? key : { ...key, revokedAt };
}

export class SqliteConsumerChanges implements ConsumerChanges {
  private readonly insertConsumer: Statement;
  private readonly insertKey: Statement;
  private readonly updateDisabled: Statement;
  private readonly updateRevoked: Statement;
  private readonly insertChange: Statement;

  constructor(database: Database) {
    this.insertConsumer = database.prepare(
      'INSERT INTO consumers (name, roles, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    );
    this.insertKey = database.prepare(
      'INSERT INTO keys (keyid, consumer, sealed_secret, created_at, not_before, not_after) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.updateDisabled = database.prepare(
      'UPDATE consumers SET disabled_at = coalesce(disabled_at, ?) WHERE name = ?',
    );
    this.updateRevoked = database
      .prepare('UPDATE keys SET revoked_at = coalesce(revoked_at, ?) WHERE keyid = ? RETURNING consumer')
      .pluck();
    this.insertChange = database.prepare('INSERT INTO changes (consumer) VALUES (?)');
  }

  add({ name, roles, createdAt }: Consumer): void {
    if (this.insertConsumer.run(name, JSON.stringify(roles), createdAt).changes === 0) {
      throw new CountersignError(
        'consumer-exists',
        `There is a consumer "${name}" already; choose another name.`,
      );
    }
    this.insertChange.run(name);
  }

  addKey(key: ConsumerKey): void {
    this.insertKey.run(key.keyid, key.consumer, key.sealedSecret, key.createdAt, key.notBefore, key.notAfter);
    this.insertChange.run(key.consumer);
  }

  disable(name: string, at: number): void {
    if (this.updateDisabled.run(at, name).changes === 0) {
      throw new CountersignError(
        'consumer-unknown',
        `There is no consumer "${name}"; see: countersign consumer list`,
      );
    }
    this.insertChange.run(name);
  }

  revokeKey(keyid: string, at: number): void {
    const consumer = this.updateRevoked.get(at, keyid);
    if (consumer === undefined) {
      throw new CountersignError('key-unknown', `There is no key "${keyid}"; see: countersign key list`);
    }
    this.insertChange.run(consumer);
  }
}
