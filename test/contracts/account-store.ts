/**
 * The contract of accounts/account.ts: what is kept of people, what is decided and changed in one step, and what ends.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type Account, generateAccountId } from '../../src/accounts/account.ts';
import type { RefreshToken, Session } from '../../src/accounts/token-store.ts';
import type { Transaction } from '../../src/storage/unit-of-work.ts';
import { type MakePlace, NOW, Scene, type StoreUnderTest } from './store.ts';

export function accountStoreContract(name: string, makePlace: MakePlace): void {
  describe(`${name} keeps the contract of accounts`, () => {
    records(makePlace);
    secondFactors(makePlace);
    tokens(makePlace);
    purges(makePlace);
  });
}

type NewAccount = Omit<Account, 'generation' | 'version'>;

function account(given: Partial<NewAccount> = {}): NewAccount {
  return {
    id: generateAccountId(),
    firstName: 'Ada',
    lastName: 'Lovelace',
    email: 'ada@example.com',
    passwordHash: '$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA',
    roles: ['orders', 'users:read'],
    createdAt: NOW,
    ...given,
  };
}

function run<T>(store: StoreUnderTest, work: (tx: Transaction) => T | Promise<T>): Promise<T> {
  return store.commitGroup.run('a change', work);
}

/** A store that holds an account. */
async function stocked(makePlace: MakePlace) {
  const scene = await Scene.make(makePlace);
  const [store, other, ada] = [await scene.open(), await scene.open(), account()];
  await run(store, (tx) => tx.accounts.add(ada));
  return { scene, store, other, ada };
}

function records(makePlace: MakePlace): void {
  describe('accounts', () => {
    it('are found as they were put, by id and by any spelling of the address, by anybody', async () => {
      const { store, other, ada } = await stocked(makePlace);
      const bob = account({
        email: 'Bob@Example.com',
        firstName: `Robert'); DROP TABLE accounts;--`,
        lastName: '<script>alert("北")</script>',
        consumer: 'person-abcdef123456',
        emailConfirmedAt: NOW + 1,
        disabledAt: NOW + 2,
        roles: [],
      });
      await run(store, (tx) => tx.accounts.add(bob));
      expect(await other.accounts.find(ada.id)).toEqual({ ...ada, generation: 0, version: 1 });
      expect(await other.accounts.find(bob.id)).toEqual({ ...bob, generation: 0, version: 1 });
      expect((await other.accounts.findByEmail('bob@EXAMPLE.com'))?.id).toBe(bob.id);
      expect(await other.accounts.findByEmail('bob@example.org')).toBeUndefined();
      expect(await other.accounts.find(generateAccountId())).toBeUndefined();
    });

    it('have an address of their own, however it is written', async () => {
      const { store } = await stocked(makePlace);
      await run(store, (tx) => tx.accounts.add(account({ email: 'zoe\u0308@example.com' })));
      for (const email of ['ADA@example.com', 'Zo\u00eb@example.com']) {
        const again = run(store, (tx) => tx.accounts.add(account({ email })));
        await expect(again).rejects.toMatchObject({ code: 'account-exists' });
        await expect(again).rejects.not.toThrow(/@/);
      }
    });

    it('are listed in pages by id', async () => {
      const { store, ada } = await stocked(makePlace);
      const others = [1, 2, 3].map((n) => account({ email: `${n}@example.com` }));
      await run(store, async (tx) => {
        for (const each of others) await tx.accounts.add(each);
      });
      const ids = [ada, ...others].map(({ id }) => id).sort();
      expect((await store.accounts.list()).map(({ id }) => id)).toEqual(ids);
      const page = await store.accounts.list({ after: ids[0] as string, limit: 2 });
      expect(page.map(({ id }) => id)).toEqual(ids.slice(1, 3));
    });

    it('are changed in what is named alone, and count their changes', async () => {
      const { store, other, ada } = await stocked(makePlace);
      await run(store, ({ accounts }) => accounts.update(ada.id, { roles: ['operator'], disabledAt: NOW }));
      const changed = { ...ada, roles: ['operator'], generation: 0 };
      expect(await other.accounts.find(ada.id)).toEqual({ ...changed, disabledAt: NOW, version: 2 });
      const change = {
        firstName: 'A',
        lastName: 'L',
        passwordHash: 'x',
        emailConfirmedAt: NOW,
        disabledAt: null,
        consumer: 'person-1',
      };
      await run(store, ({ accounts }) => accounts.update(ada.id, change));
      const { disabledAt: _, ...set } = change;
      expect(await other.accounts.find(ada.id)).toEqual({ ...changed, ...set, version: 3 });
      await run(store, ({ accounts }) => accounts.update(ada.id, { consumer: null }));
      expect((await other.accounts.find(ada.id))?.consumer).toBeUndefined();
    });

    it('have a generation that rises by one for whoever raises it', async () => {
      const { store, other, ada } = await stocked(makePlace);
      const raised = await Promise.all(
        [store, other, store].map((each) => run(each, (tx) => tx.accounts.raiseGeneration(ada.id))),
      );
      expect(raised.sort()).toEqual([1, 2, 3]);
      expect((await other.accounts.find(ada.id))?.generation).toBe(3);
    });

    it('that are not there are refused by name', async () => {
      const { store } = await stocked(makePlace);
      const id = generateAccountId();
      for (const change of [
        (tx: Transaction) => tx.accounts.update(id, { roles: [] }),
        (tx: Transaction) => tx.accounts.raiseGeneration(id),
        (tx: Transaction) => tx.accounts.remove(id),
      ]) {
        await expect(run<unknown>(store, change)).rejects.toMatchObject({ code: 'account-unknown' });
      }
    });

    it('are removed with all that is theirs, and the address can be taken again', async () => {
      const { store, other, ada } = await stocked(makePlace);
      const code = randomBytes(32);
      const [kept, session] = [token(ada.id), sessionOf(ada.id)];
      await run(store, async ({ accounts }) => {
        await accounts.putSecondFactor({ account: ada.id, sealedSecret: Buffer.from([1]), lastStep: 0 });
        await accounts.putRecoveryCodes(ada.id, [code]);
        await accounts.refreshTokens.add(kept);
        await accounts.sessions.add(session);
      });
      await run(store, (tx) => tx.accounts.remove(ada.id));
      const { accounts } = other;
      expect([
        await accounts.find(ada.id),
        await accounts.findByEmail(ada.email),
        await accounts.secondFactor(ada.id),
        await accounts.refreshTokens.find(kept.hash),
        await accounts.sessions.find(session.hash),
      ]).toEqual([undefined, undefined, undefined, undefined, undefined]);
      expect(await accounts.recoveryCodes(ada.id)).toEqual([]);
      await run(store, (tx) => tx.accounts.add(account()));
    });
  });
}

function secondFactors(makePlace: MakePlace): void {
  describe('second factors', () => {
    it('are replaced, confirmed once, and removed with their recovery codes', async () => {
      const { store, other, ada } = await stocked(makePlace);
      const factor = { account: ada.id, sealedSecret: Buffer.from([0, 255]), lastStep: 0 };
      await run(store, (tx) =>
        tx.accounts.putSecondFactor({ ...factor, sealedSecret: Buffer.from([1]), lastStep: 9 }),
      );
      await run(store, (tx) => tx.accounts.putSecondFactor(factor));
      expect(await other.accounts.secondFactor(ada.id)).toEqual(factor);
      const confirm = (step: number) =>
        run(store, (tx) => tx.accounts.confirmSecondFactor(ada.id, NOW, step));
      expect([await confirm(0), await confirm(5), await confirm(6)]).toEqual([false, true, false]);
      expect(await other.accounts.secondFactor(ada.id)).toEqual({ ...factor, confirmedAt: NOW, lastStep: 5 });
      await run(store, async ({ accounts }) => {
        await accounts.putRecoveryCodes(ada.id, [randomBytes(32)]);
        await accounts.removeSecondFactor(ada.id);
        await accounts.removeSecondFactor(ada.id);
      });
      expect(await other.accounts.secondFactor(ada.id)).toBeUndefined();
      expect(await other.accounts.recoveryCodes(ada.id)).toEqual([]);
    });

    it('take the code of a time step once, in whatever process, and none of an older one', async () => {
      const { store, other, ada } = await stocked(makePlace);
      const use = (from: StoreUnderTest, step: number) =>
        run(from, (tx) => tx.accounts.useStep(ada.id, step));
      expect(await use(store, 1)).toBe(false);
      await run(store, (tx) =>
        tx.accounts.putSecondFactor({ account: ada.id, sealedSecret: Buffer.from([1]), lastStep: 10 }),
      );
      const together = await Promise.all([store, other, store].map((each) => use(each, 11)));
      expect(together.filter(Boolean)).toHaveLength(1);
      expect([await use(other, 10), await use(other, 11), await use(other, 12)]).toEqual([
        false,
        false,
        true,
      ]);
    });

    it('have recovery codes, each good once, and replaced all together', async () => {
      const { store, other, ada } = await stocked(makePlace);
      const [first, second, third] = [randomBytes(32), randomBytes(32), randomBytes(32)];
      await run(store, (tx) => tx.accounts.putRecoveryCodes(ada.id, [first, second]));
      const use = (from: StoreUnderTest, hash: Buffer, id = ada.id) =>
        run(from, (tx) => tx.accounts.useRecoveryCode(id, hash, NOW));
      const together = await Promise.all([store, other].map((each) => use(each, first)));
      expect(together.filter(Boolean)).toHaveLength(1);
      expect([await use(store, third), await use(store, second, generateAccountId())]).toEqual([
        false,
        false,
      ]);
      const codes = [{ hash: first, usedAt: NOW }, { hash: second }];
      expect(await other.accounts.recoveryCodes(ada.id)).toEqual(
        codes.sort((a, b) => Buffer.compare(a.hash, b.hash)),
      );
      await run(store, (tx) => tx.accounts.putRecoveryCodes(ada.id, [third]));
      expect(await other.accounts.recoveryCodes(ada.id)).toEqual([{ hash: third }]);
    });
  });
}

function token(of: string, given: Partial<RefreshToken> = {}): RefreshToken {
  const hash = randomBytes(32);
  return { hash, family: 'family', account: of, generation: 0, expiresAt: NOW + 100, ...given };
}

function sessionOf(of: string, given: Partial<Session> = {}): Session {
  const hash = randomBytes(32);
  return { hash, account: of, generation: 0, createdAt: NOW, expiresAt: NOW + 100, ...given };
}

function tokens(makePlace: MakePlace): void {
  describe('tokens', () => {
    it('are found as they were put, also after they were used', async () => {
      const { store, other, ada } = await stocked(makePlace);
      const [all, some] = [token(ada.id), token(ada.id, { roles: [], generation: 7, expiresAt: NOW + 99 })];
      await run(store, async ({ accounts }) => {
        await accounts.refreshTokens.add(all);
        await accounts.refreshTokens.add(some);
      });
      expect(await other.accounts.refreshTokens.find(some.hash)).toEqual(some);
      expect(await other.accounts.refreshTokens.find(randomBytes(32))).toBeUndefined();
      const answer = { askedBy: Buffer.from([1]), sealedAnswer: Buffer.from([2]) };
      await run(store, (tx) => tx.accounts.refreshTokens.use(all.hash, NOW, answer));
      expect(await other.accounts.refreshTokens.of(ada.id)).toEqual([
        some,
        { ...all, usedAt: NOW, ...answer },
      ]);
    });

    it('are used once, in whatever process, and a second use changes nothing', async () => {
      const { store, other, ada } = await stocked(makePlace);
      const given = token(ada.id);
      await run(store, (tx) => tx.accounts.refreshTokens.add(given));
      const use = (from: StoreUnderTest, at: number) =>
        run(from, (tx) => tx.accounts.refreshTokens.use(given.hash, at));
      const together = await Promise.all([store, other, store].map((each) => use(each, NOW)));
      expect(together.filter(Boolean)).toHaveLength(1);
      expect(await use(other, NOW + 5)).toBe(false);
      expect(await other.accounts.refreshTokens.find(given.hash)).toEqual({ ...given, usedAt: NOW });
      expect(await run(store, (tx) => tx.accounts.refreshTokens.use(randomBytes(32), NOW))).toBe(false);
    });

    it('end by family, and all of an account together', async () => {
      const { store, other, ada } = await stocked(makePlace);
      const [one, two, three] = [
        token(ada.id),
        token(ada.id, { family: 'b' }),
        token(ada.id, { family: 'b' }),
      ];
      const bob = account({ email: 'bob@example.com' });
      const bobs = token(bob.id, { family: 'c' });
      await run(store, async ({ accounts }) => {
        await accounts.add(bob);
        for (const each of [one, two, three, bobs]) await accounts.refreshTokens.add(each);
        await accounts.refreshTokens.endFamily('b');
      });
      expect(await other.accounts.refreshTokens.of(ada.id)).toEqual([one]);
      await run(store, (tx) => tx.accounts.refreshTokens.endAll(ada.id));
      expect(await other.accounts.refreshTokens.of(ada.id)).toEqual([]);
      expect(await other.accounts.refreshTokens.of(bob.id)).toEqual([bobs]);
    });

    it('are sessions too, which end one by one or all together', async () => {
      const { store, other, ada } = await stocked(makePlace);
      const sessions = [0, 1, 2].map((n) => sessionOf(ada.id, { createdAt: NOW + n, generation: n }));
      const [first, ...rest] = sessions as [Session, ...Session[]];
      await run(store, async ({ accounts }) => {
        for (const each of sessions) await accounts.sessions.add(each);
      });
      expect(await other.accounts.sessions.find(first.hash)).toEqual(first);
      await run(store, (tx) => tx.accounts.sessions.end(first.hash));
      await run(store, (tx) => tx.accounts.sessions.end(first.hash));
      expect(await other.accounts.sessions.of(ada.id)).toEqual(rest);
      await run(store, (tx) => tx.accounts.sessions.endAll(ada.id));
      expect(await other.accounts.sessions.of(ada.id)).toEqual([]);
    });

    it('are tickets too, each good once in whatever process', async () => {
      const { store, other } = await stocked(makePlace);
      const together = await Promise.all(
        [store, other, store].map((each) => run(each, (tx) => tx.accounts.useTicket('ticket', NOW))),
      );
      expect(together.filter(Boolean)).toHaveLength(1);
      expect(await run(other, (tx) => tx.accounts.useTicket('another', NOW))).toBe(true);
    });

    it('are signed with keys of which the newest comes first', async () => {
      const { store, other } = await stocked(makePlace);
      const key = (kid: string, createdAt: number) => {
        const ends = { signsUntil: createdAt + 1, verifiesUntil: createdAt + 2 };
        return { kid, sealedKey: Buffer.from([9]), publicKey: { kty: 'OKP', kid }, createdAt, ...ends };
      };
      const [old, young] = [key('a', NOW), key('b', NOW + 1)];
      await run(store, async ({ accounts }) => {
        await accounts.signingKeys.add(old);
        await accounts.signingKeys.add(young);
      });
      expect(await other.accounts.signingKeys.list()).toEqual([young, old]);
    });
  });
}

function purges(makePlace: MakePlace): void {
  describe('a purge', () => {
    it('removes what has ended by itself, and nothing else', async () => {
      const { scene, store, other, ada } = await stocked(makePlace);
      const ended = { expiresAt: NOW + 10 };
      const [oldToken, newToken] = [token(ada.id, ended), token(ada.id, { expiresAt: NOW + 11 })];
      const [oldSession, newSession] = [sessionOf(ada.id, ended), sessionOf(ada.id, { expiresAt: NOW + 11 })];
      const key = { sealedKey: Buffer.from([9]), publicKey: {}, createdAt: NOW, signsUntil: NOW + 5 };
      await run(store, async ({ accounts }) => {
        for (const each of [oldToken, newToken]) await accounts.refreshTokens.add(each);
        for (const each of [oldSession, newSession]) await accounts.sessions.add(each);
        await accounts.useTicket('old', NOW + 10);
        await accounts.useTicket('new', NOW + 11);
        await accounts.signingKeys.add({ ...key, kid: 'old', verifiesUntil: NOW + 10 });
        await accounts.signingKeys.add({ ...key, kid: 'new', verifiesUntil: NOW + 11 });
      });
      scene.clock.seconds = NOW + 10;
      await store.purge();
      const { accounts } = other;
      expect(await accounts.refreshTokens.of(ada.id)).toEqual([newToken]);
      expect(await accounts.sessions.of(ada.id)).toEqual([newSession]);
      expect((await accounts.signingKeys.list()).map(({ kid }) => kid)).toEqual(['new']);
      expect(await run(store, (tx) => tx.accounts.useTicket('old', NOW + 20))).toBe(true);
      expect(await run(store, (tx) => tx.accounts.useTicket('new', NOW + 20))).toBe(false);
      expect(await accounts.find(ada.id)).toBeDefined();
    });
  });
}
