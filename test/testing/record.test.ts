/** What a cassette holds of the calls that were made, and what it must never hold. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCassette, record, startTestGateway, type TestGateway } from '../../src/testing.ts';
import { temporaryFolder } from './temporary-folder.ts';

const path = temporaryFolder();
const secret = Buffer.from(Array.from({ length: 64 }, (_, i) => (i * 37 + 251) % 256));
const shop = { name: 'shop', keyid: 'shop.1', secret, roles: ['orders'] };
const NOW = Date.UTC(2026, 10, 21, 10);

let gateway: TestGateway;
let upstreamStatus = 200;

beforeAll(async () => {
  const { startTestUpstream } = await import('../../src/testing.ts');
  const upstream = await startTestUpstream(() => ({
    status: upstreamStatus,
    headers: { 'Set-Cookie': 'session=hunter2', 'X-Api-Key': 'hunter2', 'X-Tea': 'green' },
    body: Buffer.from([0xff, 0xfe]),
  }));
  gateway = await startTestGateway({
    consumers: [shop],
    settings: {
      routes: [{ path: '/orders', upstream: upstream.url, role: 'orders', setCookie: ['session'] }],
    },
  });
  gateway.clock.set(NOW);
  return () => upstream.close();
});
afterAll(() => gateway.close());

/** Everything that a test asks of the recorder: a cassette, and a client that writes to it. */
function recording(name: string, options: Parameters<typeof record>[1] = {}) {
  const file = path(name);
  const onExchange = record(file, options);
  const fetch = gateway.signedFetch(shop, { onExchange, wait: async () => {} });
  return { file, fetch };
}

describe('a recorded call', () => {
  it('is on file as it was sent and answered, before its promise settles', async () => {
    const { file, fetch } = recording('plain.jsonl');
    const headers = { 'Content-Type': 'application/json' };
    const response = await fetch('/v1/echo?a=%20b', { method: 'POST', body: '{"tea": 2}', headers });
    const { exchanges, origins } = readCassette(file);
    expect(origins).toEqual([gateway.url]);
    expect(exchanges).toHaveLength(1);
    const { at, request, response: recorded } = exchanges[0] as (typeof exchanges)[0];
    expect(at).toBe(NOW / 1000);
    expect(request).toMatchObject({ method: 'POST', target: '/v1/echo?a=%20b' });
    expect(request.body.toString()).toBe('{"tea": 2}');
    expect(request.fields.get('signature-input')).toContain('keyid="shop.1"');
    expect(recorded.status).toBe(200);
    expect(recorded.body.toString()).toBe(await response.text());
    expect(recorded.fields.get('signature')).toMatch(/^cs=:/);
  });

  it('is a refused one too, with its code', async () => {
    const { file, fetch } = recording('refused.jsonl');
    await expect(fetch('/nowhere')).rejects.toMatchObject({ code: 'not-found' });
    expect(readCassette(file).exchanges[0]?.response.refusal).toBe('not-found');
  });

  it('is each try of a call that was tried again', async () => {
    const { file, fetch } = recording('retried.jsonl');
    upstreamStatus = 503;
    await fetch('/orders');
    upstreamStatus = 200;
    expect(readCassette(file).exchanges.map(({ response }) => response.status)).toEqual([503, 503, 503]);
  });

  it('bears the time of the gateway, where the caller has another', async () => {
    const file = path('skewed.jsonl');
    const clock = { now: () => NOW + 3_600_000 };
    const fetch = gateway.signedFetch(shop, { clock, onExchange: record(file) });
    await fetch('/v1/whoami');
    const { exchanges } = readCassette(file);
    expect(exchanges.map(({ at, response }) => [at, response.refusal])).toEqual([
      [NOW / 1000, 'clock-skew'],
      [NOW / 1000, undefined],
    ]);
  });

  it('is not one that got no answer', async () => {
    const { file, fetch } = recording('lost.jsonl');
    await expect(fetch('http://127.0.0.1:1/')).rejects.toMatchObject({ code: 'connection-lost' });
    expect(readCassette(file).exchanges).toEqual([]);
  });
});

describe('a cassette begins anew', () => {
  it('with each record(), in a folder that is made', async () => {
    await recording('new/folder.jsonl').fetch('/v1/whoami');
    const { file, fetch } = recording('new/folder.jsonl');
    expect(readCassette(file).exchanges).toEqual([]);
    await fetch('/v1/whoami');
    expect(readCassette(file).exchanges).toHaveLength(1);
  });

  it('where it can be written, or fails at once', () => {
    expect(() => record(path('.'))).toThrow(/EISDIR/);
  });
});

describe('a cassette holds no secret:', () => {
  const forms: [string, (bytes: Buffer) => string | Buffer][] = [
    ['bytes', (bytes) => bytes],
    ['base64', (bytes) => bytes.toString('base64').replaceAll('=', '')],
    ['base64url', (bytes) => bytes.toString('base64url')],
    ['hex', (bytes) => bytes.toString('hex')],
    ['hex in capitals', (bytes) => bytes.toString('hex').toUpperCase()],
  ];

  it.each(forms)('not that of the key, as %s', async (_name, form) => {
    const { file, fetch } = recording('secretless.jsonl');
    await fetch('/v1/echo', { method: 'POST', body: '{}' });
    await fetch('/orders', { method: 'POST', body: Buffer.from([1, 2, 3]) });
    const content = readFileSync(file);
    expect(content.length).toBeGreaterThan(1000);
    expect(content.includes(form(secret))).toBe(false);
  });

  it.each(forms)('not even where a call sends it, as %s', async (_name, form) => {
    const { file, fetch } = recording('told.jsonl');
    const body = Buffer.concat([Buffer.from('{"mine":"'), Buffer.from(form(secret)), Buffer.from('"}')]);
    await expect(fetch('/orders', { method: 'POST', body })).rejects.toMatchObject({
      code: 'cassette-invalid',
      message: expect.stringContaining('holds the secret'),
    });
    expect(readCassette(file).exchanges).toEqual([]);
  });

  it.each(['Authorization', 'Cookie', 'X-Api-Key', 'X-Auth-Token', 'Client-Secret'])(
    'not the %s of a request, which is refused unless it is allowed',
    async (name) => {
      const headers = { [name]: 'hunter2' };
      const refusing = recording('credential.jsonl');
      await expect(refusing.fetch('/orders', { headers })).rejects.toMatchObject({
        code: 'cassette-invalid',
        message: expect.stringContaining(`allow: ['${name.toLowerCase()}']`),
      });
      expect(readFileSync(refusing.file, 'utf8')).not.toContain('hunter2');

      const allowing = recording('credential.jsonl', { allow: [name] });
      await allowing.fetch('/orders', { headers });
      const [exchange] = readCassette(allowing.file).exchanges;
      expect(exchange?.request.fields.get(name.toLowerCase())).toBe('hunter2');
    },
  );

  it('not the cookies and keys of a response, whose names stay', async () => {
    const { file, fetch } = recording('cookies.jsonl');
    await fetch('/orders');
    expect(readFileSync(file, 'utf8')).not.toContain('hunter2');
    const [exchange] = readCassette(file).exchanges;
    expect(exchange?.response.fields.get('set-cookie')).toBe('(left out)');
    expect(exchange?.response.fields.get('x-api-key')).toBe('(left out)');
    expect(exchange?.response.fields.get('x-tea')).toBe('green');
  });

  it('but an Idempotency-Key, which is none', async () => {
    const { file, fetch } = recording('keyed.jsonl');
    await expect(fetch('/orders', { method: 'POST', body: 'a', idempotencyKey: 'k' })).rejects.toMatchObject({
      code: 'idempotency-key-invalid',
    });
    expect(readCassette(file).exchanges[0]?.request.fields.get('idempotency-key')).toBe('"k"');
  });
});
