/** What the client sends is what it signed, whatever it was given. */
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createTransport,
  draftRequest,
  exchange,
  openResponse,
  prepareRequest,
  type SignedInit,
  signingKey,
} from '../../src/client/index.ts';
import { clientOf, KEYID, rejection, SECRET, startPeer } from './peer.ts';

interface Echo {
  readonly method: string;
  readonly target: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Calls an echo; what comes back is what a peer has read and verified. */
async function sentWith(input: string | URL | Request, init?: SignedInit): Promise<Echo & { text: string }> {
  const peer = await startPeer();
  const echo = (await (await clientOf(peer)(resolved(input, peer.url), init)).json()) as Echo;
  return { ...echo, text: Buffer.from(echo.body, 'base64').toString() };
}

const resolved = (input: string | URL | Request, base: string) =>
  input instanceof URL ? new URL(input.pathname + input.search, base) : input;

const ABC = Buffer.from('xxabcxx').subarray(2, 5);

const bodies: [string, () => SignedInit['body'], string, string][] = [
  ['a string', () => 'Grüße', 'Grüße', 'text/plain;charset=UTF-8'],
  ['a Buffer', () => ABC, 'abc', 'application/octet-stream'],
  ['a typed array', () => new Uint16Array([0x6261, 0x6463]), 'abcd', 'application/octet-stream'],
  [
    'a view of a part',
    () => new DataView(new TextEncoder().encode('xabcx').buffer, 1, 3),
    'abc',
    'application/octet-stream',
  ],
  ['an ArrayBuffer', () => new TextEncoder().encode('abc').buffer, 'abc', 'application/octet-stream'],
  [
    'URLSearchParams',
    () => new URLSearchParams({ a: '1 2', b: 'ü' }),
    'a=1+2&b=%C3%BC',
    'application/x-www-form-urlencoded;charset=UTF-8',
  ],
  ['a Blob', () => new Blob(['abc'], { type: 'text/csv' }), 'abc', 'text/csv'],
  ['a Blob without a type', () => new Blob(['abc']), 'abc', 'application/octet-stream'],
  ['a web stream', () => new Blob(['abc']).stream(), 'abc', 'application/octet-stream'],
  [
    'a Node stream',
    () => Readable.from([Buffer.from('ab'), Buffer.from('c')]),
    'abc',
    'application/octet-stream',
  ],
  ['an async generator', chunks, 'abc', 'application/octet-stream'],
];

async function* chunks(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('a');
  yield Buffer.from('bc');
}

describe('a body is signed and sent, given as', () => {
  it.each(bodies)('%s', async (_, body, text, type) => {
    const sent = await sentWith('/echo', { method: 'POST', body: body() ?? null });
    expect([sent.text, sent.fields['content-type']]).toEqual([text, type]);
    expect(sent.fields['content-length']).toBe(String(Buffer.byteLength(text)));
  });

  it('FormData', async () => {
    const body = new FormData();
    body.set('name', 'Grüße');
    body.set('file', new File(['abc'], 'a.txt'));
    const sent = await sentWith('/echo', { method: 'POST', body });
    const type = sent.fields['content-type'] ?? '';
    expect(type).toMatch(/^multipart\/form-data; boundary=/);
    const read = await new Response(Buffer.from(sent.body, 'base64'), {
      headers: { 'content-type': type },
    }).formData();
    expect([read.get('name'), await (read.get('file') as File).text()]).toEqual(['Grüße', 'abc']);
  });

  it('nothing: then there is no digest, and no type', async () => {
    const { fields } = await sentWith('/echo', { method: 'POST' });
    expect([fields['content-length'], fields['content-digest'], fields['content-type']]).toEqual([
      '0',
      undefined,
      undefined,
    ]);
  });

  it('a Request', async () => {
    const peer = await startPeer();
    const request = new Request(`${peer.url}/echo?a=1`, {
      method: 'PUT',
      body: 'abc',
      headers: { 'X-Shop': '7' },
    });
    const sent = (await (await clientOf(peer)(request)).json()) as Echo;
    expect(sent).toMatchObject({ method: 'PUT', target: '/echo?a=1', body: ABC.toString('base64') });
    expect(sent.fields).toMatchObject({ 'x-shop': '7', 'content-type': 'text/plain;charset=UTF-8' });
  });

  it('a Request, of which the second argument changes a part', async () => {
    const peer = await startPeer();
    const request = new Request(`${peer.url}/echo`, { method: 'PUT', body: 'abc' });
    const init = { method: 'POST', body: 'xyz', headers: { 'Content-Type': 'a/b' } };
    const sent = (await (await clientOf(peer)(request, init)).json()) as Echo;
    expect([sent.method, Buffer.from(sent.body, 'base64').toString(), sent.fields['content-type']]).toEqual([
      'POST',
      'xyz',
      'a/b',
    ]);
  });

  it('bytes that the caller overwrites at once: the copy is sent', async () => {
    const peer = await startPeer();
    const body = Buffer.from('abc');
    const call = clientOf(peer)('/echo', { method: 'POST', body });
    body.fill(0);
    const { body: sent } = (await (await call).json()) as Echo;
    expect(Buffer.from(sent, 'base64').toString()).toBe('abc');
  });
});

describe('the target is that of fetch', () => {
  it.each([
    ['/a?', '/a'],
    ['/a#part', '/a'],
    ['/a?#part', '/a'],
    ['/a?b=1#part', '/a?b=1'],
    ['/a/../b', '/b'],
    ['/ü?ü', '/%C3%BC?%C3%BC'],
    ['/a%2Fb?c=%2f', '/a%2Fb?c=%2f'],
    ['', '/'],
  ])('%s is sent as %s', async (input, target) => {
    expect((await sentWith(input)).target).toBe(target);
  });

  it('a URL object, and another host than that of the credentials', async () => {
    expect((await sentWith(new URL('http://other.example/a?b'))).target).toBe('/a?b');
  });
});

describe('header fields', () => {
  it('of the caller are all covered, but for those that are rewritten on the way', async () => {
    const peer = await startPeer();
    const headers = {
      'X-Shop': '7',
      Accept: 'text/csv',
      'User-Agent': 'shop',
      Traceparent: '00-1-1-00',
      Range: 'bytes=0-1',
    };
    await clientOf(peer)('/echo', { headers, idempotencyKey: 'order "7"' });
    const [call] = peer.calls;
    expect(call?.request.covered.components.map(({ name }) => name)).toEqual([
      '@method',
      '@target-uri',
      'idempotency-key',
      'accept',
      'range',
      'x-shop',
    ]);
    expect(call?.request.message.fields.get('user-agent')).toBe('shop');
  });

  it('of the connection and the signature are the client’s to set', async () => {
    const peer = await startPeer();
    const headers = {
      Host: 'evil.example',
      Connection: 'x-shop',
      'Content-Length': '1',
      'Transfer-Encoding': 'chunked',
      'Accept-Encoding': 'gzip',
      'Content-Digest': 'sha-256=:AAAA:',
      'Signature-Input': 'cs=()',
      Signature: 'cs=:AAAA:',
      'X-Shop': '7',
    };
    const sent = (await (
      await clientOf(peer)('/echo', { method: 'POST', body: 'abc', headers })
    ).json()) as Echo;
    expect(sent.fields).toMatchObject({
      host: new URL(peer.url).host,
      connection: 'keep-alive',
      'content-length': '3',
      'accept-encoding': 'identity',
      'x-shop': '7',
    });
    expect(sent.fields).not.toHaveProperty('transfer-encoding');
  });

  it('bear an idempotency key as a structured-field string', async () => {
    const { fields } = await sentWith('/echo', { method: 'POST', idempotencyKey: 'order "7"' });
    expect(fields['idempotency-key']).toBe('"order \\"7\\""');
  });

  it('say when, for how long, and with which nonce', async () => {
    const clock = { now: () => 1_800_000_000_900 };
    const peer = await startPeer(undefined, { now: () => 1_800_000_000 });
    await clientOf(peer, { clock })('/echo');
    await clientOf(peer, { clock, life: 5 })('/echo');
    const [first, second] = peer.calls.map(({ request }) => request.parameters);
    expect(first).toMatchObject({ created: 1_800_000_000, expires: 1_800_000_060, keyid: KEYID });
    expect(second).toMatchObject({ created: 1_800_000_000, expires: 1_800_000_005 });
    expect(first?.nonce).toMatch(/^[\w-]{32}$/);
    expect(second?.nonce).not.toBe(first?.nonce);
  });
});

describe('a call that can not be sent is refused with a sentence', () => {
  const stuck = () => new ReadableStream({ pull: () => new Promise(() => {}) });
  it.each<[string, string, SignedInit, RegExp]>([
    ['no URL', 'http://', {}, /not a URL/],
    ['another scheme', 'ftp://127.0.0.1/', {}, /"ftp:"/],
    ['a password in the URL', 'http://a:b@127.0.0.1/', {}, /password/],
    ['a GET with a body', '/', { body: 'x' }, /GET has no body/],
    ['a method that is no token', '/', { method: 'A B' }, /token/],
    ['TRACE', '/', { method: 'trace' }, /TRACE/],
    [
      'a plain object as a body',
      '/',
      { method: 'POST', body: { a: 1 } as unknown as string },
      /\[object Object\]/,
    ],
    ['a stream of text', '/', { method: 'POST', body: Readable.from(['a']) }, /bytes/],
    ['a stream over the limit', '/', { method: 'POST', body: chunks() }, /exceeds 2 bytes.*maxRequestBody/],
    ['a blob over the limit', '/', { method: 'POST', body: new Blob(['abc']) }, /exceeds 2 bytes/],
    ['an idempotency key beyond ASCII', '/', { idempotencyKey: 'ü' }, /idempotencyKey/],
    ['an idempotency key too long', '/', { idempotencyKey: 'x'.repeat(256) }, /255/],
    ['an empty idempotency key', '/', { idempotencyKey: '' }, /1 to 255/],
    ['a field value beyond ASCII', '/', { headers: { 'X-Shop': 'é' } }, /x-shop/],
    ['a line break in a field', '/', { headers: { 'X-Shop': 'a\nb' } }, /header fields/],
    [
      'more fields than a signature covers',
      '/',
      { headers: Object.fromEntries(Array.from({ length: 31 }, (_, i) => [`x-${i}`, '1'])) },
      /33 components/,
    ],
  ])('%s', async (_, input, init, reason) => {
    const peer = await startPeer();
    const error = (await rejection(clientOf(peer, { maxRequestBody: 2 })(input, init))) as Error;
    expect([error.name, (error as Error & { code: string }).code]).toEqual([
      'CountersignError',
      'request-invalid',
    ]);
    expect(error.message).toMatch(reason);
    expect(peer.calls).toHaveLength(0);
  });

  it('a relative URL without one to resolve it against', async () => {
    const { signedFetch } = await import('../../src/client/index.ts');
    expect(await rejection(signedFetch({ keyid: KEYID, secret: SECRET })('/echo'))).toMatchObject({
      code: 'request-invalid',
      message: expect.stringMatching(/name no "url"/),
    });
  });

  it('a Request whose body was read', async () => {
    const peer = await startPeer();
    const request = new Request(`${peer.url}/echo`, { method: 'POST', body: 'abc' });
    await request.text();
    expect(await rejection(clientOf(peer)(request))).toMatchObject({ code: 'request-invalid' });
  });

  it('while a stream that fails, fails the call with its own error, and one that is given up is cancelled', async () => {
    const peer = await startPeer();
    const own = new Error('the disk is gone');
    const failing = new ReadableStream({ pull: (controller) => controller.error(own) });
    expect(await rejection(clientOf(peer)('/', { method: 'POST', body: failing }))).toBe(own);

    const reason = new Error('enough');
    const controller = new AbortController();
    const call = clientOf(peer)('/', { method: 'POST', body: stuck(), signal: controller.signal });
    controller.abort(reason);
    expect(await rejection(call)).toBe(reason);
  });
});

describe('for any call', () => {
  const segment = fc.stringMatching(/^[A-Za-z0-9._~!$&'()*+,;=:@ü%-]{1,8}$/).map((text) => encodeURI(text));
  const path = fc.array(segment, { maxLength: 4 }).map((segments) => `/${segments.join('/')}`);
  const query = fc.oneof(
    fc.constant(''),
    fc.constant('?'),
    fc.string({ maxLength: 20 }).map((text) => `?${encodeURI(text)}`),
  );
  const headers = fc.dictionary(
    fc.stringMatching(/^x-[a-z]{1,6}$/),
    fc.string({ unit: fc.constantFrom(...'ab ,;="\\\t:'), maxLength: 10 }),
    { maxKeys: 4 },
  );

  it('the peer verifies what fetch would have sent, and the client verifies the answer', async () => {
    const peer = await startPeer();
    const client = clientOf(peer);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('GET', 'POST', 'put', 'PATCH', 'DELETE', 'QUERY'),
        path,
        query,
        fc.constantFrom('', '#part'),
        headers,
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom('bytes', 'stream', 'blob', 'none'),
        async (method, path, query, fragment, headers, bytes, kind) => {
          const has = kind !== 'none' && method !== 'GET';
          const body = !has
            ? null
            : kind === 'bytes'
              ? bytes
              : kind === 'blob'
                ? new Blob([bytes])
                : new Blob([bytes]).stream();
          const input = path + query + fragment;
          const response = await client(input, { method, headers, body });
          const sent = (await response.json()) as Echo;
          const url = new URL(input, peer.url);
          expect(sent.target).toBe(url.pathname + url.search);
          expect(sent.method).toBe(new Request(url, { method }).method);
          expect(sent.body).toBe(Buffer.from(has ? bytes : []).toString('base64'));
          for (const [name, value] of new Headers(headers)) expect(sent.fields[name]).toBe(value);
        },
      ),
      { numRuns: 400 },
    );
  });

  it('a raw target is sent and signed as it stands', async () => {
    const peer = await startPeer();
    const transport = createTransport();
    const signal = new AbortController().signal;
    const visible = Array.from({ length: 94 }, (_, i) => String.fromCharCode(0x21 + i)).filter(
      (c) => c !== '#',
    );
    const raw = fc.string({ unit: fc.constantFrom(...visible), maxLength: 40 }).map((rest) => `/${rest}`);
    await fc.assert(
      fc.asyncProperty(raw, async (target) => {
        const draft = draftRequest({ method: 'GET', origin: peer.url, target });
        const created = Math.floor(Date.now() / 1000);
        const prepared = prepareRequest(draft, signingKey({ keyid: KEYID, secret: SECRET }), { created });
        const made = await exchange(prepared, { transport, signal, maxResponseBody: 10_000 });
        expect(((await openResponse(made).json()) as Echo).target).toBe(target);
      }),
      { numRuns: 200 },
    );
    transport.close();
  });
});
