/**
 * What every quota store must do: count exactly, for any number of processes, and keep what it counted.
 * @module
 */
import { describe, expect, it } from 'vitest';
import type { Quota, QuotaVerdict } from '../../src/limits/quotas.ts';
import { type MakePlace, NOW, nonce, Scene, type StoreUnderTest } from './store.ts';

const HOUR = 3600;

const window = (calls: number, seconds = HOUR, counter = 'shop'): Quota => ({
  name: `${counter}-${seconds}`,
  counter: `${counter} ${seconds}`,
  calls,
  period: seconds * 1000,
  refill: 'window',
});
const bucket = (calls: number, perSecond: number): Quota => ({
  name: 'burst',
  counter: 'burst shop',
  calls,
  period: (calls / perSecond) * 1000,
  refill: 'bucket',
});
const left = ({ standings }: QuotaVerdict) => standings.map((standing) => standing.left);

/** Charges one after the other. @returns how many were let through. */
async function chargeInTurn(store: StoreUnderTest, quotas: readonly Quota[], times: number): Promise<number> {
  let paid = 0;
  for (let i = 0; i < times; i++) if ((await store.quotas.charge(quotas)).wait === 0) paid++;
  return paid;
}

export function quotaStoreContract(name: string, makePlace: MakePlace): void {
  const start = async () => {
    const scene = await Scene.make(makePlace);
    return { scene, store: await scene.open() };
  };

  describe(`quotas in ${name}`, () => {
    it('let as many calls through as they say, and not one more', async () => {
      const { store } = await start();
      expect(await chargeInTurn(store, [window(5)], 5)).toBe(5);
      expect(await store.quotas.charge([window(5)])).toMatchObject({ wait: HOUR });
      expect(await chargeInTurn(store, [window(5)], 20)).toBe(0);
    });

    it('say what is left, and when there is more', async () => {
      const { scene, store } = await start();
      await store.quotas.charge([window(5)]);
      scene.clock.seconds += 100;
      const { wait, standings } = await store.quotas.charge([window(5)]);
      expect({ wait, standings }).toEqual({
        wait: 0,
        standings: [{ quota: window(5), left: 3, reset: HOUR - 100 }],
      });
    });

    it('count calls of one turn like any others', async () => {
      const { store } = await start();
      const verdicts = await Promise.all(Array.from({ length: 30 }, () => store.quotas.charge([window(7)])));
      expect(verdicts.filter(({ wait }) => wait === 0)).toHaveLength(7);
      expect(verdicts.slice(0, 8).map(left)).toEqual([[6], [5], [4], [3], [2], [1], [0], [0]]);
    });

    it('begin a window with its first call, and end it to the second', async () => {
      const { scene, store } = await start();
      await chargeInTurn(store, [window(3)], 1);
      scene.clock.seconds += HOUR - 1;
      expect(await chargeInTurn(store, [window(3)], 3)).toBe(2);
      expect(await store.quotas.charge([window(3)])).toMatchObject({ wait: 1 });
      scene.clock.seconds += 1;
      expect(await chargeInTurn(store, [window(3)], 4)).toBe(3);
    });

    it('refill a bucket evenly', async () => {
      const { scene, store } = await start();
      expect(await chargeInTurn(store, [bucket(10, 2)], 11)).toBe(10);
      expect(await store.quotas.charge([bucket(10, 2)])).toMatchObject({ wait: 1 });
      scene.clock.seconds += 1;
      expect(await chargeInTurn(store, [bucket(10, 2)], 5)).toBe(2);
      scene.clock.seconds += 1000;
      expect(await chargeInTurn(store, [bucket(10, 2)], 20)).toBe(10);
    });

    it('are right about the wait, at any rate', async () => {
      const { scene, store } = await start();
      for (const perSecond of [0.001, 0.3, 1 / 3, 0.7, 3]) {
        const quota = { ...bucket(2, perSecond), counter: `rate ${perSecond}` };
        for (let round = 0; round < 20; round++) {
          while ((await store.quotas.charge([quota])).wait === 0);
          const { wait } = await store.quotas.look([quota]);
          expect(wait).toBeGreaterThan(0);
          scene.clock.seconds += wait;
          expect(await store.quotas.charge([quota])).toMatchObject({ wait: 0 });
        }
      }
    });

    it('are charged together or not at all', async () => {
      const { store } = await start();
      const day = window(100, 24 * HOUR);
      expect(await chargeInTurn(store, [window(3), day], 50)).toBe(3);
      const { wait, standings } = await store.quotas.charge([window(3), day]);
      expect(wait).toBe(HOUR);
      expect(standings.map((standing) => standing.left)).toEqual([0, 97]);
    });

    it('tell the longest wait of those that are used up', async () => {
      const { store } = await start();
      const day = window(3, 24 * HOUR);
      await chargeInTurn(store, [window(3), day], 3);
      expect(await store.quotas.charge([window(3), day])).toMatchObject({ wait: 24 * HOUR });
    });

    it('forgive nothing where the clock steps back, and hold nobody longer than a window', async () => {
      const { scene, store } = await start();
      const quotas = [window(3)];
      await chargeInTurn(store, quotas, 3);
      scene.clock.seconds -= 10 * HOUR;
      expect(await store.quotas.charge(quotas)).toMatchObject({ wait: HOUR });
      scene.clock.seconds += HOUR - 1;
      expect(await chargeInTurn(store, quotas, 1)).toBe(0);
      scene.clock.seconds += 1;
      expect(await chargeInTurn(store, quotas, 1)).toBe(1);
    });

    it('refill no bucket twice where the clock steps back and on again', async () => {
      const { scene, store } = await start();
      const quotas = [bucket(10, 1)];
      await chargeInTurn(store, quotas, 10);
      for (let i = 0; i < 5; i++) {
        scene.clock.seconds -= 3;
        expect(await chargeInTurn(store, quotas, 1)).toBe(0);
        scene.clock.seconds += 3;
        expect(await chargeInTurn(store, quotas, 1)).toBe(0);
      }
      scene.clock.seconds -= 1_000_000;
      expect(await chargeInTurn(store, quotas, 1)).toBe(0);
      scene.clock.seconds += 20;
      expect(await chargeInTurn(store, quotas, 20)).toBe(10);
    });

    it('are looked at without being charged', async () => {
      const { store } = await start();
      expect(left(await store.quotas.look([window(2)]))).toEqual([2]);
      await chargeInTurn(store, [window(2)], 1);
      for (let i = 0; i < 3; i++) expect(left(await store.quotas.look([window(2)]))).toEqual([1]);
      await chargeInTurn(store, [window(2)], 1);
      expect(await store.quotas.look([window(2)])).toMatchObject({ wait: HOUR });
    });

    it('are shared by all processes on one place, whose calls may come at once', async () => {
      const { scene, store } = await start();
      const other = await scene.open();
      const verdicts = await Promise.all(
        Array.from({ length: 100 }, (_, i) => (i % 2 ? store : other).quotas.charge([window(33)])),
      );
      expect(verdicts.filter(({ wait }) => wait === 0)).toHaveLength(33);
      expect(left(await other.quotas.look([window(33)]))).toEqual([0]);
    });

    it('are kept where the store is closed and opened again', async () => {
      const { scene, store } = await start();
      await chargeInTurn(store, [window(5), bucket(9, 0.001)], 4);
      await store.close();
      expect(left(await (await scene.open()).quotas.look([window(5), bucket(9, 0.001)]))).toEqual([1, 5]);
    });

    it('are kept where what is forgettable is purged, until they are as good as new', async () => {
      const { scene, store } = await start();
      await chargeInTurn(store, [window(5)], 4);
      scene.clock.seconds += HOUR - 1;
      await store.purge();
      expect(left(await store.quotas.look([window(5)]))).toEqual([1]);
      scene.clock.seconds += 1;
      await store.purge();
      expect(left(await store.quotas.look([window(5)]))).toEqual([5]);
      // Had the row been left, the clock that steps back would bring it again.
      scene.clock.seconds -= 10;
      expect(left(await store.quotas.look([window(5)]))).toEqual([5]);
    });

    describe('inside a unit of work', () => {
      it('are charged in its commit, after those of its turn', async () => {
        const { store } = await start();
        const [bare, inside] = await Promise.all([
          store.quotas.charge([window(5)]),
          store.commitGroup.run('work', (tx) => tx.quotas.charge([window(5)])),
        ]);
        expect([bare, inside].map(left)).toEqual([[4], [3]]);
      });

      it('stay charged where the work fails, like the nonce that it claimed', async () => {
        const { store } = await start();
        const used = nonce({ created: NOW });
        const work = store.commitGroup.run('work', async (tx) => {
          await tx.nonces.claim(used);
          await tx.quotas.charge([window(5)]);
          await tx.consumers.add({ name: 'shop', roles: [], createdAt: NOW });
          throw new Error('on purpose');
        });
        await expect(work).rejects.toThrow('on purpose');
        expect(left(await store.quotas.look([window(5)]))).toEqual([4]);
        expect(await store.nonces.claim(used)).toBe('replayed');
        expect(store.consumers.find('shop')).toBeUndefined();
      });
    });
  });
}
