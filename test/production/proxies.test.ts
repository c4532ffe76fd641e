/**
 * A signed call through nginx and Caddy, as scripts/ sets them up, arrives byte for byte and is answered with a
 * signature that holds. Skipped, with a word, where they aren't installed.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Credentials,
  createTransport,
  draftRequest,
  exchange,
  prepareRequest,
  signingKey,
  type Transport,
} from '../../src/client/index.ts';
import {
  startTestGateway,
  startTestUpstream,
  type TestGateway,
  type TestUpstream,
} from '../../src/testing.ts';
import { endAll } from '../e2e/processes.ts';
import { type CapturedLog, capturedLog } from '../gateway/captured-log.ts';
import { isInstalled, type RunningProxy, type StartProxy, startCaddy, startNginx } from './proxies.ts';

const ORIGIN = 'https://api.example.com';
const PROXIES: readonly [string, StartProxy][] = [
  ['nginx', startNginx],
  ['caddy', startCaddy],
];
const there = PROXIES.filter(([name]) => isInstalled(name));
for (const [name] of PROXIES) {
  if (!there.some(([each]) => each === name)) console.warn(`skipped: ${name} is not installed`);
}

/** Targets that a proxy could be tempted to tidy up. */
const TARGETS = [
  '/orders',
  '/orders/',
  '/orders?',
  '/orders??',
  '/orders?a=1?b=2',
  '/orders/a;v=1/b;w',
  '/orders/a;v=1?x;y',
  '/orders/a%20b%C3%A4',
  '/orders/%e2%82%ac%3F%23',
  '/orders/a%3Bb%3ac',
  '/orders/a%7Cb',
  "/orders/!$&'()*+,=:@~-._",
  '/orders?q=a+b&&c;d=%zz&e=%2e%2E%2F',
  '/orders?to=https://a.example//b/../c',
  '/orders?[]={}|^`"<>',
  '/files/a%2Fb%2fc',
];

/** What the comments in scripts/ say that each does by itself; without a refusal of the gateway it is its own answer. */
type Known = [target: string, status: number, refusal?: string];
const KNOWN: Readonly<Record<string, Known[]>> = {
  nginx: [
    ['/orders/%00', 400],
    ['/orders/%zz', 400],
    ['/../orders', 400],
    ['/orders/a|b', 200],
  ],
  caddy: [
    ['/orders/%zz', 400],
    ['/orders/a|b', 401, 'signature-invalid'],
  ],
};

describe.each(there)('through %s', (name, start) => {
  let upstream: TestUpstream;
  let gateway: TestGateway;
  let proxy: RunningProxy;
  let shop: Credentials;
  let transport: Transport;
  let log: CapturedLog;

  beforeAll(async () => {
    upstream = await startTestUpstream(({ body }) => ({ headers: { etag: '"1"' }, body }));
    log = capturedLog();
    gateway = await startTestGateway({
      logger: log.logger,
      settings: {
        origins: [ORIGIN],
        trustedProxies: ['127.0.0.1'],
        routes: [
          { path: '/orders', upstream: upstream.url, role: 'any' },
          { path: '/files', upstream: upstream.url, role: 'any', encodedSlash: true },
        ],
      },
    });
    shop = await gateway.addConsumer('shop');
    proxy = await start(gateway.port);
    transport = createTransport({ ca: proxy.ca, servername: 'api.example.com' });
  });
  afterAll(async () => {
    transport?.close();
    await endAll();
    await gateway?.close();
    await upstream?.close();
  });

  /** Signs for the public origin, and sends to the proxy. */
  function call(
    method: string,
    target: string,
    { body = '', headers = [] }: { body?: string; headers?: [string, string][] } = {},
  ) {
    const draft = draftRequest({ method, origin: ORIGIN, target: '/', headers, body });
    const message = { ...draft.message, target };
    const created = Math.floor(gateway.clock.now() / 1000);
    const prepared = prepareRequest({ ...draft, message }, signingKey(shop), { created });
    const signal = AbortSignal.timeout(30_000);
    return exchange(prepared, { transport, to: proxy.url, signal, maxResponseBody: 4 * 1024 * 1024 });
  }

  it.each(TARGETS)('%s arrives as it was signed', async (target) => {
    const { received, verified, error } = await call('GET', target);
    expect({ status: received.status, error: error?.message }).toEqual({ status: 200, error: undefined });
    expect(verified).toBeTruthy();
    expect(upstream.requests.at(-1)?.target).toBe(target);
  });

  it.each([
    '/orders//a',
    '/orders/../v1/echo',
    '/orders/%2e%2e/a',
    '/orders/./a',
    '//orders',
    '/orders/a%2fb',
  ])('%s is not tidied up, but refused', async (target) => {
    const before = upstream.requests.length;
    const { received } = await call('GET', target);
    expect(received.status).toBe(400);
    expect(received.fields.get('countersign-refusal')).toBe('target-ambiguous');
    expect(upstream.requests).toHaveLength(before);
  });

  it.each([0, 1, 20_000, 1_000_000])('a body of %i bytes arrives and comes back', async (size) => {
    const body = 'tea\n'.repeat(size / 4).padEnd(size, '.');
    const headers: [string, string][] = [
      ['Content-Type', 'text/plain'],
      ['Accept-Encoding', 'gzip'],
    ];
    const { received, verified } = await call('POST', '/orders', { body, headers: size > 0 ? headers : [] });
    expect({ status: received.status, verified: verified !== undefined }).toEqual({
      status: 200,
      verified: true,
    });
    expect(upstream.requests.at(-1)?.body.toString()).toBe(body);
    expect(received.body.toString()).toBe(body);
  });

  it('a body that is too large is refused by the gateway, with a signature', async () => {
    const body = '.'.repeat(1_500_000);
    const { received, verified } = await call('POST', '/orders', {
      body,
      headers: [['Content-Type', 'text/plain']],
    });
    expect({ status: received.status, verified: verified !== undefined }).toEqual({
      status: 413,
      verified: true,
    });
  });

  it.each(['HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])(
    '%s is answered with a signature',
    async (method) => {
      const { received, verified } = await call(method, '/orders/1');
      expect({ status: received.status, verified: verified !== undefined }).toEqual({
        status: 200,
        verified: true,
      });
      expect(upstream.requests.at(-1)?.method).toBe(method);
    },
  );

  it('no caller can say from where it calls, nor pass for one on the same machine', async () => {
    log.clear();
    const forged: [string, string][] = [
      ['X-Forwarded-For', '203.0.113.9'],
      ['X-Forwarded-Proto', 'http'],
    ];
    const { received, verified } = await call('GET', '/v1/whoami', { headers: forged });
    expect({ status: received.status, verified: verified !== undefined }).toEqual({
      status: 200,
      verified: true,
    });
    expect((await call('GET', '/metrics')).received.status).toBe(404);
    await log.until('call', 2);
    expect(log.calls.map(({ address }) => address)).toEqual(['127.0.0.1', '127.0.0.1']);
  });

  it.each<Known>(KNOWN[name] ?? [])(
    '%s is answered with %i, as scripts/ says',
    async (target, status, refusal) => {
      const { received } = await call('GET', target);
      const said = received.fields.get('countersign-refusal');
      expect({ status: received.status, said }).toEqual({ status, said: refusal });
    },
  );

  it('a message that comes again is refused', async () => {
    const first = await call('POST', '/orders', {
      body: '{}',
      headers: [['Content-Type', 'application/json']],
    });
    const { method, lines, body } = first.sent;
    const again = await transport.send(
      {
        method,
        scheme: 'https',
        authority: 'api.example.com',
        target: '/orders',
        fields: first.received.fields,
      },
      body,
      { lines, to: proxy.url, signal: AbortSignal.timeout(30_000), maxResponseBody: 1_000_000 },
    );
    expect(again.received.fields.get('countersign-refusal')).toBe('nonce-replayed');
  });
});
