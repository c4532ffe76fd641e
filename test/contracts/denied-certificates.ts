/**
 * The contract of consumers/denied-certificates.ts: every process on the store knows of a denial as soon as it is
 * committed, and until the certificate has ended.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { type MakePlace, NOW, Scene, type StoreUnderTest } from './store.ts';

export function deniedCertificatesContract(name: string, makePlace: MakePlace): void {
  const deny = (
    store: StoreUnderTest,
    serial: string,
    given: { deniedAt?: number; keptUntil?: number } = {},
  ) =>
    store.commitGroup.run('deny', (tx) =>
      tx.deniedCertificates.deny({ serial, deniedAt: NOW, keptUntil: NOW + 100, ...given }),
    );

  describe(`${name} keeps the contract of denied certificates`, () => {
    it('a denial is known to every store at once', async () => {
      const scene = await Scene.make(makePlace);
      const [store, other] = [await scene.open(), await scene.open()];
      for (const each of [store, other]) {
        expect([each.deniedCertificates.has('0A'), [...each.deniedCertificates.all()]]).toEqual([false, []]);
      }
      await deny(store, '0A');
      for (const each of [store, other, await scene.open()]) {
        const { deniedCertificates } = each;
        expect([deniedCertificates.has('0A'), deniedCertificates.has('0B')]).toEqual([true, false]);
        expect([...deniedCertificates.all()]).toEqual(['0A']);
      }
    });

    it('a denial that is not committed is none', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const work = store.commitGroup.run('deny', async (tx) => {
        await tx.deniedCertificates.deny({ serial: '0A', deniedAt: NOW, keptUntil: NOW + 100 });
        throw new Error('no');
      });
      await expect(work).rejects.toThrow('no');
      expect([store.deniedCertificates.has('0A'), store.deniedCertificates.all().size]).toEqual([false, 0]);
    });

    it('the set is the same as long as nothing is committed', async () => {
      const store = await (await Scene.make(makePlace)).open();
      await deny(store, '0A');
      const { deniedCertificates } = store;
      expect(deniedCertificates.all()).toBe(deniedCertificates.all());
    });

    it('a denial is forgotten after the later of its ends, and not before', async () => {
      const scene = await Scene.make(makePlace);
      const store = await scene.open();
      await deny(store, '0A');
      await deny(store, '0B', { keptUntil: NOW + 50 });
      await deny(store, '0A', { keptUntil: NOW + 20 });
      await deny(store, '0B', { keptUntil: NOW + 200 });
      const kept = async (seconds: number) => {
        scene.clock.seconds = NOW + seconds;
        await store.purge();
        return [...store.deniedCertificates.all()].sort();
      };
      expect(await kept(99)).toEqual(['0A', '0B']);
      expect(await kept(100)).toEqual(['0B']);
      expect(await kept(200)).toEqual([]);
      expect(store.deniedCertificates.has('0B')).toBe(false);
    });
  });
}
