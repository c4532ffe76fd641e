/** Clients that others wrote call a running gateway over fetch, and their verifiers accept what it answers. */
import { createHash, createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import * as sig from 'http-message-sig';
import { createSigner, createVerifier, httpbis } from 'http-message-signatures';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';

let gateway: TestGateway;
let secret: Buffer;

beforeAll(async () => {
  gateway = await startTestGateway();
  secret = Buffer.from(gateway.credentials.secret, 'base64');
});
afterAll(() => gateway.close());

interface Call {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
}

interface Received {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** A stranger's client: nothing of ours is in it. */
interface Stranger {
  /** @returns the header fields to send. */
  sign(call: Call, components: readonly string[]): Promise<Record<string, string>>;
  verifies(received: Received, call: Call): Promise<boolean>;
}

const now = () => Math.floor(Date.now() / 1000);
const TAG = 'countersign-request-v1';

const hmac = () => ({
  algorithm: 'hmac-sha256',
  sign: (data: Uint8Array) => createHmac('sha256', secret).update(data).digest(),
  verify: (data: Uint8Array, signature: Uint8Array) =>
    signature.length === 32 && timingSafeEqual(createHmac('sha256', secret).update(data).digest(), signature),
});

const strangers: Record<string, Stranger> = {
  'http-message-signatures': {
    async sign(call, components) {
      const { headers } = await httpbis.signMessage(
        {
          key: createSigner(secret, 'hmac-sha256', gateway.credentials.keyid),
          fields: [...components],
          params: ['created', 'expires', 'nonce', 'keyid', 'alg', 'tag'],
          paramValues: {
            created: new Date(now() * 1000),
            expires: new Date((now() + 60) * 1000),
            nonce: randomUUID(),
            tag: TAG,
          },
        },
        call,
      );
      return headers as Record<string, string>;
    },
    async verifies({ status, headers }, call) {
      const key = {
        id: gateway.credentials.keyid,
        algs: ['hmac-sha256'],
        verify: createVerifier(secret, 'hmac-sha256'),
      };
      const keyLookup = async ({ keyid }: { keyid?: string }) => (keyid === key.id ? key : null);
      const verdict = httpbis.verifyMessage({ keyLookup, all: true }, { status, headers }, call);
      return Boolean(await verdict.catch(() => false));
    },
  },
  'http-message-sig': {
    async sign(call, components) {
      const parameters = {
        created: now(),
        expires: now() + 60,
        nonce: randomUUID(),
        keyid: gateway.credentials.keyid,
        alg: 'hmac-sha256',
        tag: TAG,
      };
      const signed = await sig.createSignature(requestOf(call), {
        label: 'sig1',
        components: [...components],
        parameters,
        signer: hmac(),
      });
      return { ...call.headers, 'Signature-Input': signed.signatureInput, Signature: signed.signature };
    },
    async verifies({ status, headers }, call) {
      const verdict = sig.verifySignature(
        { kind: 'response', status, fields: listOf(headers), request: requestOf(call) },
        {
          policy: {
            algorithms: ['hmac-sha256'],
            requiredComponents: ['@status', 'content-digest'],
            requiredParameters: ['created', 'expires', 'nonce', 'keyid', 'alg', 'tag'],
            maxAge: 60,
          },
          resolveVerifier: hmac,
        },
      );
      return Boolean(await verdict.catch(() => false));
    },
  },
};

const listOf = (headers: Record<string, string>) =>
  Object.entries(headers).map(([name, value]) => ({ name, value }));
const requestOf = ({ method, url, headers }: Call) => ({
  kind: 'request' as const,
  method,
  targetUri: url,
  requestTarget: url.slice(new URL(url).origin.length),
  fields: listOf(headers),
});

const digestOf = (body: string) => `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;

function post(path: string, body: string): Call {
  const headers = { 'Content-Type': 'application/json', 'Content-Digest': digestOf(body) };
  return { method: 'POST', url: gateway.url + path, headers, body };
}

const get = (path: string): Call => ({ method: 'GET', url: gateway.url + path, headers: {} });

async function sendSigned(call: Call): Promise<Received> {
  const response = await fetch(call.url, call);
  return {
    status: response.status,
    headers: Object.fromEntries(response.headers),
    body: await response.text(),
  };
}

const BODY = ['content-digest', 'content-type'];

describe.each(Object.entries(strangers))('%s', (_name, stranger) => {
  const signed = async (call: Call, components: readonly string[]): Promise<Call> => ({
    ...call,
    headers: await stranger.sign(call, components),
  });
  const expectVerified = async (received: Received, call: Call) => {
    expect(received.headers['content-digest']).toBe(digestOf(call.method === 'HEAD' ? '' : received.body));
    expect(await stranger.verifies(received, call)).toBe(true);
  };

  it.each([
    ['the target whole', ['@method', '@target-uri', ...BODY]],
    ['the target in parts', ['@method', '@scheme', '@authority', '@path', '@query', ...BODY]],
    ['more, in another order', [...BODY, '@request-target', '@query', '@target-uri', '@method']],
  ])('gets 200 from /v1/echo, covering %s, and accepts the answer', async (_what, components) => {
    const call = await signed(post('/v1/echo?a=1&b=%20c', '{"hello":"world"}'), components);
    const received = await sendSigned(call);
    expect(received).toMatchObject({
      status: 200,
      body: '{"consumer":"demo","echo":{"hello":"world"}}',
    });
    await expectVerified(received, call);
  });

  it('accepts what answers a GET and a HEAD', async () => {
    for (const method of ['GET', 'HEAD']) {
      const call = await signed({ ...get('/v1/whoami'), method }, ['@method', '@target-uri']);
      const received = await sendSigned(call);
      expect(received.status).toBe(200);
      await expectVerified(received, call);
    }
  });

  it('accepts refusals that are signed', async () => {
    const echo = await signed(post('/v1/echo', '{}'), ['@method', '@target-uri', ...BODY]);
    await sendSigned(echo);
    const calls: [Call, string][] = [
      [echo, 'nonce-replayed'],
      [await signed(get('/nowhere'), ['@method', '@target-uri']), 'not-found'],
      [
        {
          ...(await signed(post('/v1/echo', '{"a":1}'), ['@method', '@target-uri', ...BODY])),
          body: '{"a":2}',
        },
        'digest-mismatch',
      ],
    ];
    for (const [call, code] of calls) {
      const received = await sendSigned(call);
      expect(JSON.parse(received.body)).toMatchObject({ code });
      await expectVerified(received, call);
    }
  });

  it('rejects an answer that was changed, or that answers another call', async () => {
    const components = ['@method', '@target-uri'];
    const call = await signed(get('/v1/whoami'), components);
    const received = await sendSigned(call);
    const other = await signed(get('/v1/ping'), components);
    expect(await stranger.verifies(received, call)).toBe(true);
    expect(await stranger.verifies({ ...received, status: 201 }, call)).toBe(false);
    expect(await stranger.verifies(received, { ...other, headers: call.headers })).toBe(false);
    const headers = { ...received.headers, 'content-type': 'text/html' };
    expect(await stranger.verifies({ ...received, headers }, call)).toBe(false);
  });

  it('is told the signature base that it should have signed', async () => {
    const components = ['@method', '@target-uri', ...BODY];
    const call = await signed(post('/v1/echo', '{}'), components);
    const wrong = { ...call, headers: { ...call.headers, 'Content-Type': 'text/plain' } };
    const { status, body } = await sendSigned(wrong);
    expect(status).toBe(401);
    const { code, signatureBase } = JSON.parse(body);
    expect(code).toBe('signature-invalid');
    const input = Object.entries(call.headers).find(
      ([name]) => name.toLowerCase() === 'signature-input',
    )?.[1];
    expect(signatureBase.split('\n')).toEqual([
      '"@method": POST',
      `"@target-uri": ${gateway.url}/v1/echo`,
      `"content-digest": ${digestOf('{}')}`,
      '"content-type": text/plain',
      `"@signature-params": ${input?.slice(input.indexOf('=') + 1)}`,
    ]);
  });
});
