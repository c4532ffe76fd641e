/** A key that may do less than its consumer: from fewer places, in fewer roles, for a while. And what is told of it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { epochSeconds } from '../../src/clock.ts';
import type { KeyDraft } from '../../src/consumers/key-draft.ts';
import { addConsumer, addKey, type IssuedKey } from '../../src/consumers/registration.ts';
import { TestClock } from '../../src/testing/test-clock.ts';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import { dataFolder } from '../storage/data-folder.ts';
import { capturedLog } from './captured-log.ts';
import { type Answer, problem, send, sign, verifyAnswer } from './wire.ts';

const DAY = 86_400;
let gateway: TestGateway;
let count = 0;

beforeAll(async () => {
  gateway = await startTestGateway({ settings: { trustedProxies: ['127.0.0.1'] } });
});
afterAll(() => gateway.close());

/** A consumer of its own with the roles a and b, and a key with these limits. */
function issue(draft: KeyDraft, to = gateway): Promise<IssuedKey> {
  const consumer = { name: `shop-${++count}`, roles: ['a', 'b'] };
  return to.store.commitGroup.run('add', (tx) =>
    addConsumer(tx.consumers, to.store.vault, consumer, epochSeconds(to.clock), draft),
  );
}

/** As a trusted proxy passes it on for a client of this address. */
function from(address: string, key: IssuedKey) {
  const request = sign(gateway, key, { method: 'GET', target: '/v1/whoami' });
  request.headers.push(['X-Forwarded-For', address]);
  return request;
}

const told = ({ status, body }: Answer) => [status, JSON.parse(body).code];

describe('a key with a list of addresses', () => {
  it.each(['10.1.2.3', '2001:db8::7'])('may be used from %s, which stands in it', async (address) => {
    const key = await issue({ allow: ['10.0.0.0/8', '2001:db8::7'] });
    expect((await send(gateway, from(address, key))).status).toBe(200);
  });

  it.each(['192.0.2.1', '11.0.0.1', '2001:db8::8'])(
    'is refused from %s, which does not, with a signed answer that uses up the nonce',
    async (address) => {
      const key = await issue({ allow: ['10.0.0.0/8', '2001:db8::7'] });
      const request = from(address, key);
      const answer = await send(gateway, request);
      expect(told(answer)).toEqual([403, 'key-forbidden']);
      expect(problem(answer).detail).toContain(address);
      verifyAnswer(answer, request, key);
      // Whoever sees it pass can't deliver it from a better place.
      const again = { ...request, headers: [...request.headers.slice(0, -1)] };
      again.headers.push(['X-Forwarded-For', '10.1.2.3']);
      expect(told(await send(gateway, again))).toEqual([401, 'nonce-replayed']);
    },
  );

  it('is refused from there on the management API too, before anything is changed', async () => {
    const key = await issue({ allow: ['10.0.0.0/8'] });
    const request = sign(gateway, key, {
      target: '/v1/consumers',
      body: '{"name":"thief","roles":[]}',
    });
    request.headers.push(['X-Forwarded-For', '192.0.2.1']);
    const answer = await send(gateway, request);
    expect(told(answer)).toEqual([403, 'key-forbidden']);
    verifyAnswer(answer, request, key);
    expect(gateway.store.consumers.find('thief')).toBeUndefined();
  });

  it('does not say so to whoever has no good MAC', async () => {
    const key = await issue({ allow: ['10.0.0.0/8'] });
    const stranger = { ...key, secret: (await issue({})).secret };
    expect(told(await send(gateway, from('192.0.2.1', stranger)))).toEqual([401, 'signature-invalid']);
  });
});

describe('a key with a role subset', () => {
  it('holds what it shares with its consumer, and can not be narrowed to more', async () => {
    const key = await issue({ roleSubset: ['a:read', 'c'] });
    const call = (...headers: [string, string][]) => {
      const cover = ['@method', '@target-uri', ...headers.map(([name]) => name)];
      return send(gateway, sign(gateway, key, { method: 'GET', target: '/v1/whoami', headers, cover }));
    };
    expect(JSON.parse((await call()).body)).toMatchObject({ roles: ['a:read'] });
    expect((await call(['countersign-narrow', 'a:read'])).status).toBe(200);
    for (const role of ['a', 'b', 'c']) {
      expect(told(await call(['countersign-narrow', role]))).toEqual([403, 'role-missing']);
    }
  });
});

describe('a key with dates', () => {
  it('is refused before its beginning and from its end on', async () => {
    const clock = new TestClock();
    const own = await startTestGateway({ clock });
    const now = epochSeconds(clock);
    const key = await issue({ notBefore: now + 100, notAfter: now + 200 }, own);
    const status = async () =>
      (await send(own, sign(own, key, { method: 'GET', target: '/v1/whoami' }))).status;
    const seen: number[] = [];
    for (const at of [99, 100, 199, 200]) {
      clock.set((now + at) * 1000);
      seen.push(await status());
    }
    expect(seen).toEqual([401, 200, 200, 401]);
    await own.close();
  });
});

describe('what is told of keys', () => {
  it('is how they were used, once the gateway has stopped; refused calls are none', async () => {
    const folder = dataFolder();
    const first = await startTestGateway({ folder });
    const key = await first.addConsumer('shop');
    const idle = await first.addConsumer('idle');
    for (let call = 0; call < 3; call++) {
      await send(first, sign(first, key, { method: 'GET', target: '/v1/whoami' }));
    }
    const replayed = sign(first, key, { method: 'GET', target: '/v1/whoami' });
    for (let time = 0; time < 4; time++) await send(first, replayed);
    const at = epochSeconds(first.clock);
    await first.close();
    const second = await startTestGateway({ folder });
    expect(second.store.consumers.usageOf(key.keyid)).toEqual({ lastUsed: at, calls: 4 });
    expect(second.store.consumers.usageOf(idle.keyid)).toBeUndefined();
    await second.close();
  });

  it('is when they end: in the metrics by the day, and in the log within 14 days, 7 and 1', async () => {
    const folder = dataFolder();
    const clock = new TestClock(1_800_000_000_000);
    const log = capturedLog();
    let own = await startTestGateway({ folder, clock });
    const soon = await own.store.commitGroup.run('add', async (tx) => {
      const shop = { name: 'shop', roles: [] };
      const { vault } = own.store;
      const issued = await addConsumer(tx.consumers, vault, shop, 1_800_000_000, {
        notAfter: 1_800_000_000 + 6 * DAY,
      });
      await addKey(tx.consumers, vault, shop, 1_800_000_000, { label: 'later' });
      return issued;
    });
    const metrics = await (await fetch(`http://127.0.0.1:${own.port}/metrics`)).text();
    expect(metrics).toContain(`countersign_key_days_left{consumer="shop",keyid="${soon.keyid}"} 6\n`);
    expect(metrics.match(/^countersign_key_days_left\{consumer="shop".*\} 90$/gm)).toHaveLength(1);
    await own.close();
    own = await startTestGateway({ folder, clock, logger: log.logger });
    const warnings = log.lines.filter(({ msg }) => msg === 'a key is about to end');
    expect(warnings).toMatchObject([
      { level: 40, keyid: soon.keyid, consumer: 'shop', days: 7, detail: expect.stringContaining('6 days') },
    ]);
    await own.close();
  });
});
