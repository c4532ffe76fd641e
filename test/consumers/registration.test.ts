/** What an operator may register, and what is kept of it. */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  type Consumer,
  type ConsumerChanges,
  type ConsumerKey,
  generateKeyid,
  KEY_LIFE,
} from '../../src/consumers/consumer.ts';
import { KeyVault, unwrapKeys, wrapNewKey } from '../../src/consumers/key-vault.ts';
import { addConsumer, addKey, issueKey, rotateKey, successorOf } from '../../src/consumers/registration.ts';

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

describe('a new key', () => {
  it('has the limits that were asked for, without repeats, and shows what it grants', async () => {
    const kept = new Kept();
    const draft = {
      label: 'warehouse',
      notBefore: NOW + 5,
      notAfter: NOW + 50,
      roleSubset: ['orders:read', 'orders:read', 'users'],
      allow: ['10.0.0.0/8', '10.0.0.0/8'],
      certificateUri: 'spiffe://example.com/shop',
    };
    const shop = { name: 'shop', roles: ['orders'] };
    const issued = await addKey(kept, vault, shop, NOW, draft);
    expect(kept.keys).toMatchObject([
      { ...draft, consumer: 'shop', roleSubset: ['orders:read', 'users'], allow: ['10.0.0.0/8'] },
    ]);
    expect(issued).toMatchObject({ consumer: 'shop', roles: ['orders:read'] });
  });

  it('that is faulty is not made, be it the first one of a consumer or another', async () => {
    const kept = new Kept();
    const draft = { allow: ['nowhere'], notAfter: NOW - 1 };
    const first = addConsumer(kept, vault, { name: 'No', roles: ['No'] }, NOW, draft);
    await expect(first).rejects.toMatchObject({
      code: 'consumer-invalid',
      members: {
        errors: ['name', 'roles[0]', 'notAfter', 'allow[0]'].map((path) => ({
          path,
          detail: expect.any(String),
        })),
      },
    });
    const another = addKey(kept, vault, { name: 'shop', roles: [] }, NOW, draft);
    await expect(another).rejects.toMatchObject({ code: 'consumer-invalid' });
    expect([...kept.consumers, ...kept.keys]).toEqual([]);
  });
});

describe('rotating a key', () => {
  const DAY = 86_400;
  const shop = { name: 'shop', roles: ['orders', 'users'] };
  const limits = {
    label: 'warehouse',
    roleSubset: ['orders'],
    allow: ['10.0.0.0/8'],
    certificateUri: 'spiffe://example.com/shop',
  };

  function old(given: Partial<ConsumerKey> = {}): ConsumerKey {
    const { key } = issueKey(vault, 'shop', { ...limits, notAfter: NOW + 30 * DAY }, NOW);
    return { ...key, vouchedAt: NOW, ...given };
  }

  class Rotated extends Kept {
    readonly ends: [string, unknown][] = [];
    override updateKey = ((keyid: string, change: unknown) => {
      this.ends.push([keyid, change]);
    }) as never;
  }

  it('makes a successor with its limits and its length of life, and lets it end a day later', async () => {
    const [kept, key] = [new Rotated(), old()];
    const rotation = await rotateKey(kept, vault, { consumer: shop, key }, NOW + DAY);
    expect(kept.keys).toMatchObject([
      {
        ...limits,
        keyid: rotation.keyid,
        notBefore: NOW + DAY,
        notAfter: NOW + 31 * DAY,
        vouchedAt: NOW + DAY,
      },
    ]);
    expect(rotation).toMatchObject({
      consumer: 'shop',
      roles: ['orders'],
      previousValidUntil: NOW + 2 * DAY,
    });
    expect(rotation.keyid).not.toBe(key.keyid);
    expect(kept.ends).toEqual([[key.keyid, { notAfter: NOW + 2 * DAY, successor: rotation.keyid }]]);
  });

  it('may give it another label, and keep since when an operator vouches for it', async () => {
    const kept = new Rotated();
    const given = { label: 'north', vouchedAt: NOW - 5 };
    await rotateKey(kept, vault, { consumer: shop, key: old() }, NOW, given);
    expect(kept.keys).toMatchObject([given]);
  });

  it.each([
    [undefined, 5 * DAY, DAY],
    [undefined, 100, 100],
    [0, 100, 0],
    [100, 100, 100],
    [3 * DAY, 5 * DAY, 3 * DAY],
  ])('with the overlap %s, %s s before its end, lets it live %s s', (overlap, left, expected) => {
    const key = old({ notAfter: NOW + left });
    expect(successorOf(key, NOW, overlap).previousNotAfter).toBe(NOW + expected);
  });

  it('is refused where the overlap is longer than its life, and changes nothing', async () => {
    const kept = new Rotated();
    const rotation = rotateKey(kept, vault, { consumer: shop, key: old() }, NOW, { overlap: 30 * DAY + 1 });
    await expect(rotation).rejects.toMatchObject({
      code: 'consumer-invalid',
      members: { errors: [{ path: 'overlap' }] },
    });
    expect([...kept.keys, ...kept.ends]).toEqual([]);
  });

  it.each<[string, Partial<ConsumerKey>]>([
    ['revoked', { revokedAt: NOW }],
    ['expired', { notAfter: NOW }],
    ['rotated before', { successor: 'shop.2' }],
  ])('is refused where it was %s', (why, given) => {
    expect(() => successorOf(old(given), NOW)).toThrow(
      expect.objectContaining({ code: 'conflict', message: expect.stringContaining(why) }),
    );
  });

  it('never makes a key of more than 400 days, however old the one before it', () => {
    const key = old({ notBefore: 0, notAfter: 2 ** 32 - 1 });
    expect(successorOf(key, NOW).draft.notAfter).toBe(NOW + 400 * DAY);
  });
});

describe('a consumer', () => {
  const registered = (name: string, roles: readonly string[] = []) =>
    addConsumer(new Kept(), vault, { name, roles }, NOW);

  it.each(['a', '0', 'shop', 'shop-2', 'a-', `a${'b'.repeat(62)}`])('may be called "%s"', (name) =>
    expect(registered(name)).resolves.toMatchObject({ consumer: name }),
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
    expect(registered(name)).rejects.toMatchObject({ code: 'consumer-invalid' }),
  );

  it('is refused with every fault at once', async () => {
    await expect(registered('No', ['ok', 'Bad', 'any', ''])).rejects.toThrow(/"No".*"Bad".*"any".*""/);
  });
});
