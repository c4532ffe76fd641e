/**
 * The contract of replay/nonces.ts: what every store of nonces keeps, whatever it is built on.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { forgettable, KEPT_BEYOND, type Nonce } from '../../src/replay/nonces.ts';
import {
  claimInTurn,
  claimTogether,
  type MakePlace,
  NOW,
  nonce,
  Scene,
  SKEW,
  type StoreUnderTest,
} from './store.ts';

export function nonceStoreContract(name: string, makePlace: MakePlace): void {
  describe(`${name} keeps the contract of nonces`, () => {
    claims(makePlace);
    purges(makePlace);
  });
}

function claims(makePlace: MakePlace): void {
  describe('a claim', () => {
    it('is granted once, then for ever "replayed"', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const one = nonce();
      expect(await claimInTurn(store, [one, one, one])).toEqual(['claimed', 'replayed', 'replayed']);
    });

    it('is "replayed" on another store of the same place, and after a restart', async () => {
      const scene = await Scene.make(makePlace);
      const [first, second] = [await scene.open(), await scene.open()];
      const [one, other] = [nonce(), nonce()];
      expect(await first.nonces.claim(one)).toBe('claimed');
      expect(await second.nonces.claim(one)).toBe('replayed');
      expect(await second.nonces.claim(other)).toBe('claimed');
      expect(await first.nonces.claim(other)).toBe('replayed');
      const third = await scene.open();
      expect(await claimTogether(third, [one, other])).toEqual(['replayed', 'replayed']);
    });

    it('asked for twice at once is granted to the first', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const one = nonce();
      expect(await claimTogether(store, [one, one, { ...one }])).toEqual(['claimed', 'replayed', 'replayed']);
    });

    it('belongs to its keyid: others may use the same nonce', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const one = nonce();
      const theirs = ['shop.key-2', 'shop.key-', 'SHOP.key-1', 'bank.key-1'].map((keyid) => ({
        ...one,
        keyid,
      }));
      expect(await claimTogether(store, [one, ...theirs])).toEqual(Array(5).fill('claimed'));
      expect(await claimTogether(store, [one, ...theirs])).toEqual(Array(5).fill('replayed'));
    });

    it('takes nonces apart by each of their characters', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const longest = 'a'.repeat(128);
      const values = [
        longest,
        longest.slice(1),
        `${longest.slice(1)}b`,
        `b${longest.slice(1)}`,
        `A${longest.slice(1)}`,
      ];
      const nonces = values.map((value) => nonce({ value }));
      expect(await claimTogether(store, nonces)).toEqual(Array(5).fill('claimed'));
      expect(await claimTogether(store, nonces)).toEqual(Array(5).fill('replayed'));
    });

    it('is "replayed" under other dates too', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const one = nonce();
      await store.nonces.claim(one);
      for (const by of [-1, 1, 64, 240]) {
        const moved = { ...one, created: one.created + by, expires: one.expires + by };
        expect(await store.nonces.claim(moved)).toBe('replayed');
      }
    });

    it('is exact among 1,000 at once on two stores, whoever gets it', async () => {
      const scene = await Scene.make(makePlace);
      const stores = [await scene.open(), await scene.open()];
      const nonces = Array.from({ length: 500 }, () => nonce());
      const answers = await Promise.all(stores.map((store) => claimTogether(store, nonces)));
      const winners = nonces.map((_, i) => answers.filter((verdicts) => verdicts[i] === 'claimed').length);
      expect(winners).toEqual(Array(500).fill(1));
    });

    it('is exact among 1,000 at once of which each comes twice', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const nonces = Array.from({ length: 500 }, () => nonce());
      const verdicts = await claimTogether(store, [...nonces, ...nonces.toReversed()]);
      expect(verdicts.slice(0, 500)).toEqual(Array(500).fill('claimed'));
      expect(verdicts.slice(500)).toEqual(Array(500).fill('replayed'));
    });

    it('inside a unit of work and a bare one are the same claim', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const [one, other] = [nonce(), nonce()];
      const work = (each: Nonce) => store.commitGroup.run('claim', (tx) => tx.nonces.claim(each));
      expect(await Promise.all([work(one), store.nonces.claim(other)])).toEqual(['claimed', 'claimed']);
      expect(await Promise.all([store.nonces.claim(one), work(other)])).toEqual(['replayed', 'replayed']);
    });
  });
}

/** Claims two in turns of their own, and moves the clock to the first second at which both may be purged. */
async function usedAndForgettable(scene: Scene, store: StoreUnderTest, life = 60): Promise<Nonce> {
  const used = nonce({ expires: NOW + life });
  expect(await claimInTurn(store, [used, nonce({ expires: NOW + life })])).toEqual(['claimed', 'claimed']);
  scene.clock.seconds = used.expires + SKEW + KEPT_BEYOND;
  return used;
}

function purges(makePlace: MakePlace): void {
  describe('a purge', () => {
    it('keeps a nonce until 60 s after its message stops being acceptable', async () => {
      const scene = await Scene.make(makePlace);
      const store = await scene.open();
      const used = await usedAndForgettable(scene, store);
      scene.clock.seconds -= 1;
      await store.purge();
      expect(await store.nonces.claim(used)).toBe('replayed');
      expect(await (await scene.open()).nonces.claim(used)).toBe('replayed');
    });

    it('keeps what lives longer than its neighbours of the same turn', async () => {
      const scene = await Scene.make(makePlace);
      const store = await scene.open();
      const [short, long, last] = [1, 300, 2].map((life) => nonce({ expires: NOW + life })) as [
        Nonce,
        Nonce,
        Nonce,
      ];
      await claimTogether(store, [short, long, last]);
      await claimTogether(store, [nonce()]);
      scene.clock.seconds = NOW + 200;
      await store.purge();
      expect(await store.nonces.claim(long)).toBe('replayed');
      expect(await (await scene.open()).nonces.claim(long)).toBe('replayed');
      for (const each of [short, last]) expect(await store.nonces.claim(each)).not.toBe('claimed');
    });

    it('never makes a nonce good again, on the store that purged, on another, after a restart', async () => {
      const scene = await Scene.make(makePlace);
      const [store, following] = [await scene.open(), await scene.open()];
      const used = await usedAndForgettable(scene, store);
      expect(await following.nonces.claim(nonce())).toBe('claimed');
      await store.purge();
      for (const each of [store, following, await scene.open()]) {
        expect(await each.nonces.claim(used)).not.toBe('claimed');
      }
    });

    it('makes a message that lies behind its horizon "expired" when the clock then steps back', async () => {
      const scene = await Scene.make(makePlace);
      const store = await scene.open();
      const used = await usedAndForgettable(scene, store);
      await store.purge();
      scene.clock.seconds = NOW;
      const unseen = nonce({ expires: used.expires });
      const stores = [store, await scene.open()];
      for (const each of stores) {
        expect(await claimInTurn(each, [used, unseen])).toEqual(['expired', 'expired']);
      }
    });

    it('has a horizon that never moves back: purging again on the earlier clock changes nothing', async () => {
      const scene = await Scene.make(makePlace);
      const store = await scene.open();
      const used = await usedAndForgettable(scene, store);
      await store.purge();
      scene.clock.seconds = NOW - 1000;
      await store.purge();
      const stores = [store, await scene.open()];
      await (stores[1] as StoreUnderTest).purge();
      for (const each of stores) expect(await each.nonces.claim(used)).toBe('expired');
    });

    it('holds also on a store that was idle all the while', async () => {
      const scene = await Scene.make(makePlace);
      const [store, idle] = [await scene.open(), await scene.open()];
      const used = await usedAndForgettable(scene, store);
      await store.purge();
      scene.clock.seconds = NOW;
      expect(await idle.nonces.claim(used)).toBe('expired');
      expect(await idle.nonces.claim(nonce({ expires: used.expires + 1 }))).toBe('claimed');
    });

    it('on a clock a year ahead refuses no more than what may have been used', async () => {
      const scene = await Scene.make(makePlace);
      const store = await scene.open();
      const used = await usedAndForgettable(scene, store, 300);
      scene.clock.seconds = NOW + 365 * 86_400;
      await store.purge();
      scene.clock.seconds = NOW;
      const stores = [store, await scene.open()];
      for (const each of stores) {
        expect(await each.nonces.claim(used)).toBe('expired');
        expect(await each.nonces.claim(nonce({ expires: used.expires + 1 }))).toBe('claimed');
      }
    });

    it('on a place without nonces refuses nothing afterwards', async () => {
      const scene = await Scene.make(makePlace);
      const store = await scene.open();
      scene.clock.seconds = NOW + 365 * 86_400;
      await store.purge();
      scene.clock.seconds = NOW;
      expect(await store.nonces.claim(nonce({ expires: NOW + 1 }))).toBe('claimed');
    });

    it('by two stores at once, amid claims, loses nothing', async () => {
      const scene = await Scene.make(makePlace);
      const stores = [await scene.open(), await scene.open()];
      await usedAndForgettable(scene, stores[0] as StoreUnderTest);
      const fresh = Array.from({ length: 50 }, () => nonce({ created: scene.clock.seconds }));
      const [one, other] = stores as [StoreUnderTest, StoreUnderTest];
      const [answers] = await Promise.all([claimInTurn(one, fresh), one.purge(), other.purge()]);
      expect(answers).toEqual(Array(50).fill('claimed'));
      expect(await claimTogether(other, fresh)).toEqual(Array(50).fill('replayed'));
    });

    it('may forget exactly what lies its margin behind the clock', () => {
      expect(forgettable(NOW, SKEW)).toBe(NOW - 90);
    });
  });
}
