/** Quotas of consumers, over HTTP: what is charged, what isn't, and what the caller is told. */
import { parseList } from 'structured-headers';
import { afterEach, describe, expect, it } from 'vitest';
import type { Route } from '../../src/gateway/call.ts';
import { payingTransaction } from '../../src/gateway/middleware/limit-consumer.ts';
import { ConsumerQuotas } from '../../src/limits/consumer-quotas.ts';
import type { VerifiedRequest } from '../../src/signatures/verify-request.ts';
import { startTestGateway, type TestConsumer, type TestGateway } from '../../src/testing.ts';
import { signedRoute, startPipeline } from '../gateway/pipeline-under-test.ts';
import {
  type Answer,
  type Draft,
  problem,
  type RawRequest,
  send,
  sign,
  verifyAnswer,
} from '../gateway/wire.ts';
import { temporaryFolder } from '../testing/temporary-folder.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;
const consumer = (name: string, secret: number): TestConsumer => ({
  name,
  keyid: `${name}.test`,
  secret: Buffer.alloc(64, secret).toString('base64'),
});
const shop = consumer('shop', 1) as TestConsumer & { secret: string };
const bank = consumer('bank', 2) as TestConsumer & { secret: string };

const inFolder = temporaryFolder();
const gateways: TestGateway[] = [];
afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway.close();
});

/** A gateway where the shop has this quota, and the bank none. */
async function start(
  quota: object,
  more: { folder?: string; from?: TestGateway } = {},
): Promise<TestGateway> {
  const gateway = await startTestGateway({
    settings: { quotas: [{ consumer: 'shop', ...quota }], trustedProxies: ['127.0.0.1'] },
    consumers: [shop, bank],
    ...(more.folder && { folder: more.folder }),
    ...(more.from && { clock: more.from.clock }),
  });
  gateways.push(gateway);
  return gateway;
}

const whoami = { method: 'GET', target: '/v1/whoami' } as const;
const call = (gateway: TestGateway, draft: Draft = whoami, key = shop) =>
  send(gateway, sign(gateway, key, draft));
const from = (address: string): Draft => ({ ...whoami, headers: [['X-Forwarded-For', address]] });

async function statuses(gateway: TestGateway, times: number, draft?: Draft): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < times; i++) found.push((await call(gateway, draft)).status);
  return found;
}
const plain = (answer: Answer, field: string) =>
  Object.fromEntries(
    parseList(answer.headers.get(field) ?? '').map(([name, values]) => [name, Object.fromEntries(values)]),
  );
const left = (answer: Answer) => plain(answer, 'ratelimit')['consumer-hour'];

describe('a consumer with a quota', () => {
  it('is told on each answer what is left, under the signature', async () => {
    const gateway = await start({ perHour: 3, perDay: 5 });
    const request = sign(gateway, shop, whoami);
    const answer = await send(gateway, request);
    expect(answer.status).toBe(200);
    expect(plain(answer, 'ratelimit-policy')).toEqual({
      'consumer-hour': { q: 3, w: HOUR },
      'consumer-day': { q: 5, w: DAY },
    });
    expect(plain(answer, 'ratelimit')).toEqual({
      'consumer-hour': { r: 2, t: HOUR },
      'consumer-day': { r: 4, t: DAY },
    });
    expect(verifyAnswer(answer, request, shop)).toEqual(
      expect.arrayContaining(['"ratelimit"', '"ratelimit-policy"']),
    );
  });

  it('gets a signed 429 beyond it, which says when to come again', async () => {
    const gateway = await start({ perHour: 3 });
    expect(await statuses(gateway, 3)).toEqual([200, 200, 200]);
    gateway.clock.advance(100);
    const request = sign(gateway, shop, whoami);
    const answer = await send(gateway, request);
    expect(answer.status).toBe(429);
    expect(problem(answer)).toMatchObject({ code: 'rate-limited', 'violated-policies': ['consumer-hour'] });
    expect(answer.headers.get('retry-after')).toBe(String(HOUR - 100));
    expect(left(answer)).toEqual({ r: 0, t: HOUR - 100 });
    expect(verifyAnswer(answer, request, shop)).toEqual(
      expect.arrayContaining(['"retry-after"', '"ratelimit"', '"ratelimit-policy"', '"countersign-refusal"']),
    );
  });

  it('is served again when Retry-After has passed, and not a second before', async () => {
    const gateway = await start({ perHour: 2 });
    expect(await statuses(gateway, 3)).toEqual([200, 200, 429]);
    gateway.clock.advance(HOUR - 1);
    expect(await statuses(gateway, 1)).toEqual([429]);
    gateway.clock.advance(1);
    expect(await statuses(gateway, 3)).toEqual([200, 200, 429]);
  });

  it('is held by the day where the hour has room again', async () => {
    const gateway = await start({ perHour: 2, perDay: 3 });
    expect(await statuses(gateway, 3)).toEqual([200, 200, 429]);
    gateway.clock.advance(HOUR);
    expect(await statuses(gateway, 2)).toEqual([200, 429]);
    expect((await call(gateway)).headers.get('retry-after')).toBe(String(DAY - HOUR));
    gateway.clock.advance(DAY - HOUR);
    expect(await statuses(gateway, 2)).toEqual([200, 200]);
  });

  it('may burst, and then goes by the second', async () => {
    const gateway = await start({ perSecond: 2, burst: 4 });
    expect(await statuses(gateway, 5)).toEqual([200, 200, 200, 200, 429]);
    expect((await call(gateway)).headers.get('retry-after')).toBe('1');
    gateway.clock.advance(0.499);
    expect(await statuses(gateway, 1)).toEqual([429]);
    gateway.clock.advance(0.001);
    expect(await statuses(gateway, 2)).toEqual([200, 429]);
    gateway.clock.advance(60);
    expect(await statuses(gateway, 5)).toEqual([200, 200, 200, 200, 429]);
  });

  it('gets exactly as much where all of it is asked for at once', async () => {
    const gateway = await start({ perHour: 33 });
    const answers = await Promise.all(Array.from({ length: 100 }, () => call(gateway)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(33);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(67);
  });

  it('gains nothing where the clock steps back', async () => {
    const gateway = await start({ perHour: 1 });
    expect(await statuses(gateway, 2)).toEqual([200, 429]);
    gateway.clock.advance(-2 * HOUR);
    expect(await statuses(gateway, 1)).toEqual([429]);
  });

  it('leaves others alone, who are told nothing', async () => {
    const gateway = await start({ perHour: 1 });
    await statuses(gateway, 2);
    for (let i = 0; i < 3; i++) {
      const answer = await call(gateway, whoami, bank);
      expect(answer.status).toBe(200);
      expect(answer.headers.get('ratelimit')).toBeUndefined();
      expect(answer.headers.get('ratelimit-policy')).toBeUndefined();
    }
  });
});

describe('not charged is', () => {
  const sentTwice = async (gateway: TestGateway) => {
    const request = sign(gateway, shop, whoami);
    await send(gateway, request);
    const again = await send(gateway, request);
    return { request, again };
  };

  it('a message that was sent twice, which is told what is left all the same', async () => {
    const gateway = await start({ perHour: 3 });
    const { request, again } = await sentTwice(gateway);
    expect(problem(again).code).toBe('nonce-replayed');
    expect(left(again)).toEqual({ r: 2, t: HOUR });
    expect(verifyAnswer(again, request, shop)).toEqual(expect.arrayContaining(['"ratelimit"']));
    expect(left(await call(gateway))).toMatchObject({ r: 1 });
  });

  it('a message with a bad MAC, which is told nothing', async () => {
    const gateway = await start({ perHour: 3 });
    const answer = await send(gateway, sign(gateway, { ...shop, secret: bank.secret }, whoami));
    expect(problem(answer).code).toBe('signature-invalid');
    expect(answer.headers.get('ratelimit')).toBeUndefined();
    expect(left(await call(gateway))).toMatchObject({ r: 2 });
  });

  it('a message that has expired, since its nonce stays as it was', async () => {
    const gateway = await start({ perHour: 3 });
    const created = Math.floor(gateway.clock.now() / 1000) - 1000;
    expect(problem(await call(gateway, { ...whoami, created })).code).toBe('signature-expired');
    expect(left(await call(gateway))).toMatchObject({ r: 2 });
  });

  it('a call that was refused for the quota itself', async () => {
    const gateway = await start({ perHour: 1, perDay: 5 });
    await statuses(gateway, 10);
    gateway.clock.advance(HOUR);
    expect(plain(await call(gateway), 'ratelimit')).toMatchObject({ 'consumer-day': { r: 3 } });
  });
});

describe('charged is', () => {
  const damaged = (request: RawRequest): RawRequest => ({ ...request, body: request.body.replace('w', 'W') });

  it.each([
    [
      'a refusal of an unknown path',
      404,
      (gateway: TestGateway) => sign(gateway, shop, { ...whoami, target: '/no' }),
    ],
    ['one of a method', 405, (gateway: TestGateway) => sign(gateway, shop, { ...whoami, method: 'DELETE' })],
    [
      'one of a role',
      403,
      (gateway: TestGateway) =>
        sign(gateway, shop, { ...whoami, headers: [['Countersign-Narrow', 'nobody']] }),
    ],
    ['one of a changed body', 400, (gateway: TestGateway) => damaged(sign(gateway, shop))],
  ])('%s', async (_what, status, request) => {
    const gateway = await start({ perHour: 3 });
    const answer = await send(gateway, request(gateway));
    expect(answer.status).toBe(status);
    expect(left(answer)).toEqual({ r: 2, t: HOUR });
    expect(left(await call(gateway))).toMatchObject({ r: 1 });
  });
});

describe('where the endpoint claims the nonce in its own unit of work', () => {
  /** As the routes of idempotent endpoints do; refuses before it where it is told to. */
  const endpoint = (gateway: TestGateway, work: () => void): Route =>
    signedRoute(
      async (ctx) => {
        const { state } = ctx;
        if (ctx.get('x-refuse')) throw new Error('before the unit of work');
        state.claimed = true;
        const { keyid, nonce, created, expires } = (state.verified as VerifiedRequest).parameters;
        const verdict = await gateway.store.commitGroup.run('work', async (tx) => {
          const paying = payingTransaction(tx, state);
          const claimed = await paying.nonces.claim({ keyid, value: nonce, created, expires });
          if (claimed === 'claimed') work();
          return claimed;
        });
        ctx.body = verdict;
      },
      { idempotency: 'nonce' },
    );
  const open = async (work = () => {}) => {
    const gateway = await start({ perHour: 2 });
    const quotas = new ConsumerQuotas([
      {
        consumer: 'shop',
        perSecond: undefined,
        burst: undefined,
        perHour: 2,
        perDay: undefined,
        by: ['consumer'],
      },
    ]);
    const pipeline = await startPipeline(
      gateway,
      { '/work': { GET: endpoint(gateway, work) } },
      { quotas: () => quotas },
    );
    return pipeline;
  };
  const draft = { method: 'GET', target: '/work' };

  it('it is charged there, and only for a fresh nonce', async () => {
    let done = 0;
    const pipeline = await open(() => done++);
    const request = sign(pipeline, shop, draft);
    const answer = await send(pipeline, request);
    expect([answer.body, left(answer)]).toEqual(['claimed', { r: 1, t: HOUR }]);
    const again = await send(pipeline, request);
    expect([again.body, left(again)]).toEqual(['replayed', { r: 1, t: HOUR }]);
    expect(done).toBe(1);
    await pipeline.close();
  });

  it('it is refused there, does nothing, and a first result can still be had', async () => {
    let done = 0;
    const pipeline = await open(() => done++);
    const first = sign(pipeline, shop, draft);
    await send(pipeline, first);
    await send(pipeline, sign(pipeline, shop, draft));
    const refused = await send(pipeline, sign(pipeline, shop, draft));
    expect(refused.status).toBe(429);
    expect(refused.headers.get('retry-after')).toBe(String(HOUR));
    expect((await send(pipeline, first)).body).toBe('replayed');
    expect(done).toBe(2);
    await pipeline.close();
  });

  it('a refusal before it is charged too, once', async () => {
    const pipeline = await open();
    const request = sign(pipeline, shop, { ...draft, headers: [['X-Refuse', 'yes']] });
    expect(left(await send(pipeline, request))).toEqual({ r: 1, t: HOUR });
    expect(problem(await send(pipeline, request)).code).toBe('nonce-replayed');
    expect(left(await send(pipeline, sign(pipeline, shop, draft)))).toEqual({ r: 0, t: HOUR });
    await pipeline.close();
  });
});

it('a change through the management API is charged with its nonce, and its replay is not', async () => {
  const gateway = await start({ perHour: 2 });
  await gateway.store.commitGroup.run('grant', (tx) => tx.consumers.update('shop', { roles: ['operator'] }));
  for (const name of ['one', 'two', 'three']) await gateway.addConsumer(name);
  const removal = (name: string) =>
    sign(gateway, shop, { method: 'DELETE', target: `/v1/consumers/${name}` });
  const first = removal('one');
  const answer = await send(gateway, first);
  expect([answer.status, left(answer)]).toEqual([204, { r: 1, t: HOUR }]);
  const again = await send(gateway, first);
  expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([204, 'true']);
  expect(left(again)).toEqual({ r: 1, t: HOUR });
  expect((await send(gateway, removal('two'))).status).toBe(204);
  expect(problem(await send(gateway, removal('three'))).code).toBe('rate-limited');
  expect(gateway.store.consumers.find('three')).toBeDefined();
  expect((await send(gateway, first)).status).toBe(204);
});

describe('what is counted', () => {
  it('is the consumer, whichever of its keys it uses', async () => {
    const gateway = await start({ perHour: 2 });
    const now = Math.floor(gateway.clock.now() / 1000);
    const second = { keyid: 'shop.second', secret: Buffer.alloc(64, 3).toString('base64') };
    await gateway.store.commitGroup.run('another key', (tx) =>
      tx.consumers.addKey({
        keyid: second.keyid,
        consumer: 'shop',
        sealedSecret: gateway.store.vault.seal('key', second.keyid, Buffer.from(second.secret, 'base64')),
        createdAt: now,
        notBefore: now,
        notAfter: now + DAY,
      }),
    );
    expect(await statuses(gateway, 2)).toEqual([200, 200]);
    expect((await send(gateway, sign(gateway, second, whoami))).status).toBe(429);
  });

  it('is each address, where the quota is by address', async () => {
    const gateway = await start({ perHour: 2, by: ['address'] });
    expect(await statuses(gateway, 3, from('198.51.100.1'))).toEqual([200, 200, 429]);
    expect(await statuses(gateway, 3, from('198.51.100.2'))).toEqual([200, 200, 429]);
  });

  it('is a network of 64 bits, where addresses are of IPv6', async () => {
    const gateway = await start({ perHour: 2, by: ['address'] });
    expect(await statuses(gateway, 2, from('2001:db8::1'))).toEqual([200, 200]);
    expect(await statuses(gateway, 1, from('2001:db8::ffff'))).toEqual([429]);
    expect(await statuses(gateway, 1, from('2001:db8:0:1::1'))).toEqual([200]);
  });

  it('is kept over a restart', async () => {
    const folder = inFolder('restart');
    const first = await start({ perHour: 5, perSecond: 0.001, burst: 5 }, { folder });
    await statuses(first, 3);
    await first.close();
    const second = await start({ perHour: 5, perSecond: 0.001, burst: 5 }, { folder, from: first });
    expect(await statuses(second, 3)).toEqual([200, 200, 429]);
  });

  it('is shared by two gateways on one folder', async () => {
    const folder = inFolder('shared');
    const first = await start({ perHour: 40 }, { folder });
    const second = await start({ perHour: 40 }, { folder, from: first });
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => call(i % 2 ? first : second)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(40);
  });
});
