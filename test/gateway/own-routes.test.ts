/** The gateway's own endpoints for callers: ping, whoami, echo. */
import { hash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentDigest } from '../../src/signatures/index.ts';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import {
  type Answer,
  bytesOf,
  Connection,
  type Draft,
  problem,
  send,
  sendBytes,
  sign,
  verifyAnswer,
} from './wire.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startTestGateway();
});
afterAll(() => gateway.close());

const signed = (draft: Draft = {}) => sign(gateway, gateway.credentials, draft);
const get = (target: string, draft: Draft = {}) => signed({ method: 'GET', target, ...draft });
/** The bytes of UTF-8. */
const inBytes = (text: string) => Buffer.from(text).toString('latin1');
const codeOf = (answer: Answer) => (answer.status === 200 ? 'ok' : problem(answer).code);
const unsigned = (first: string, ...fields: string[]) =>
  sendBytes(
    gateway.port,
    [`${first} HTTP/1.1`, `Host: 127.0.0.1:${gateway.port}`, ...fields, '', ''].join('\r\n'),
  );

describe('/v1/ping', () => {
  it('answers whoever asks', async () => {
    const answer = await unsigned('GET /v1/ping?x=1');
    expect(answer).toMatchObject({ status: 200, body: '{"message":"pong"}' });
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(answer.headers.get('cache-control')).toBe('no-store, no-transform');
    expect(answer.headers.has('signature')).toBe(false);
  });

  it('answers a signed call signed', async () => {
    const request = get('/v1/ping');
    const answer = await send(gateway, request);
    expect(answer.body).toBe('{"message":"pong"}');
    verifyAnswer(answer, request, gateway.credentials);
    expect(codeOf(await send(gateway, request))).toBe('nonce-replayed');
  });

  it('refuses a signature that does not hold, rather than to take the call for unsigned', async () => {
    const request = sign(
      gateway,
      { ...gateway.credentials, secret: Buffer.alloc(64).toString('base64') },
      { method: 'GET', target: '/v1/ping' },
    );
    expect(codeOf(await send(gateway, request))).toBe('signature-invalid');
  });

  it.each([
    ['Signature: cs=:AAAA:', 'signature-malformed'],
    ['Signature-Input: cs=()', 'signature-malformed'],
    ['Signature:', 'signature-malformed'],
    ['Signature-Input:', 'signature-malformed'],
  ])('refuses half a signature: %s', async (field, code) => {
    expect(codeOf(await unsigned('GET /v1/ping', field))).toBe(code);
  });

  it("refuses a signature without our tag: it is presented, and it isn't good", async () => {
    const answer = await unsigned(
      'GET /v1/ping',
      'Signature-Input: proxy=("@method");created=1;keyid="p"',
      'Signature: proxy=:AAAA:',
    );
    expect(codeOf(answer)).toBe('signature-policy');
  });

  it('answers no other method', async () => {
    const answer = await unsigned('POST /v1/ping');
    expect(codeOf(answer)).toBe('method-not-allowed');
    expect(answer.headers.get('allow')).toBe('GET, HEAD');
  });
});

describe('/v1/whoami', () => {
  it('tells the caller who it is', async () => {
    const key = await gateway.addConsumer('shop', 'orders', 'reports:read');
    const request = sign(gateway, key, { method: 'GET', target: '/v1/whoami' });
    const answer = await send(gateway, request);
    expect(JSON.parse(answer.body)).toEqual({
      principal: 'consumer:shop',
      consumer: 'shop',
      keyid: key.keyid,
      roles: ['orders', 'reports:read'],
    });
    verifyAnswer(answer, request, key);
  });

  it.each<[string, number, readonly string[] | undefined]>([
    ['orders', 200, ['orders']],
    ['orders:read', 200, ['orders:read']],
    ['orders:read,reports:read', 200, ['orders:read', 'reports:read']],
    [' orders:read ,\torders:write', 200, ['orders:read', 'orders:write']],
    ['reports', 403, undefined],
    ['reports:write', 403, undefined],
    ['orders, operator', 403, undefined],
    ['order', 403, undefined],
    ['Orders', 403, undefined],
    ['any', 403, undefined],
    ['*', 403, undefined],
    ['', 403, undefined],
    ['orders,', 403, undefined],
    ['orders:', 403, undefined],
    ['"orders"', 403, undefined],
  ])('narrowed to %j', async (narrow, status, roles) => {
    const name = `narrow-${Buffer.from(narrow).toString('hex')}`;
    const key = await gateway.addConsumer(name, 'orders', 'reports:read');
    const draft = { method: 'GET', target: '/v1/whoami', headers: [['Countersign-Narrow', narrow]] } as const;
    const request = sign(gateway, key, draft);
    const answer = await send(gateway, request);
    expect(answer.status).toBe(status);
    if (roles) expect(JSON.parse(answer.body).roles).toEqual(roles);
    else expect(codeOf(answer)).toBe('role-missing');
    verifyAnswer(answer, request, key);
  });

  it('narrowed over two lines counts them together', async () => {
    const headers = [
      ['Countersign-Narrow', 'demo:a'],
      ['Countersign-Narrow', 'nobody'],
    ] as const;
    expect(codeOf(await send(gateway, get('/v1/whoami', { headers })))).toBe('role-missing');
  });

  it('refuses a narrowing that is not covered, or spelt in another way', async () => {
    const uncovered = get('/v1/whoami');
    uncovered.headers.push(['Countersign-Narrow', 'orders']);
    expect(codeOf(await send(gateway, uncovered))).toBe('signature-policy');
    for (const name of ['Countersign_Narrow', 'countersign_narrow']) {
      const answer = await send(gateway, get('/v1/whoami', { headers: [[name, 'orders']] }));
      expect(answer.status).toBe(400);
    }
  });

  it('is for whoever is authenticated, by whatever', async () => {
    expect(codeOf(await unsigned('GET /v1/whoami'))).toBe('signature-missing');
    expect(codeOf(await unsigned('GET /v1/whoami', 'Authorization: Bearer abc'))).toBe('token-invalid');
    expect(codeOf(await unsigned('GET /v1/whoami', 'Cookie: session=abc'))).toBe('signature-missing');
  });

  it.each(['/v1/whoami/', '/v1/Whoami', '/V1/whoami', '/v1/whoami/x', '/v1', '/v1/', '/'])(
    '%s is another path',
    async (target) => expect(codeOf(await send(gateway, get(target)))).toBe('not-found'),
  );
});

describe('/v1/echo', () => {
  it.each([
    ['an object', '{"hello":"world"}'],
    ['text', '"text"'],
    ['null', 'null'],
    ['zero below zero', '-0'],
    ['a number beyond all bounds', '1e400'],
    ['a number that no double holds', '[12345678901234567890, 0.1000000000000000055511151231257827]'],
    ['a prototype', '{"__proto__":{"admin":true},"constructor":{"prototype":1}}'],
    ['a name twice', '{"a":1,"a":2}'],
    ['half a surrogate', '"\\ud800"'],
    ['a line separator', '"\u2028"'],
    ['other scripts', '"héllo wörld 日本 🖋"'],
    ['white space', ' \r\n\t[ 1 ,\n2 ] \n'],
    ['something deep', `${'['.repeat(100_000)}${']'.repeat(100_000)}`],
    ['something like our own answer', '{"consumer":"admin","echo":{}}'],
  ])('gives back %s as it was sent', async (_what, body) => {
    const request = signed({ body: inBytes(body) });
    const answer = await send(gateway, request);
    expect(answer).toMatchObject({ status: 200, body: `{"consumer":"demo","echo":${body}}` });
    verifyAnswer(answer, request, gateway.credentials);
  });

  it.each([
    ['nothing', ''],
    ['white space', '  '],
    ['half an object', '{"a":'],
    ['two values', '1 2'],
    ['a comma too many', '[1,]'],
    ['single quotes', "{'a':1}"],
    ['a comment', '1 // one'],
    ['NaN', 'NaN'],
    ['a leading zero', '01'],
    ['a control character', '"a\tb"'],
    ['bytes that are no UTF-8', '"\xff"'],
    ['half a character of UTF-8', '"\xe2\x82"'],
    ['a surrogate in UTF-8', '"\xed\xa0\x80"'],
    ['an overlong slash', '"\xc0\xaf"'],
    ['UTF-16', '\xff\xfe"\0a\0"\0'],
    ['something deep and unclosed', '['.repeat(100_000)],
  ])('refuses %s', async (_what, body) => {
    const request = signed({ body });
    const answer = await send(gateway, request);
    expect(answer.status).toBe(400);
    expect(codeOf(answer)).toBe('json-malformed');
    verifyAnswer(answer, request, gateway.credentials);
    // The decoder is as good as new.
    expect((await send(gateway, signed())).status).toBe(200);
  });

  it('reads no other digest than the one of the body: an empty one', async () => {
    const request = signed({ body: '', headers: [['Content-Digest', contentDigest('{}')]] });
    expect(codeOf(await send(gateway, request))).toBe('digest-mismatch');
  });

  it('wants a digest and a type that are covered', async () => {
    for (const cover of [
      ['@method', '@target-uri', 'content-type'],
      ['@method', '@target-uri', 'content-digest'],
    ]) {
      expect(codeOf(await send(gateway, signed({ cover })))).toBe('signature-policy');
    }
  });

  it('checks every digest that is there', async () => {
    const sha512 = (of: string) => `sha-512=:${hash('sha512', of, 'base64')}:`;
    const draft = (digest: string) => signed({ body: '{"a":1}', headers: [['Content-Digest', digest]] });
    expect(codeOf(await send(gateway, draft(sha512('{"a":1}'))))).toBe('ok');
    expect(codeOf(await send(gateway, draft(sha512('{"a":2}'))))).toBe('digest-mismatch');
    expect(codeOf(await send(gateway, draft('md5=:AAAA:')))).toBe('signature-policy');
    expect(codeOf(await send(gateway, draft('sha-512=AAAA')))).toBe('signature-malformed');
  });
});

describe("conditions on the gateway's own API", () => {
  const names = [
    'If-Match',
    'If-None-Match',
    'If-Modified-Since',
    'If-Unmodified-Since',
    'If-Range',
    'If-Whatever',
    'Range',
    'Prefer',
  ];

  it.each(names)('%s must be covered', async (name) => {
    for (const target of ['/v1/ping', '/v1/whoami']) {
      const uncovered = get(target);
      uncovered.headers.push([name, 'x']);
      expect(codeOf(await send(gateway, uncovered))).toBe('signature-policy');
      const cover = ['@method', '@target-uri', name.toLowerCase()];
      expect(codeOf(await send(gateway, get(target, { headers: [[name, 'x']], cover })))).toBe('ok');
    }
  });

  it.each(['Authorization', 'Content-Encoding', 'Idempotency-Key'])(
    '%s must be covered anywhere',
    async (name) => {
      for (const target of ['/v1/whoami', '/nowhere']) {
        const uncovered = get(target);
        uncovered.headers.push([name, 'x']);
        expect(codeOf(await send(gateway, uncovered))).toBe('signature-policy');
      }
    },
  );
});

it('a signed call is served whose bytes come one at a time', async () => {
  const request = signed();
  const connection = await Connection.open(gateway.port);
  for (const byte of bytesOf(request)) {
    connection.write(Buffer.from([byte]));
    await new Promise(setImmediate);
  }
  const answer = (await connection.next()) as Answer;
  expect(answer.status).toBe(200);
  verifyAnswer(answer, request, gateway.credentials);
  connection.close();
});
