/**
 * The contract of storage/unit-of-work.ts: what commits together, or not at all.
 * @module
 */
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import type { Consumer } from '../../src/consumers/consumer.ts';
import type { Transaction } from '../../src/storage/unit-of-work.ts';
import { type MakePlace, NOW, nonce, Scene, type StoreUnderTest } from './store.ts';

export function commitGroupContract(name: string, makePlace: MakePlace): void {
  describe(`${name} keeps the contract of the unit of work`, () => {
    failures(makePlace);
    waits(makePlace);
    isolation(makePlace);
  });
}

function consumer(name: string): Omit<Consumer, 'id' | 'version'> {
  return { name, roles: ['orders'], createdAt: NOW };
}

function namesOf(store: StoreUnderTest): string[] {
  return store.consumers.list().map(({ name }) => name);
}

/** The turn after the next: something that no work may wait for. A timer could be due before the next one. */
function soon(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

function failures(makePlace: MakePlace): void {
  describe('work', () => {
    it('returns its result, after which the effect is there for everybody', async () => {
      const scene = await Scene.make(makePlace);
      const [store, other] = [await scene.open(), await scene.open()];
      const result = await store.commitGroup.run('add', async (tx) => {
        await tx.consumers.add(consumer('shop'));
        return 42;
      });
      expect(result).toBe(42);
      expect([namesOf(store), namesOf(other)]).toEqual([['shop'], ['shop']]);
    });

    it('runs in the order in which it was asked for, and sees what came before it', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const order: number[] = [];
      const works = [1, 2, 3].map((n) => store.commitGroup.run(`work ${n}`, () => order.push(n)));
      const again = store.commitGroup.run('add', (tx) => tx.consumers.add(consumer('shop')));
      const twice = store.commitGroup.run('add', (tx) => tx.consumers.add(consumer('shop')));
      await Promise.all([...works, again]);
      expect(order).toEqual([1, 2, 3]);
      await expect(twice).rejects.toMatchObject({ code: 'consumer-exists' });
    });

    it.each([
      [
        'throws',
        () => {
          throw new Error('on purpose');
        },
      ],
      ['rejects', () => Promise.reject(new Error('on purpose'))],
      [
        'rejects after a while of its own',
        async () => {
          await null;
          throw new Error('on purpose');
        },
      ],
    ])('that %s rolls back alone: its nonce stays claimed, others stand', async (_how, fail) => {
      const scene = await Scene.make(makePlace);
      const store = await scene.open();
      const [bare, used] = [nonce(), nonce()];
      const before = store.commitGroup.run('before', (tx) => tx.consumers.add(consumer('before')));
      const claim = store.nonces.claim(bare);
      const failing = store.commitGroup.run('failing', async (tx) => {
        expect(await tx.nonces.claim(used)).toBe('claimed');
        await tx.consumers.add(consumer('failing'));
        return fail();
      });
      const after = store.commitGroup.run('after', (tx) => tx.consumers.add(consumer('after')));
      await expect(failing).rejects.toThrow('on purpose');
      await Promise.all([before, claim, after]);
      expect(namesOf(store)).toEqual(['after', 'before']);
      for (const each of [store, await scene.open()]) {
        expect(await each.nonces.claim(used)).toBe('replayed');
        expect(await each.nonces.claim(bare)).toBe('replayed');
      }
    });

    it.each([[undefined], [null], ['a word'], [0]])('that throws %j fails alone too', async (thrown) => {
      const store = await (await Scene.make(makePlace)).open();
      const failing = store.commitGroup.run('failing', () => {
        throw thrown;
      });
      const standing = store.commitGroup.run('standing', (tx) => tx.consumers.add(consumer('shop')));
      expect(await Promise.allSettled([failing, standing])).toEqual([
        { status: 'rejected', reason: thrown },
        { status: 'fulfilled', value: undefined },
      ]);
      expect(namesOf(store)).toEqual(['shop']);
    });

    it('that breaks a constraint of the database fails alone', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const dates = { createdAt: NOW, notBefore: NOW, notAfter: NOW + 1 };
      const failing = store.commitGroup.run('failing', async (tx) => {
        await tx.consumers.add(consumer('half'));
        await tx.consumers.addKey({ keyid: 'x', consumer: 'nobody', sealedSecret: Buffer.of(1), ...dates });
      });
      const standing = store.commitGroup.run('standing', (tx) => tx.consumers.add(consumer('shop')));
      await expect(failing).rejects.toThrow(/FOREIGN KEY|foreign key/);
      await standing;
      expect(namesOf(store)).toEqual(['shop']);
    });

    it('that catches a failure of one step and goes on keeps the rest', async () => {
      const store = await (await Scene.make(makePlace)).open();
      await store.commitGroup.run('add', (tx) => tx.consumers.add(consumer('shop')));
      await store.commitGroup.run('add either', async (tx) => {
        try {
          await tx.consumers.add(consumer('shop'));
        } catch {
          await tx.consumers.add(consumer('shop-2'));
        }
      });
      expect(namesOf(store)).toEqual(['shop', 'shop-2']);
    });

    it('asked for by work joins a later turn, and is not lost', async () => {
      const store = await (await Scene.make(makePlace)).open();
      let inner: Promise<unknown> | undefined;
      await store.commitGroup.run('outer', (tx) => {
        inner = store.commitGroup.run('inner', (later) => later.consumers.add(consumer('inner')));
        return tx.consumers.add(consumer('outer'));
      });
      await inner;
      expect(namesOf(store)).toEqual(['inner', 'outer']);
    });

    it('in hundreds at once, half of them failing, keeps exactly the other half', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const all = Array.from({ length: 300 }, (_, i) => `shop-${String(i).padStart(3, '0')}`);
      const ends = await Promise.allSettled(
        all.map((name, i) =>
          store.commitGroup.run(name, async (tx) => {
            await tx.consumers.add(consumer(name));
            if (i % 2) throw new Error(name);
          }),
        ),
      );
      expect(ends.map(({ status }) => status)).toEqual(all.map((_, i) => (i % 2 ? 'rejected' : 'fulfilled')));
      expect(namesOf(store)).toEqual(all.filter((_, i) => i % 2 === 0));
    });
  });
}

function waits(makePlace: MakePlace): void {
  describe('work that awaits more than its transaction', () => {
    it('is rolled back and named; what came before and after it in the turn stands', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const used = nonce();
      const before = store.commitGroup.run('before', (tx) => tx.consumers.add(consumer('before')));
      const slow = store.commitGroup.run('slow work', async (tx) => {
        await tx.nonces.claim(used);
        await tx.consumers.add(consumer('slow'));
        await soon();
      });
      const after = store.commitGroup.run('after', (tx) => tx.consumers.add(consumer('after')));
      const claim = store.nonces.claim(nonce());
      await expect(slow).rejects.toThrow('"slow work"');
      await Promise.all([before, after]);
      expect(await claim).toBe('claimed');
      expect(namesOf(store)).toEqual(['after', 'before']);
      expect(await store.nonces.claim(used)).toBe('replayed');
    });

    it('does not stop the store, though it never settles', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const stuck = store.commitGroup.run('stuck', () => new Promise(() => {}));
      // A promise of another realm is no instance of ours.
      const foreign = runInNewContext('new Promise(() => {})') as Promise<void>;
      const strange = store.commitGroup.run('strange', () => foreign);
      await expect(stuck).rejects.toThrow('"stuck"');
      await expect(strange).rejects.toThrow('"strange"');
      expect(await store.nonces.claim(nonce())).toBe('claimed');
    });

    it('raises no unhandled rejection when it fails after its end', async () => {
      const store = await (await Scene.make(makePlace)).open();
      let late: () => void = () => {};
      const gate = new Promise<void>((resolve) => {
        late = resolve;
      });
      const slow = store.commitGroup.run('slow', async () => {
        await gate;
        throw new Error('too late');
      });
      await expect(slow).rejects.toThrow('"slow"');
      late();
      expect(await store.nonces.claim(nonce())).toBe('claimed');
    });

    it('may await its transaction as often as it likes', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const works = Array.from({ length: 64 }, (_, i) =>
        store.commitGroup.run(`work ${i}`, async (tx) => {
          for (let n = 0; n < 10; n++) await tx.nonces.claim(nonce());
          await tx.consumers.add(consumer(`shop-${i}`));
        }),
      );
      await Promise.all(works);
      expect(namesOf(store)).toHaveLength(64);
    });
  });

  describe('a transaction', () => {
    /** Every way in which work may have held on to its transaction. */
    const uses: [string, (tx: Transaction) => () => unknown][] = [
      ['the transaction itself', (tx) => () => tx.consumers.add(consumer('late'))],
      [
        'its consumers',
        ({ consumers }) =>
          () =>
            consumers.add(consumer('late')),
      ],
      [
        'its consumers, to disable one',
        ({ consumers }) =>
          () =>
            consumers.disable('shop', NOW),
      ],
      ['its nonces', (tx) => () => tx.nonces.claim(nonce())],
      [
        'its nonces, taken before',
        ({ nonces }) =>
          () =>
            nonces.claim(nonce()),
      ],
    ];

    it.each(uses)('used after its end throws: %s', async (_what, use) => {
      const store = await (await Scene.make(makePlace)).open();
      await store.commitGroup.run('add', (tx) => tx.consumers.add(consumer('shop')));
      let late: () => unknown = () => {};
      await store.commitGroup.run('work', (tx) => {
        late = use(tx);
      });
      expect(late).toThrow('"work"');
      await store.commitGroup.run('next', () => expect(late).toThrow('"work"'));
      expect(store.consumers.list()).toMatchObject([consumer('shop')]);
    });

    it('of work that was rolled back can do no more harm when the work wakes up', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const used = nonce();
      let woken: Promise<PromiseSettledResult<unknown>[]> | undefined;
      const slow = store.commitGroup.run('slow', ({ nonces, consumers }) => {
        const late = [async () => nonces.claim(used), async () => consumers.add(consumer('late'))];
        woken = soon().then(() => Promise.allSettled(late.map((use) => use())));
        return woken;
      });
      await expect(slow).rejects.toThrow('"slow"');
      expect(await woken).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }]);
      expect(await store.nonces.claim(used)).toBe('claimed');
      expect(namesOf(store)).toEqual([]);
    });
  });
}

function isolation(makePlace: MakePlace): void {
  describe('a reader', () => {
    it('sees nothing before the commit, of this store or another', async () => {
      const scene = await Scene.make(makePlace);
      const [store, other] = [await scene.open(), await scene.open()];
      const seen: (string[] | boolean)[] = [];
      await store.commitGroup.run('add', async (tx) => {
        await tx.consumers.add(consumer('shop'));
        seen.push(namesOf(store), namesOf(other), store.consumers.find('shop') !== undefined);
      });
      expect(seen).toEqual([[], [], false]);
      expect(namesOf(other)).toEqual(['shop']);
    });

    it('sees nothing, ever, of what was rolled back', async () => {
      const store = await (await Scene.make(makePlace)).open();
      const failing = store.commitGroup.run('add', async (tx) => {
        await tx.consumers.add(consumer('shop'));
        throw new Error('on purpose');
      });
      await expect(failing).rejects.toThrow('on purpose');
      expect(namesOf(store)).toEqual([]);
    });
  });

  describe('two stores', () => {
    it('that add the same name at once: one gets it', async () => {
      const scene = await Scene.make(makePlace);
      const stores = [await scene.open(), await scene.open()];
      const ends = await Promise.allSettled(
        stores.map((store) => store.commitGroup.run('add', (tx) => tx.consumers.add(consumer('shop')))),
      );
      expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      expect(ends.find(({ status }) => status === 'rejected')).toMatchObject({
        reason: { code: 'consumer-exists' },
      });
    });
  });
}
