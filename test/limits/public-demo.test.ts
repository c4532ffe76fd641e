/** The public demo: a key that anybody may fetch, for looking around. */
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PUBLIC_DEMO } from '../../src/consumers/public-demo.ts';
import {
  startTestGateway,
  startTestUpstream,
  type TestGateway,
  type TestUpstream,
} from '../../src/testing.ts';
import { signedRoute, startPipeline } from '../gateway/pipeline-under-test.ts';
import {
  type Answer,
  type Draft,
  type Key,
  problem,
  send,
  sendBytes,
  sign,
  verifyAnswer,
} from '../gateway/wire.ts';
import { temporaryFolder } from '../testing/temporary-folder.ts';

const DAY = 24 * 3600;
const inFolder = temporaryFolder();
let pictures: TestUpstream;
beforeAll(async () => {
  pictures = await startTestUpstream(() => ({ status: 200, body: { title: 'Orion' } }));
  return () => pictures.close();
});

const gateways: TestGateway[] = [];
afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway.close();
});
async function start(settings: object = { publicDemo: true }, options: object = {}): Promise<TestGateway> {
  const routes = [
    { path: '/pictures', upstream: pictures.url, role: 'any' },
    { path: '/private', upstream: pictures.url, role: 'private' },
  ];
  const all = { trustedProxies: ['127.0.0.1'], routes, ...settings };
  const gateway = await startTestGateway({ settings: all, ...options });
  gateways.push(gateway);
  return gateway;
}

const fetchKey = (gateway: TestGateway) =>
  sendBytes(gateway.port, `GET /v1/demo-key HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port}\r\n\r\n`);
async function keyOf(gateway: TestGateway): Promise<Key> {
  const answer = await fetchKey(gateway);
  if (answer.status !== 200) throw new Error(answer.body);
  return JSON.parse(answer.body);
}
const get = (target: string, address?: string): Draft => ({
  method: 'GET',
  target,
  ...(address && { headers: [['X-Forwarded-For', address]] }),
});
const call = (gateway: TestGateway, key: Key, draft: Draft = get('/v1/whoami')): Promise<Answer> =>
  send(gateway, sign(gateway, key, draft));

describe('where publicDemo is set', () => {
  it('C4a: the demo key can be had: 200', async () => {
    const gateway = await start();
    const answer = await fetchKey(gateway);
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toEqual({
      keyid: expect.stringMatching(/^public-demo\.[\w-]{12}$/),
      secret: expect.stringMatching(/^[\w+/]{86}==$/),
    });
    expect(answer.headers.get('cache-control')).toContain('no-store');
  });

  it('C4b: downloading a picture without the demo key: 401', async () => {
    const gateway = await start();
    const bytes = `GET /pictures/1 HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port}\r\n\r\n`;
    expect((await sendBytes(gateway.port, bytes)).status).toBe(401);
  });

  it('C4c: downloading a picture with the demo key: 200', async () => {
    const gateway = await start();
    const key = await keyOf(gateway);
    const request = sign(gateway, key, get('/pictures/1'));
    const answer = await send(gateway, request);
    expect([answer.status, JSON.parse(answer.body)]).toEqual([200, { title: 'Orion' }]);
    verifyAnswer(answer, request, key);
  });

  it("C4d: the demo key can't upload: 403", async () => {
    const gateway = await start();
    const key = await keyOf(gateway);
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const answer = await call(gateway, key, { method, target: '/pictures/1', body: '{"title":"mine"}' });
      expect([answer.status, problem(answer).code]).toEqual([403, 'key-forbidden']);
    }
    expect((await call(gateway, key, get('/private'))).status).toBe(403);
  });

  it('C7: 80 calls an hour and a day for the demo key, then 429, by key and by address', async () => {
    const folder = inFolder('c7');
    const gateway = await start({ publicDemo: true }, { folder });
    const key = await keyOf(gateway);
    for (let i = 0; i < 80; i++) {
      expect((await call(gateway, key, get('/v1/whoami', '198.51.100.1'))).status).toBe(200);
    }
    // The address and the key: another address doesn't help, with the same key.
    for (const address of ['198.51.100.1', '198.51.100.2']) {
      const request = sign(gateway, key, get('/v1/whoami', address));
      const answer = await send(gateway, request);
      expect([answer.status, problem(answer).code]).toEqual([429, 'rate-limited']);
      expect(answer.headers.get('retry-after')).toBe(String(DAY));
      verifyAnswer(answer, request, key);
    }
    // The address alone: the next key doesn't help, from the same address.
    await gateway.store.commitGroup.run('revoke', (tx) => tx.consumers.revokeKey(key.keyid, 1));
    await gateway.close();
    const next = await start({ publicDemo: true }, { folder, clock: gateway.clock });
    const another = await keyOf(next);
    expect(another.keyid).not.toBe(key.keyid);
    expect((await call(next, another, get('/v1/whoami', '198.51.100.1'))).status).toBe(429);
    expect((await call(next, another, get('/v1/whoami', '198.51.100.2'))).status).toBe(200);

    next.clock.advance(DAY);
    expect((await call(next, another, get('/v1/whoami', '198.51.100.1'))).status).toBe(200);
  });

  it('lets the key look at itself and echo, in the role demo alone', async () => {
    const gateway = await start();
    const key = await keyOf(gateway);
    expect(JSON.parse((await call(gateway, key)).body)).toEqual({
      principal: `consumer:${PUBLIC_DEMO}`,
      consumer: PUBLIC_DEMO,
      keyid: key.keyid,
      roles: ['demo'],
    });
    expect((await call(gateway, key, {})).status).toBe(200);
  });
});

describe('the public demo key is barred from', () => {
  it.each([
    ['its own keys', 'GET', '/v1/keys'],
    ['rotating itself', 'POST', '/v1/keys/rotate'],
    ['grants', 'GET', '/v1/grants'],
    ['asking for a role', 'POST', '/v1/grants', '{"role":"private"}'],
    ['consumers', 'GET', '/v1/consumers'],
    ['making one', 'POST', '/v1/consumers', '{"name":"mine","roles":[]}'],
  ])('%s', async (_what, method, target, body = '') => {
    const gateway = await start();
    const key = await keyOf(gateway);
    const answer = await call(gateway, key, { method, target, body });
    expect(answer.status).toBe(403);
    expect(answer.headers.has('signature')).toBe(true);
  });

  it.each([
    ['self-service', 'GET', { selfService: true }],
    ['what is remembered under a key', 'POST', { idempotency: 'key' }],
    ['any other change', 'POST', {}],
  ] as const)('%s, whatever the route', async (_what, method, more) => {
    const gateway = await start();
    const key = await keyOf(gateway);
    const route = signedRoute(() => expect.fail('it was let through'), more);
    const pipeline = await startPipeline(gateway, { '/v1/own': { [method]: route } });
    const answer = await send(pipeline, sign(pipeline, key, { method, target: '/v1/own', body: '' }));
    expect(answer.status).toBe(403);
    await pipeline.close();
  });
});

describe('the public demo key', () => {
  it('leaves no more nonces by refused calls than an address pays for, and others go on', async () => {
    const failures = { burst: 5, perSecond: 1 };
    const gateway = await start({ publicDemo: true, limits: { failures } });
    const key = await keyOf(gateway);
    const before = gateway.store.nonceCount;
    const codes: string[] = [];
    for (let i = 0; i < 8; i++) codes.push(problem(await call(gateway, key, get('/nowhere'))).code);
    expect(codes).toEqual([...Array(5).fill('not-found'), ...Array(3).fill('rate-limited')]);
    expect(gateway.store.nonceCount - before).toBe(5);
    expect((await call(gateway, gateway.credentials)).status).toBe(200);
    expect((await call(gateway, key, get('/v1/whoami', '10.1.1.1'))).status).toBe(200);
    gateway.clock.advance(1);
    expect((await call(gateway, key)).status).toBe(200);
  });

  it('is the same after a restart, and a new one when it has run out', async () => {
    const folder = inFolder('renewed');
    const gateway = await start({ publicDemo: true }, { folder });
    const key = await keyOf(gateway);
    await gateway.close();
    gateway.clock.advance(90 * DAY - 1);
    const second = await start({ publicDemo: true }, { folder, clock: gateway.clock });
    expect(await keyOf(second)).toEqual(key);
    expect((await call(second, key)).status).toBe(200);
    await second.close();
    gateway.clock.advance(1);
    const third = await start({ publicDemo: true }, { folder, clock: gateway.clock });
    const renewed = await keyOf(third);
    expect(renewed.keyid).not.toBe(key.keyid);
    expect((await call(third, renewed)).status).toBe(200);
    expect(problem(await call(third, key)).code).toBe('key-inactive');
  });

  it('is renewed also where the gateway runs on', async () => {
    const gateway = await start();
    const key = await keyOf(gateway);
    gateway.clock.advance(90 * DAY);
    const keys = await Promise.all([keyOf(gateway), keyOf(gateway)]);
    expect(keys[0]).toEqual(keys[1]);
    expect(keys[0]?.keyid).not.toBe(key.keyid);
    expect((await call(gateway, keys[0] as Key)).status).toBe(200);
  });

  it('is told in the audit record when it is issued', async () => {
    const gateway = await start();
    const { keyid } = await keyOf(gateway);
    const rows = [...gateway.store.audit.rows()].filter(({ subject }) => subject === PUBLIC_DEMO);
    expect(rows.map(({ action, detail }) => [action, JSON.parse(detail ?? '')])).toEqual([
      ['key.issue', { keyid }],
    ]);
  });

  it('is no other key of the consumer, and none that an operator has closed', async () => {
    const gateway = await start();
    await gateway.store.commitGroup.run('disable', (tx) => tx.consumers.disable(PUBLIC_DEMO, 1));
    expect((await fetchKey(gateway)).status).toBe(404);
    gateway.clock.advance(100 * DAY);
    expect((await fetchKey(gateway)).status).toBe(404);
  });

  it('holds the role demo alone, also where its consumer was given more by mistake', async () => {
    const gateway = await start();
    const key = await keyOf(gateway);
    await gateway.store.commitGroup.run('grant', (tx) =>
      tx.consumers.update(PUBLIC_DEMO, { roles: ['demo', 'private'] }),
    );
    expect((await call(gateway, key, get('/private'))).status).toBe(403);
    expect(JSON.parse((await call(gateway, key)).body).roles).toEqual(['demo']);
  });
});

describe('where publicDemo is not set', () => {
  it('there is no demo key to be had: 404', async () => {
    expect((await fetchKey(await start({}))).status).toBe(404);
  });

  it('one of an earlier start is good no more, and comes again as another', async () => {
    const folder = inFolder('turned-off');
    const gateway = await start({ publicDemo: true }, { folder });
    const key = await keyOf(gateway);
    await gateway.close();
    const closed = await start({}, { folder, clock: gateway.clock });
    expect((await fetchKey(closed)).status).toBe(404);
    expect(problem(await call(closed, key)).code).toBe('key-inactive');
    await closed.close();
    const opened = await start({ publicDemo: true }, { folder, clock: gateway.clock });
    expect((await keyOf(opened)).keyid).not.toBe(key.keyid);
  });
});

it('the private demo key has no quota, and the public one is another', async () => {
  const gateway = await start();
  expect((await keyOf(gateway)).keyid).not.toBe(gateway.credentials.keyid);
  for (let i = 0; i < 90; i++) expect((await call(gateway, gateway.credentials)).status).toBe(200);
});

it("an operator's consumer of the same name stops the start, and its keys are not published", async () => {
  const folder = inFolder('taken');
  const gateway = await start({}, { folder });
  await gateway.addConsumer(PUBLIC_DEMO, 'private');
  await gateway.close();
  await expect(start({ publicDemo: true }, { folder })).rejects.toMatchObject({ code: 'consumer-exists' });
});
