/** The bytes of the database and its journals: no secret in clear, whatever was done. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { unwrapKeys, type WrappedKey } from '../../src/consumers/key-vault.ts';
import { loadMasterKey } from '../../src/consumers/master-key.ts';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import { newNonce, send, sign } from '../gateway/wire.ts';
import { attack } from './record.ts';

interface Credentials {
  readonly keyid: string;
  readonly secret: string;
}

const YEAR = 365 * 24 * 3600;

/** A second key for the consumer of the first, in the place of which it stands. */
async function rotate({ store, clock }: TestGateway, old: Credentials): Promise<Credentials> {
  const now = Math.floor(clock.now() / 1000);
  const consumer = old.keyid.split('.')[0] as string;
  const keyid = `${consumer}.${newNonce()}`;
  const secret = randomBytes(64);
  await store.commitGroup.run('rotate', async (tx) => {
    const sealedSecret = store.vault.seal('key', keyid, secret);
    const dates = { createdAt: now, notBefore: now, notAfter: now + YEAR };
    await tx.consumers.addKey({ keyid, consumer, sealedSecret, ...dates });
    await tx.consumers.updateKey(old.keyid, { notAfter: now + 60, successor: keyid });
    await tx.audit.append({ actor: 'cli', action: 'key.rotate', subject: old.keyid, keyid });
  });
  return { keyid, secret: secret.toString('base64') };
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
    const gateway = await startTestGateway();
    onTestFinished(() => gateway.close());
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

    for (let i = 0; i < 5; i++) {
      const key = await gateway.addConsumer(`shop-${i}`, 'orders');
      const next = await rotate(gateway, key);
      for (const each of [key, next]) {
        issued.push(each);
        const echo = sign(gateway, each, { body: JSON.stringify({ echo: i }) });
        expect((await send(gateway, echo)).status).toBe(200);
        expect((await send(gateway, echo)).status).toBe(401);
        expect((await send(gateway, sign(gateway, each, { target: '/nowhere' }))).status).toBe(404);
      }
    }
    secrets.push(...issued.map(({ secret }) => Buffer.from(secret, 'base64')), ...keysOf(data));
    expect(secrets).toHaveLength(11 + 3);
    search('running');
    attack(data, (database) => database.pragma('wal_checkpoint(FULL)'));
    search('checkpointed');
    expect(found).toEqual([]);
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
