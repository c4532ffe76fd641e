/** What an operator may register, and what is kept of it. */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  type Consumer,
  type ConsumerChanges,
  type ConsumerKey,
  checkConsumer,
  generateKeyid,
  KEY_LIFE,
} from '../../src/consumers/consumer.ts';
import { KeyVault, unwrapKeys, wrapNewKey } from '../../src/consumers/key-vault.ts';
import { addConsumer } from '../../src/consumers/registration.ts';

const NOW = 1_800_000_000;
const master = randomBytes(32);
const vault = new KeyVault(unwrapKeys(master, 'data-key', [wrapNewKey(master, 'data-key', 1)]));

function notAskedFor(): never {
  throw new Error('not asked for');
}

/** Writes down what it was asked to keep. */
class Kept implements ConsumerChanges {
  readonly consumers: Consumer[] = [];
  readonly keys: ConsumerKey[] = [];

  add(consumer: Consumer): void {
    this.consumers.push(consumer);
  }

  addKey(key: ConsumerKey): void {
    this.keys.push(key);
  }

  update = notAskedFor;
  remove = notAskedFor;
  updateKey = notAskedFor;
  disable = notAskedFor;
  revokeKey = notAskedFor;
  putGrant = notAskedFor;
  addUsage = notAskedFor;
}

describe('registering a consumer', () => {
  it('keeps the consumer and a key that is good for 90 days from now', async () => {
    const kept = new Kept();
    const issued = await addConsumer(kept, vault, { name: 'shop', roles: ['orders:read'] }, NOW);
    expect(kept.consumers).toEqual([{ name: 'shop', roles: ['orders:read'], createdAt: NOW }]);
    expect(kept.keys).toEqual([
      {
        keyid: issued.keyid,
        consumer: 'shop',
        sealedSecret: expect.any(Buffer),
        createdAt: NOW,
        notBefore: NOW,
        notAfter: NOW + 90 * 86_400,
      },
    ]);
    expect(KEY_LIFE).toBe(90 * 86_400);
  });

  it('shows the secret once, 64 random bytes, and keeps it sealed for this keyid', async () => {
    const kept = new Kept();
    const { secret, keyid } = await addConsumer(kept, vault, { name: 'shop', roles: [] }, NOW);
    const bytes = Buffer.from(secret, 'base64');
    expect(bytes).toHaveLength(64);
    expect(bytes.toString('base64')).toBe(secret);
    const sealed = (kept.keys[0] as ConsumerKey).sealedSecret;
    expect(vault.open('key', keyid, sealed)).toEqual(bytes);
    expect(() => vault.open('key', `${keyid}x`, sealed)).toThrow();
    expect(sealed.includes(bytes.subarray(0, 8))).toBe(false);
  });

  it('of a name that is none keeps nothing', async () => {
    const kept = new Kept();
    await expect(addConsumer(kept, vault, { name: 'No', roles: [] }, NOW)).rejects.toMatchObject({
      code: 'consumer-invalid',
    });
    expect([...kept.consumers, ...kept.keys]).toEqual([]);
  });

  it('never gives the same keyid twice', () => {
    const keyids = new Set(Array.from({ length: 1000 }, () => generateKeyid('shop')));
    expect(keyids.size).toBe(1000);
    for (const keyid of keyids) expect(keyid).toMatch(/^shop\.[A-Za-z0-9_-]{12}$/);
  });
});

describe('a consumer', () => {
  it.each(['a', '0', 'shop', 'shop-2', 'a-', `a${'b'.repeat(62)}`])('may be called "%s"', (name) =>
    expect(() => checkConsumer(name, [])).not.toThrow(),
  );

  it.each([
    '',
    '-shop',
    'Shop',
    'shop.eu',
    'shop eu',
    'shop\n',
    'shöp',
    '../shop',
    'a'.repeat(64),
    'shop\u0000',
    '__proto__',
  ])('may not be called %j', (name) =>
    expect(() => checkConsumer(name, [])).toThrow(expect.objectContaining({ code: 'consumer-invalid' })),
  );

  it('is refused with every fault at once', () => {
    expect(() => checkConsumer('No', ['ok', 'Bad', 'any', ''])).toThrow(/"No".*"Bad".*"any".*""/);
  });
});
