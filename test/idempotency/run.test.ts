import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CountersignError } from '../../src/errors.ts';
import type { IdempotentEndpoint } from '../../src/idempotency/endpoint.ts';
import { type CallIdentity, type EndpointCall, runEndpoint } from '../../src/idempotency/run.ts';
import { authorize } from '../../src/security/authorize.ts';
import { securityContext } from '../../src/security/security-context.ts';
import { FakeStore, type FakeTransaction, sealing } from './fake-transaction.ts';

const NOW = 1_800_000_000;
const KEY_LIFE = 3600;
const context = authorize(securityContext({ principal: 'consumer:shop', roles: ['counters'] }), 'counters');

interface Raised {
  readonly name: string;
  readonly value: number;
}
type Counter = IdempotentEndpoint<FakeTransaction, string, string, number, Raised, 'counters'>;

const counter: Counter = {
  name: 'counter.raise',
  role: 'counters',
  idempotency: 'nonce',
  parameters(input) {
    if (input === 'bad') throw new CountersignError('validation-failed', 'bad');
    return input;
  },
  loadState: (tx, name) => tx.counters.get(name) ?? 0,
  updateState: (value, name) => ({ name, value: value + 1 }),
  async apply(tx, { name, value }) {
    tx.counters.set(name, value);
    await tx.outbox.add({ topic: 'a', payload: value });
    await tx.outbox.add({ topic: 'b', payload: value });
    if (name === 'breaks') throw new CountersignError('conflict', 'on purpose');
  },
  getResponse: ({ value }) => ({ status: 200, body: { value } }),
  audit: ({ name }) => ({ subject: name }),
};

const byNonce = (value: string): CallIdentity => ({
  by: 'nonce',
  nonce: { keyid: 'k', value, created: NOW, expires: NOW + 60 },
});
const byKey = (key: string): CallIdentity => ({ by: 'key', key, principal: 'consumer:shop' });

type Call = EndpointCall<string, 'counters'>;

function ask(store: FakeStore, identity: CallIdentity, given: Partial<Call> = {}, endpoint = counter) {
  const call: Call = {
    identity,
    fingerprint: 'f',
    input: 'a',
    now: NOW,
    keyid: 'k',
    actor: 'id',
    requestId: 'r',
    authorize: () => context,
    ...given,
  };
  return runEndpoint(store, endpoint, call, { sealing, keyLife: KEY_LIFE, skew: 30 });
}

describe('an endpoint', () => {
  it('commits effect, result, audit row and messages together', async () => {
    const store = new FakeStore();
    const outcome = await ask(store, byKey('1'));
    expect(outcome).toEqual({
      result: { status: 200, body: { value: 1 } },
      replayed: false,
      keptUntil: NOW + KEY_LIFE,
    });
    expect([store.counters.get('a'), store.records.size, store.audited.length, store.sent.length]).toEqual([
      1, 1, 1, 2,
    ]);
  });

  it('that fails leaves none of them', async () => {
    const store = new FakeStore();
    await expect(ask(store, byKey('1'), { input: 'breaks' })).rejects.toMatchObject({ code: 'conflict' });
    expect([store.counters.size, store.records.size, store.audited.length, store.sent.length]).toEqual([
      0, 0, 0, 0,
    ]);
  });

  it('asks for the role before it gives the first result again', async () => {
    const store = new FakeStore();
    await ask(store, byKey('1'));
    const refuse = () => {
      throw new CountersignError('role-missing', 'gone');
    };
    await expect(ask(store, byKey('1'), { authorize: refuse })).rejects.toMatchObject({
      code: 'role-missing',
    });
  });

  it('does not check again what was good when it was first sent', async () => {
    const store = new FakeStore();
    await ask(store, byKey('1'));
    const strict: Counter = {
      ...counter,
      parameters() {
        throw new CountersignError('validation-failed', 'too late');
      },
    };
    expect((await ask(store, byKey('1'), {}, strict)).replayed).toBe(true);
  });

  it('gives its messages keys that follow from the call and their place in it', async () => {
    const [one, other] = [new FakeStore(), new FakeStore()];
    await ask(one, byKey('1'));
    await ask(other, byKey('1'));
    await ask(other, byKey('2'));
    const keys = other.sent.map(({ key }) => key);
    expect(one.sent.map(({ key }) => key)).toEqual(keys.slice(0, 2));
    expect(new Set(keys).size).toBe(4);
  });

  it('that is called once by definition remembers nothing', async () => {
    const store = new FakeStore();
    await ask(store, { by: 'once' });
    const outcome = await ask(store, { by: 'once' });
    expect(outcome).toEqual({
      result: { status: 200, body: { value: 2 } },
      replayed: false,
      keptUntil: undefined,
    });
    expect(store.records.size).toBe(0);
  });

  it('gives a secret again under a key alone', async () => {
    const store = new FakeStore();
    const secret: Counter = { ...counter, issuesSecret: true };
    await ask(store, byNonce('1'), {}, secret);
    await expect(ask(store, byNonce('1'), {}, secret)).rejects.toMatchObject({ code: 'nonce-replayed' });
    await ask(store, byKey('1'), {}, secret);
    expect((await ask(store, byKey('1'), {}, secret)).replayed).toBe(true);
  });
});

it('whatever is asked in whatever order, each identity has one effect at most, and one answer', async () => {
  const asked = fc.record({
    by: fc.constantFrom(byNonce, byKey),
    name: fc.constantFrom('1', '2', '3'),
    input: fc.constantFrom('a', 'b', 'bad', 'breaks'),
    later: fc.integer({ min: 0, max: KEY_LIFE / 2 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(asked, { maxLength: 40 }), async (calls) => {
      const store = new FakeStore();
      /** By identity: what was answered first, or that the nonce is burnt. */
      const first = new Map<string, { input: string; body: unknown; until: number } | 'burnt'>();
      const effects = new Map<string, number>();
      let now = NOW;
      for (const { by, name, input, later } of calls) {
        now += later;
        const isKey = by === byKey;
        const id = `${isKey ? 'key' : 'nonce'} ${name}`;
        const held = first.get(id);
        const known = held !== 'burnt' && isKey && held && held.until <= now ? undefined : held;
        const outcome = await ask(store, by(name), { input, fingerprint: input, now }).then(
          ({ result, replayed }) => ({ body: result.body, replayed }),
          (error: CountersignError) => error.code,
        );
        if (known === 'burnt') expect(outcome).toBe('nonce-replayed');
        else if (known && known.input !== input)
          expect(outcome).toBe(isKey ? 'idempotency-mismatch' : 'nonce-replayed');
        else if (known) expect(outcome).toEqual({ body: known.body, replayed: true });
        else if (input === 'bad' || input === 'breaks') {
          expect(outcome).toBe(input === 'bad' ? 'validation-failed' : 'conflict');
          if (!isKey) first.set(id, 'burnt');
        } else {
          const value = (effects.get(input) ?? 0) + 1;
          effects.set(input, value);
          expect(outcome).toEqual({ body: { value }, replayed: false });
          first.set(id, { input, body: { value }, until: isKey ? now + KEY_LIFE : Number.POSITIVE_INFINITY });
        }
      }
      expect(store.counters).toEqual(effects);
      const total = [...effects.values()].reduce((sum, each) => sum + each, 0);
      expect(store.audited).toHaveLength(total);
      expect(store.sent).toHaveLength(2 * total);
    }),
    { numRuns: 300 },
  );
});
