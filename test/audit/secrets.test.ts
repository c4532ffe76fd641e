/** The bytes of the database and its journals: no secret in clear, whatever was done. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { unwrapKeys, type WrappedKey } from '../../src/consumers/key-vault.ts';
import { loadMasterKey } from '../../src/consumers/master-key.ts';
import { type Reply, startApi } from '../gateway/management/api.ts';
import { attack } from './record.ts';

interface Credentials {
  readonly keyid: string;
  readonly secret: string;
}

/** Every way in which bytes may stand in a file, as text or as they are. */
function spellings(secret: Buffer): Buffer[] {
  const texts = ['base64', 'base64url', 'hex'].map((encoding) => secret.toString(encoding as BufferEncoding));
  // Without padding, and without an end that depends on what follows.
  const roots = [...texts, (texts[2] as string).toUpperCase()].map((text) =>
    text.replace(/=+$/, '').slice(0, -2),
  );
  return [secret, ...roots.map((text) => Buffer.from(text))];
}

function keysOf(data: string): Buffer[] {
  const masterKey = loadMasterKey({ folder: data, given: undefined, databaseExists: true });
  const unwrapped = (['data-key', 'audit-key'] as const).map((purpose) =>
    unwrapKeys(
      masterKey,
      purpose,
      attack(data, (database) =>
        database.prepare(`SELECT version, wrapped FROM ${purpose.replace('-', '_')}s`).all(),
      ) as WrappedKey[],
    ),
  );
  return [masterKey, ...unwrapped.flatMap((keys) => [...keys.values()])];
}

const FILES = ['countersign.db', 'countersign.db-wal', 'countersign.db-shm'];

describe('after consumers were added, keys rotated and calls made', () => {
  it('neither the database nor its journals hold a secret in clear', async () => {
    const api = await startApi();
    onTestFinished(() => api.close());
    const { gateway } = api;
    const data = join(gateway.folder, 'data');
    const issued: Credentials[] = [gateway.credentials];
    const found: string[] = [];
    const files = new Set<string>();
    const secrets: Buffer[] = [];

    /** While the gateway runs, and again after its journal was written into the database. */
    const search = (when: string) => {
      for (const name of FILES) {
        if (!existsSync(join(data, name))) continue;
        files.add(name);
        const bytes = readFileSync(join(data, name));
        // Or the search would find nothing because there is nothing.
        if (name === 'countersign.db' && when === 'checkpointed')
          expect(bytes.includes('shop-0.')).toBe(true);
        for (const [i, secret] of secrets.entries()) {
          if (spellings(secret).some((each) => bytes.includes(each))) found.push(`${when}: ${i} in ${name}`);
        }
      }
    };

    const operator = await api.register('ops', 'operator');
    const keep = ({ status, json }: Reply): Credentials => {
      expect(status).toBe(201);
      issued.push(json);
      return json;
    };
    for (let i = 0; i < 5; i++) {
      // Under a key the result, with its secret, is stored.
      const stored = [['Idempotency-Key', `"shop-${i}"`]] as const;
      const first = operator.with(
        keep(await operator.post('/v1/consumers', { name: `shop-${i}`, roles: [] }, stored)),
      );
      const second = operator.with(keep(await first.post('/v1/keys/rotate', undefined, stored)));
      keep(await operator.post(`/v1/consumers/shop-${i}/keys`, { label: 'of Jane Doe-Somebody' }));
      for (const each of [first, second]) {
        const echo = each.sign('POST', '/v1/echo', { body: { i } });
        expect((await each.send(echo)).status).toBe(200);
        expect((await each.send(echo)).json.code).toBe('nonce-replayed');
        expect((await each.get('/nowhere')).status).toBe(404);
      }
    }
    const rows = JSON.stringify([...gateway.store.audit.rows()]);
    secrets.push(...issued.map(({ secret }) => Buffer.from(secret, 'base64')), ...keysOf(data));
    expect(secrets).toHaveLength(1 + 15 + 3);
    search('running');
    attack(data, (database) => database.pragma('wal_checkpoint(FULL)'));
    search('checkpointed');
    expect(found).toEqual([]);
    // Nor do the rows hold free text, which may name somebody: they can't be taken back.
    expect(rows).toContain('shop-4');
    expect(rows).not.toContain('Doe-Somebody');
    expect([...files].sort()).toEqual([...FILES].sort());
  });

  it('the search itself finds a secret in each of its spellings', () => {
    const secret = randomBytes(64);
    for (const text of [secret.toString('base64'), secret.toString('base64url'), secret.toString('hex')]) {
      const file = Buffer.concat([randomBytes(500), Buffer.from(text), randomBytes(500)]);
      expect(spellings(secret).some((each) => file.includes(each))).toBe(true);
    }
    expect(spellings(secret).some((each) => Buffer.concat([randomBytes(5), secret]).includes(each))).toBe(
      true,
    );
  });
});
