/** Signing and verifying over plain messages, and the Koa middleware that does both for a service. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Koa from 'koa';
import { describe, expect, expectTypeOf, it, onTestFinished } from 'vitest';
import { signedFetch } from '../../src/client/index.ts';
import {
  CountersignError,
  countersigned,
  generateSecret,
  MemoryNonces,
  type NonceGuard,
  type PlainRequest,
  type SignedMessage,
  type SignedRequest,
  signMessage,
  type VerifiedRequest,
  type VerifiedResponse,
  type VerifyOptions,
  verifyMessage,
} from '../../src/signatures/index.ts';
import { SqliteStore } from '../../src/storage/sqlite/store.ts';

const key = { keyid: 'shop.1', secret: generateSecret().toString('base64') };
const now = 1_800_000_000;

const order: PlainRequest = {
  method: 'POST',
  url: 'https://orders.example/orders?urgent',
  headers: { 'Content-Type': 'application/json' },
  body: '{"tea":2}',
};

function signed(request: PlainRequest = order, options = {}): PlainRequest & { signed: SignedRequest } {
  const message = signMessage(request, key, { created: now, ...options });
  return { ...request, headers: { ...request.headers, ...message.headers }, signed: message };
}

function verifier(options: Partial<VerifyOptions> = {}): VerifyOptions {
  return {
    keys: (keyid) => (keyid === key.keyid ? key.secret : undefined),
    nonces: new MemoryNonces(() => now),
    now,
    ...options,
  };
}

const refusal = (code: string) => expect.objectContaining({ name: 'CountersignError', code });

describe('signMessage and verifyMessage', () => {
  it('verify what was signed, and its answer', async () => {
    const request = signed();
    const verified = await verifyMessage(request, verifier());
    expect(verified.parameters).toMatchObject({ keyid: key.keyid, created: now, expires: now + 60 });

    const response = {
      status: 201,
      headers: { 'content-type': 'text/plain', location: '/orders/1' },
      body: 'ok',
    };
    const { headers } = signMessage(response, verified, { created: now });
    const answer = await verifyMessage(
      { ...response, headers: { ...response.headers, ...headers } },
      request.signed,
    );
    expect(answer.fields.get('location')).toBe('/orders/1');
    await expect(
      verifyMessage(
        { ...response, headers: { ...response.headers, ...headers }, body: 'no' },
        request.signed,
      ),
    ).rejects.toEqual(refusal('response-invalid'));
    await expect(verifyMessage(response, request.signed)).rejects.toEqual(refusal('response-unsigned'));
  });

  const mistakes: [string, string, PlainRequest | (() => PlainRequest), Partial<VerifyOptions>?][] = [
    ['signature-invalid', 'another target', { ...signed(), url: 'https://orders.example/orders' }],
    ['signature-invalid', 'another host', { ...signed(), url: 'https://others.example/orders?urgent' }],
    ['signature-invalid', 'an unknown key', signed(), { keys: () => undefined }],
    ['digest-mismatch', 'another body', { ...signed(), body: '{"tea":3}' }],
    [
      'signature-policy',
      'a body that is not covered',
      { ...signed({ ...order, method: 'GET', body: '' }), body: 'x' },
    ],
    ['signature-policy', 'another tag', signed(order, { tag: 'countersign-upstream-v1' })],
    ['signature-expired', 'age', signed(), { now: now + 91 }],
    ['clock-skew', 'a clock that is ahead', signed(), { now: now - 31 }],
    ['signature-missing', 'no signature', order],
    ['request-malformed', 'a relative url', { ...signed(), url: '/orders?urgent' }],
    [
      'target-ambiguous',
      'a path of two readings',
      () => signed({ ...order, url: 'https://orders.example/a/../b' }),
    ],
  ];
  it.each(mistakes)('refuse with %s: %s', async (code, _, request, options) => {
    const message = typeof request === 'function' ? request() : request;
    await expect(verifyMessage(message, verifier(options))).rejects.toEqual(refusal(code));
  });

  it('accept a message once, and use its nonce up where it is refused after a good MAC', async () => {
    const options = verifier();
    const request = signed();
    await expect(verifyMessage({ ...request, body: '{"tea":9}' }, options)).rejects.toEqual(
      refusal('digest-mismatch'),
    );
    await expect(verifyMessage(request, options)).rejects.toEqual(refusal('nonce-replayed'));
  });

  it('take the gateway’s own store for the nonces', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-message-'));
    const store = new SqliteStore({
      folder,
      clock: { now: () => now * 1000 },
      skew: 30,
      masterKey: undefined,
    });
    onTestFinished(() => {
      store.close();
      rmSync(folder, { recursive: true });
    });
    const options = verifier({ nonces: store.nonces });
    const request = signed();
    await verifyMessage(request, options);
    await expect(verifyMessage(request, options)).rejects.toEqual(refusal('nonce-replayed'));
  });

  it('cover the components that they are told to', async () => {
    const components = [
      '@scheme',
      '@authority',
      '@path',
      '@query',
      '@method',
      'content-digest',
      'content-type',
    ];
    const request = signed(order, { components });
    expect(request.signed.signatureBase.split('\n').slice(0, 4)).toEqual([
      '"@scheme": https',
      '"@authority": orders.example',
      '"@path": /orders',
      '"@query": ?urgent',
    ]);
    await verifyMessage(request, verifier());
  });

  it('forget nonces of messages that can not come back', () => {
    let time = now;
    const nonces = new MemoryNonces(() => time);
    const nonce = { keyid: 'k', value: 'v', created: now, expires: now + 60 };
    expect(nonces.claim(nonce)).toBe('claimed');
    expect(nonces.claim(nonce)).toBe('replayed');
    time += 60 + 360;
    expect(nonces.claim(nonce)).toBe('replayed');
    time += 31;
    expect(nonces.claim(nonce)).toBe('claimed');
  });

  it('have types that keep requests and responses apart', () => {
    expectTypeOf(signMessage(order, key)).toEqualTypeOf<SignedRequest>();
    expectTypeOf<ReturnType<typeof answerOf>>().toEqualTypeOf<SignedMessage>();
    expectTypeOf(verifyMessage).toBeCallableWith(order, verifier());
    expectTypeOf<Awaited<ReturnType<typeof verifyOf>>>().toEqualTypeOf<VerifiedRequest>();
    expectTypeOf<Awaited<ReturnType<typeof verifyAnswerOf>>>().toEqualTypeOf<VerifiedResponse>();
    expectTypeOf<SqliteStore['nonces']>().toExtend<NonceGuard>();
    // @ts-expect-error: there is no verifying without a place for nonces
    const careless: VerifyOptions = { keys: () => undefined };
    // @ts-expect-error: nobody but the verifier makes a verified request
    const forged: VerifiedRequest = { ...careless };
    expect(forged).toBeDefined();
  });
});

const answerOf = (request: VerifiedRequest) => signMessage({ status: 200, headers: {} }, request);
const verifyOf = (request: PlainRequest) => verifyMessage(request, verifier());
const verifyAnswerOf = (request: SignedRequest) => verifyMessage({ status: 200, headers: {} }, request);

describe('the Koa middleware', () => {
  async function serve(): Promise<string> {
    const app = new Koa();
    app.silent = true;
    const server = createServer((req, res) => app.callback()(req, res));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    app.use(
      countersigned({
        origin,
        nonces: new MemoryNonces(),
        maxBody: 1000,
        keys: (id) => (id === key.keyid ? key.secret : undefined),
      }),
    );
    app.use((ctx) => {
      const { keyid, body } = ctx.state.countersign;
      if (ctx.path === '/text') ctx.body = 'plain';
      else if (ctx.path === '/accepted') ctx.status = 202;
      else if (ctx.path === '/empty') ctx.status = 204;
      else if (ctx.path !== '/nowhere') ctx.body = { keyid, sent: body.toString() };
    });
    return origin;
  }

  it('lets the product’s own client through, and its answer holds', async () => {
    const url = await serve();
    const fetch = signedFetch({ ...key, url });
    const response = await fetch('/orders', { method: 'POST', body: 'hello' });
    expect(await response.json()).toEqual({ keyid: key.keyid, sent: 'hello' });
    expect(await (await fetch('/text')).text()).toBe('plain');
  });

  it.each([
    ['/nowhere', 404],
    ['/accepted', 202],
    ['/empty', 204],
  ])('signs an answer without a body as it is sent: %s', async (path, status) => {
    const fetch = signedFetch({ ...key, url: await serve() });
    for (const method of ['GET', 'HEAD']) {
      const response = await fetch(path, { method });
      expect([response.status, await response.text()]).toEqual([status, '']);
    }
  });

  it('refuses, signed where the MAC held', async () => {
    const url = await serve();
    const stranger = signedFetch({ keyid: key.keyid, secret: generateSecret(), url });
    await expect(stranger('/orders')).rejects.toMatchObject({ code: 'signature-invalid', verified: false });
    const fetch = signedFetch({ ...key, url });
    const long = fetch('/orders', { method: 'POST', body: 'x'.repeat(2000) });
    await expect(long).rejects.toMatchObject({ code: 'body-too-large', verified: true });
    expect((await globalThis.fetch(`${url}/orders`)).status).toBe(401);
    await expect(long.catch((error) => error)).resolves.toBeInstanceOf(CountersignError);
  });
});
