/**
 * The contract of consumers/consumer.ts: what is kept of consumers and keys, and who is told of a change, and when.
 * @module
 */
import { describe, expect, it } from 'vitest';
import type { ConsumerKey, Page } from '../../src/consumers/consumer.ts';
import type { Transaction } from '../../src/storage/unit-of-work.ts';
import { type MakePlace, NOW, nonce, Scene, type StoreUnderTest } from './store.ts';

export function consumerStoreContract(name: string, makePlace: MakePlace): void {
  describe(`${name} keeps the contract of consumers`, () => {
    records(makePlace);
    changes(makePlace);
  });
}

function key(keyid: string, given: Partial<ConsumerKey> = {}): ConsumerKey {
  const dates = { createdAt: NOW, notBefore: NOW, notAfter: NOW + 100, vouchedAt: NOW };
  return { keyid, consumer: 'shop', sealedSecret: Buffer.from([0, 1, 255]), ...dates, ...given };
}

function run<T>(store: StoreUnderTest, work: (tx: Transaction) => T | Promise<T>): Promise<T> {
  return store.commitGroup.run('a change', work);
}

/** Puts two consumers with a key each. */
async function stock(store: StoreUnderTest): Promise<void> {
  await run(store, async ({ consumers }) => {
    await consumers.add({ name: 'shop', roles: ['orders', 'users:read'], createdAt: NOW });
    await consumers.addKey(key('shop.1'));
    await consumers.add({ name: 'bank', roles: [], createdAt: NOW + 1 });
    await consumers.addKey(key('bank.1', { consumer: 'bank' }));
  });
}

function records(makePlace: MakePlace): void {
  describe('consumers and keys', () => {
    it('are found as they were put, by anybody', async () => {
      const scene = await Scene.make(makePlace);
      await stock(await scene.open());
      const store = await scene.open();
      const shop = { name: 'shop', roles: ['orders', 'users:read'], createdAt: NOW };
      expect(store.consumers.findKey('shop.1')).toMatchObject({ consumer: shop, key: key('shop.1') });
      expect(store.consumers.find('shop')).toMatchObject(shop);
      expect(store.consumers.list()).toMatchObject([{ name: 'bank', roles: [], createdAt: NOW + 1 }, shop]);
      expect(store.consumers.keysOf('shop')).toEqual([key('shop.1')]);
    });

    it('keep every limit of a key, and who vouched for it when', async () => {
      const store = await (await Scene.make(makePlace)).open();
      await stock(store);
      const limits = {
        label: 'warehouse, 北',
        roleSubset: ['orders:read'],
        allow: ['10.0.0.0/8', '::1'],
        certificateUri: 'spiffe://example.com/shop',
        vouchedAt: NOW - 7,
      };
      await run(store, async ({ consumers }) => {
        await consumers.addKey(key('shop.2', limits));
        await consumers.addKey(key('shop.3', { roleSubset: [] }));
        await consumers.updateKey('shop.1', { notAfter: NOW + 5, successor: 'shop.2' });
        await consumers.updateKey('shop.2', { notAfter: NOW + 6 });
      });
      expect(store.consumers.findKey('shop.2')?.key).toEqual(key('shop.2', { ...limits, notAfter: NOW + 6 }));
      expect(store.consumers.findKey('shop.3')?.key.roleSubset).toEqual([]);
      expect(store.consumers.findKey('shop.1')?.key).toEqual(
        key('shop.1', { notAfter: NOW + 5, successor: 'shop.2' }),
      );
    });

    it('have an id that stays, and a version that counts changes', async () => {
      const store = await (await Scene.make(makePlace)).open();
      await stock(store);
      const [bank, shop] = store.consumers.list();
      expect(shop?.id).toMatch(/^[0-9a-f]{24}$/);
      expect(bank?.id).not.toBe(shop?.id);
      expect(shop?.version).toBe(1);
      await run(store, ({ consumers }) => consumers.update('shop', { roles: ['users'] }));
      await run(store, ({ consumers }) => consumers.update('shop', { disabledAt: NOW }));
      expect(store.consumers.find('shop')).toEqual({
        ...shop,
        roles: ['users'],
        disabledAt: NOW,
        version: 3,
      });
      await run(store, ({ consumers }) => consumers.update('shop', { disabledAt: null }));
      expect(store.consumers.find('shop')).toEqual({ ...shop, roles: ['users'], version: 4 });
    });

    it('are removed with their keys, grants and usage, and the name can be taken again', async () => {
      const store = await (await Scene.make(makePlace)).open();
      await stock(store);
      const grant = {
        id: 'g',
        consumer: 'shop',
        role: 'tea',
        status: 'requested',
        requestedAt: NOW,
      } as const;
      await run(store, async ({ consumers }) => {
        await consumers.putGrant(grant);
        await consumers.addUsage('shop.1', { lastUsed: NOW, calls: 1 });
        await consumers.remove('shop');
      });
      const { consumers } = store;
      expect([consumers.find('shop'), consumers.findKey('shop.1'), consumers.usageOf('shop.1')]).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
      expect([consumers.findGrant('g'), consumers.keysOf('shop'), consumers.grants()]).toEqual([
        undefined,
        [],
        [],
      ]);
      expect(consumers.findKey('bank.1')).toBeDefined();
      await run(store, (tx) => tx.consumers.add({ name: 'shop', roles: [], createdAt: NOW }));
      expect(consumers.find('shop')?.version).toBe(1);
    });

    it('are listed in pages by name', async () => {
      const store = await (await Scene.make(makePlace)).open();
      await stock(store);
      const names = (page: Page) => store.consumers.list(page).map(({ name }) => name);
      expect(names({ limit: 1 })).toEqual(['bank']);
      expect(names({ after: 'bank', limit: 1 })).toEqual(['shop']);
      expect(names({ after: 'bank', limit: 9 })).toEqual(['shop']);
      expect(names({ after: 'c', limit: 9 })).toEqual(['shop']);
      expect(names({ after: 'shop', limit: 9 })).toEqual([]);
    });

    it('count how keys were used, and forget nothing of it', async () => {
      const scene = await Scene.make(makePlace);
      const [store, other] = [await scene.open(), await scene.open()];
      await stock(store);
      expect(store.consumers.usageOf('shop.1')).toBeUndefined();
      const used = (from: StoreUnderTest, keyid: string, lastUsed: number, calls: number) =>
        run(from, ({ consumers }) => consumers.addUsage(keyid, { lastUsed, calls }));
      await used(store, 'shop.1', NOW + 5, 3);
      await used(other, 'shop.1', NOW + 4, 2);
      expect(store.consumers.usageOf('shop.1')).toEqual({ lastUsed: NOW + 5, calls: 5 });
      // Of a key that was removed meanwhile nothing is kept.
      await used(store, 'gone.1', NOW, 1);
      expect(store.consumers.usageOf('gone.1')).toBeUndefined();
    });

    it('that are good or will be are told with their ends, the soonest first', async () => {
      const store = await (await Scene.make(makePlace)).open();
      await stock(store);
      await run(store, async ({ consumers }) => {
        await consumers.addKey(key('shop.2', { notAfter: NOW + 50, createdAt: NOW + 20 }));
        await consumers.addKey(key('shop.3', { notBefore: NOW + 90, notAfter: NOW + 99 }));
        await consumers.addKey(key('shop.4', { notAfter: NOW + 10 }));
        await consumers.addKey(key('shop.5'));
        await consumers.revokeKey('shop.5', NOW);
        await consumers.updateKey('shop.1', { successor: 'shop.2' });
        await consumers.addUsage('shop.1', { lastUsed: NOW + 21, calls: 1 });
        await consumers.disable('bank', NOW);
      });
      expect(store.consumers.standingKeys(NOW + 10)).toEqual([
        { keyid: 'shop.2', consumer: 'shop', notAfter: NOW + 50 },
        { keyid: 'shop.3', consumer: 'shop', notAfter: NOW + 99 },
        {
          keyid: 'shop.1',
          consumer: 'shop',
          notAfter: NOW + 100,
          supersededAt: NOW + 20,
          lastUsed: NOW + 21,
        },
      ]);
    });

    it('ask for roles, which are granted or denied once they are decided', async () => {
      const store = await (await Scene.make(makePlace)).open();
      await stock(store);
      const asked = (id: string, consumer: string) =>
        ({ id, consumer, role: 'tea', status: 'requested', requestedAt: NOW }) as const;
      await run(store, async ({ consumers }) => {
        await consumers.putGrant(asked('2', 'shop'));
        await consumers.putGrant(asked('1', 'bank'));
        await consumers.putGrant({ ...asked('2', 'shop'), status: 'granted', decidedAt: NOW + 1 });
      });
      const granted = { ...asked('2', 'shop'), status: 'granted', decidedAt: NOW + 1 };
      expect(store.consumers.findGrant('2')).toEqual(granted);
      expect(store.consumers.grants()).toEqual([asked('1', 'bank'), granted]);
      expect(store.consumers.grants({ consumer: 'shop' })).toEqual([granted]);
      expect(store.consumers.grants({ status: 'requested' })).toEqual([asked('1', 'bank')]);
      expect(store.consumers.grants({ consumer: 'shop', status: 'requested' })).toEqual([]);
    });

    it('are listed by name, keys by age', async () => {
      const store = await (await Scene.make(makePlace)).open();
      await stock(store);
      await run(store, async ({ consumers }) => {
        await consumers.addKey(key('shop.0', { createdAt: NOW + 5 }));
        await consumers.addKey(key('shop.2', { createdAt: NOW - 5 }));
      });
      expect(store.consumers.keysOf('shop').map(({ keyid }) => keyid)).toEqual([
        'shop.2',
        'shop.1',
        'shop.0',
      ]);
    });

    it.each(['', 'SHOP.1', 'shop.1 ', "shop.1' OR '1'='1", '%', 'shop.1\u0000'])(
      'that nobody put are not found: %j',
      async (keyid) => {
        const store = await (await Scene.make(makePlace)).open();
        await stock(store);
        expect(store.consumers.findKey(keyid)).toBeUndefined();
        expect(store.consumers.find(keyid)).toBeUndefined();
        expect(store.consumers.keysOf(keyid)).toEqual([]);
      },
    );

    it('take a name once', async () => {
      const store = await (await Scene.make(makePlace)).open();
      await stock(store);
      const again = run(store, ({ consumers }) =>
        consumers.add({ name: 'shop', roles: ['x'], createdAt: 1 }),
      );
      await expect(again).rejects.toMatchObject({ code: 'consumer-exists' });
      expect(store.consumers.find('shop')?.roles).toEqual(['orders', 'users:read']);
    });

    it('take a keyid once', async () => {
      const store = await (await Scene.make(makePlace)).open();
      await stock(store);
      await expect(
        run(store, ({ consumers }) => consumers.addKey(key('shop.1', { consumer: 'bank' }))),
      ).rejects.toThrow();
      expect(store.consumers.findKey('shop.1')?.consumer.name).toBe('shop');
    });

    it('are disabled and revoked once: the first time stands', async () => {
      const store = await (await Scene.make(makePlace)).open();
      await stock(store);
      for (const at of [NOW + 5, NOW + 9]) {
        await run(store, ({ consumers }) => consumers.disable('shop', at));
        await run(store, ({ consumers }) => consumers.revokeKey('shop.1', at));
      }
      expect(store.consumers.findKey('shop.1')).toMatchObject({
        consumer: { disabledAt: NOW + 5 },
        key: { revokedAt: NOW + 5 },
      });
      expect(store.consumers.find('bank')).not.toHaveProperty('disabledAt');
      expect(store.consumers.findKey('bank.1')?.key).not.toHaveProperty('revokedAt');
    });

    it('that are not there can not be changed, and whatever else the work did is undone', async () => {
      const store = await (await Scene.make(makePlace)).open();
      await stock(store);
      const unknown = run(store, async ({ consumers }) => {
        await consumers.disable('shop', NOW);
        await consumers.disable('nobody', NOW);
      });
      await expect(unknown).rejects.toMatchObject({ code: 'consumer-unknown' });
      const unknownKey = run(store, async ({ consumers }) => {
        await consumers.revokeKey('shop.1', NOW);
        await consumers.revokeKey('nobody.1', NOW);
      });
      await expect(unknownKey).rejects.toMatchObject({ code: 'key-unknown' });
      expect(store.consumers.find('shop')).not.toHaveProperty('disabledAt');
      expect(store.consumers.findKey('shop.1')?.key).not.toHaveProperty('revokedAt');
    });
  });
}

function changes(makePlace: MakePlace): void {
  /** Two stores on a stocked place; what happens is written down in its order. */
  async function witnessed(): Promise<{ store: StoreUnderTest; other: StoreUnderTest; seen: string[] }> {
    const scene = await Scene.make(makePlace);
    const seen: string[] = [];
    const store = await scene.open((name) => seen.push(`store: ${name}`));
    await stock(store);
    const other = await scene.open((name) => seen.push(`other: ${name}`));
    seen.length = 0;
    return { store, other, seen };
  }

  const kinds: [string, (tx: Transaction) => void | Promise<void>][] = [
    ['a disabled consumer', ({ consumers }) => consumers.disable('shop', NOW)],
    ['a revoked key', ({ consumers }) => consumers.revokeKey('shop.1', NOW)],
    ['a new key', ({ consumers }) => consumers.addKey(key('shop.2'))],
    ['an earlier end of a key', ({ consumers }) => consumers.updateKey('shop.1', { notAfter: NOW })],
    ['other roles', ({ consumers }) => consumers.update('shop', { roles: [] })],
    ['a removed consumer', ({ consumers }) => consumers.remove('shop')],
  ];

  describe('a change', () => {
    it.each(kinds)('is known to another store before its next verdict: %s', async (_what, change) => {
      const { store, other, seen } = await witnessed();
      await run(store, change);
      await other.nonces.claim(nonce()).then((verdict) => seen.push(verdict));
      expect(seen).toEqual(['store: shop', 'other: shop', 'claimed']);
    });

    it.each(kinds)('is known to another store before its next work: %s', async (_what, change) => {
      const { store, other, seen } = await witnessed();
      await run(store, change);
      await run(other, () => seen.push('work'));
      expect(seen).toEqual(['store: shop', 'other: shop', 'work']);
    });

    it('is known to the store that made it when it is told so', async () => {
      const { store, seen } = await witnessed();
      await run(store, ({ consumers }) => consumers.disable('shop', NOW)).then(() => seen.push('told'));
      expect(seen).toEqual(['store: shop', 'told']);
    });

    it('of a consumer that is new is told too', async () => {
      const { store, other, seen } = await witnessed();
      await run(store, ({ consumers }) => consumers.add({ name: 'cafe', roles: [], createdAt: NOW }));
      await other.nonces.claim(nonce());
      expect(seen).toEqual(['store: cafe', 'other: cafe']);
    });

    it('is told once, not at every turn after it', async () => {
      const { store, other, seen } = await witnessed();
      await run(store, ({ consumers }) => consumers.disable('shop', NOW));
      for (let n = 0; n < 3; n++) {
        for (const each of [store, other]) await each.nonces.claim(nonce());
      }
      expect(seen).toEqual(['store: shop', 'other: shop']);
    });

    it('that was rolled back is told to nobody, and does not hide the next one', async () => {
      const { store, other, seen } = await witnessed();
      const failing = run(store, async ({ consumers }) => {
        await consumers.disable('shop', NOW);
        throw new Error('on purpose');
      });
      await expect(failing).rejects.toThrow('on purpose');
      await other.nonces.claim(nonce());
      expect(seen).toEqual([]);
      await run(other, ({ consumers }) => consumers.disable('bank', NOW));
      await store.nonces.claim(nonce());
      expect(seen).toEqual(['other: bank', 'store: bank']);
    });

    it('of both stores at once is told to both', async () => {
      const { store, other, seen } = await witnessed();
      await Promise.all([
        run(store, ({ consumers }) => consumers.disable('shop', NOW)),
        run(other, ({ consumers }) => consumers.disable('bank', NOW)),
      ]);
      for (const each of [store, other]) await each.nonces.claim(nonce());
      expect(seen.sort()).toEqual(['other: bank', 'other: shop', 'store: bank', 'store: shop']);
    });
  });
}
