/** The client against the gateway itself. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type SignedFetchOptions, signedFetch } from '../../src/client/index.ts';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import { rejection } from './peer.ts';

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startTestGateway();
});
afterAll(() => gateway.close());

function client(options?: SignedFetchOptions) {
  return signedFetch({ ...gateway.credentials, url: gateway.url }, options);
}

const hello = (idempotencyKey?: string) => ({
  method: 'POST',
  body: '{"hello":"world"}',
  headers: { 'Content-Type': 'application/json' },
  ...(idempotencyKey && { idempotencyKey }),
});

it('calls, and verifies the answer', async () => {
  const response = await client()('/v1/echo', hello());
  expect([response.status, response.headers.get('content-type')]).toEqual([
    200,
    'application/json; charset=utf-8',
  ]);
  expect(await response.json()).toEqual({ consumer: 'demo', echo: { hello: 'world' } });
});

it('verifies the answer to HEAD', async () => {
  const error = await rejection(client()('/v1/echo', { method: 'HEAD' }));
  expect(error).toMatchObject({ code: 'method-not-allowed', status: 405, verified: true });
});

it.each<[string, string, RequestInit, object]>([
  ['an unknown path', '/nowhere', {}, { code: 'not-found', status: 404, verified: true }],
  [
    'a body that is not JSON',
    '/v1/echo',
    { ...hello(), body: '{' },
    { code: 'json-malformed', status: 400, verified: true },
  ],
  [
    'a key where none is kept',
    '/v1/echo',
    hello('k'),
    { code: 'idempotency-key-invalid', status: 400, verified: true },
  ],
  ['an ambiguous target', '/a//b', {}, { code: 'target-ambiguous', status: 400, verified: false }],
  [
    'a body over the limit',
    '/v1/echo',
    { ...hello(), body: 'x'.repeat(1024 * 1024 + 1) },
    { code: 'body-too-large', status: 413, verified: true },
  ],
])('throws the refusal of %s', async (_, path, init, expected) => {
  expect(await rejection(client()(path, init))).toMatchObject({ name: 'CountersignError', ...expected });
});

it('shows with a wrong secret the base that the gateway computed, as a hint', async () => {
  const wrong = signedFetch({ ...gateway.credentials, secret: Buffer.alloc(64), url: gateway.url });
  expect(await rejection(wrong('/v1/whoami'))).toMatchObject({
    code: 'signature-invalid',
    verified: false,
    members: { signatureBase: expect.stringContaining('"@method": GET\n') },
  });
});

it.each([
  ['ahead', 600, 'signature-expired'],
  ['behind', -600, 'clock-skew'],
])('a gateway 10 minutes %s is called with success at the second try', async (_, seconds, code) => {
  const tries: (string | undefined)[] = [];
  const call = client({
    clock: { now: () => gateway.clock.now() - seconds * 1000 },
    onExchange: ({ error }) => void tries.push(error?.code),
  });
  expect((await call('/v1/echo', hello())).status).toBe(200);
  expect((await call('/v1/echo', hello())).status).toBe(200);
  expect(tries).toEqual([code, undefined, undefined]);
});
