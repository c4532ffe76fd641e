/** Answers are signed over what is sent and what was asked: whatever the status, the method and the components. */
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentDigest, Fields, secretKey, signRequest } from '../../src/signatures/index.ts';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import {
  type Answer,
  bytesOf,
  Connection,
  type Draft,
  newNonce,
  problem,
  type RawRequest,
  send,
  sign,
  verifyAnswer,
} from './wire.ts';

let gateway: TestGateway;
let upstream: Server;

/** What the upstream answers by path. */
const answers: Readonly<Record<string, (res: ServerResponse) => void>> = {
  '/up/text': (res) => res.setHeader('Content-Type', 'text/plain').end('text'),
  '/up/untyped': (res) => res.end('bytes'),
  '/up/empty': (res) => res.setHeader('Content-Length', '0').end(),
  '/up/empty-typed': (res) => res.setHeader('Content-Type', 'text/css').end(),
  '/up/created': (res) => res.writeHead(201, { Location: '/up/1', ETag: '"1"' }).end('{}'),
  '/up/204': (res) => res.writeHead(204, { ETag: '"2"' }).end(),
  '/up/204-typed': (res) => res.writeHead(204, { 'Content-Type': 'text/plain' }).end(),
  '/up/205': (res) => res.writeHead(205, { 'Content-Length': '0' }).end(),
  '/up/304': (res) => res.writeHead(304, { ETag: '"3"', 'Content-Type': 'text/html' }).end(),
  '/up/404': (res) => res.writeHead(404, { 'Content-Type': 'text/plain' }).end('not here'),
  '/up/503': (res) => res.writeHead(503, { 'Retry-After': '7' }).end(),
  '/up/limits': (res) =>
    res
      .writeHead(200, ['RateLimit', '"a";r=1', 'RateLimit', '"b";r=2', 'RateLimit-Policy', '"a";q=5'])
      .end('x'),
  '/up/encoded': (res) => res.writeHead(200, { 'Content-Encoding': 'br' }).end(Buffer.from([0, 1, 255, 254])),
};

beforeAll(async () => {
  upstream = createServer((req, res) => {
    const answer = answers[new URL(`http://x${req.url}`).pathname] ?? answers['/up/404'];
    answer?.(res);
  }).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const { port } = upstream.address() as AddressInfo;
  gateway = await startTestGateway({
    settings: { routes: [{ path: '/up', upstream: `http://127.0.0.1:${port}`, role: 'any' }] },
  });
});
afterAll(async () => {
  await gateway.close();
  upstream.close();
});

const signed = (draft: Draft = {}) => sign(gateway, gateway.credentials, draft);
const get = (target: string, draft: Draft = {}) => signed({ method: 'GET', target, ...draft });

/** Sends it, and again on the same connection, so that stray bytes after an answer would be seen. */
async function ask(request: RawRequest): Promise<Answer> {
  const connection = await Connection.open(gateway.port);
  connection.write(bytesOf(request));
  const answer = await connection.next(request.line.split(' ')[0]);
  connection.write(bytesOf(get('/v1/ping')));
  expect((await connection.next())?.status).toBe(200);
  connection.close();
  if (!answer) throw new Error('no answer');
  return answer;
}

describe('the answer of an upstream', () => {
  it.each<[string, string, string, number, string, Record<string, string | undefined>]>([
    ['with text', 'GET', '/up/text', 200, 'text', { 'content-type': 'text/plain' }],
    ['without a type', 'GET', '/up/untyped', 200, 'bytes', { 'content-type': 'application/octet-stream' }],
    ['without content', 'GET', '/up/empty', 200, '', { 'content-type': undefined, 'content-length': '0' }],
    ['without content, typed', 'GET', '/up/empty-typed', 200, '', { 'content-type': 'text/css' }],
    ['to POST', 'POST', '/up/created', 201, '{}', { location: '/up/1', etag: '"1"' }],
    ['to PUT, without content', 'PUT', '/up/empty', 200, '', { 'content-length': '0' }],
    ['to DELETE', 'DELETE', '/up/204', 204, '', { etag: '"2"', 'content-length': undefined }],
    ['204, typed', 'GET', '/up/204-typed', 204, '', { 'content-type': undefined }],
    ['304', 'GET', '/up/304', 304, '', { etag: '"3"', 'content-type': undefined }],
    ['404', 'GET', '/up/404', 404, 'not here', { 'countersign-refusal': undefined }],
    ['503', 'GET', '/up/503', 503, '', { 'retry-after': '7', 'countersign-refusal': undefined }],
    ['with a field twice', 'GET', '/up/limits', 200, 'x', { ratelimit: '"a";r=1, "b";r=2' }],
    ['to HEAD', 'HEAD', '/up/text', 200, '', { 'content-type': 'text/plain' }],
    ['to HEAD, 204', 'HEAD', '/up/204', 204, '', { etag: '"2"' }],
    ['to HEAD, 304', 'HEAD', '/up/304', 304, '', { etag: '"3"' }],
    ['to HEAD, 404', 'HEAD', '/up/404', 404, '', { 'content-type': 'text/plain' }],
  ])('%s is signed over what is sent', async (_what, method, target, status, body, fields) => {
    const request = signed({ method, target });
    const answer = await ask(request);
    const covered = verifyAnswer(answer, request, gateway.credentials);
    expect(answer).toMatchObject({ status, body });
    for (const [name, value] of Object.entries(fields)) expect(answer.headers.get(name)).toBe(value);
    const must = ['content-type', 'content-encoding', 'location', 'etag', 'retry-after', 'ratelimit'];
    for (const name of ['content-digest', 'countersign-request-id', ...must]) {
      if (answer.headers.has(name)) expect(covered).toContain(`"${name}"`);
    }
    expect(answer.headers.has('content-digest')).toBe(true);
  });

  it('205 is signed too, though its connection ends with it', async () => {
    const request = get('/up/205');
    const connection = await Connection.open(gateway.port);
    connection.write(bytesOf(request));
    const answer = (await connection.next()) as Answer;
    verifyAnswer(answer, request, gateway.credentials);
    expect(await connection.rest()).toEqual([]);
  });

  it('is bytes, not text', async () => {
    const request = get('/up/encoded');
    const answer = await ask(request);
    expect(answer.headers.get('content-encoding')).toBe('br');
    expect(answer.headers.get('content-digest')).toBe(contentDigest(Buffer.from([0, 1, 255, 254])));
  });
});

describe('the answer of the gateway', () => {
  it.each<[string, string, number, string | undefined]>([
    ['GET', '/v1/whoami', 200, undefined],
    ['HEAD', '/v1/whoami', 200, undefined],
    ['GET', '/v1/ping', 200, undefined],
    ['HEAD', '/v1/ping', 200, undefined],
    ['GET', '/nowhere', 404, 'not-found'],
    ['HEAD', '/nowhere', 404, 'not-found'],
    ['OPTIONS', '/nowhere', 404, 'not-found'],
    ['GET', '/v1/echo', 405, 'method-not-allowed'],
    ['HEAD', '/v1/echo', 405, 'method-not-allowed'],
    ['TRACE', '/v1/echo', 405, 'method-not-allowed'],
    ['PROPFIND', '/v1/echo', 405, 'method-not-allowed'],
    ['PUT', '/healthz', 405, 'method-not-allowed'],
  ])('to %s %s is signed: %i', async (method, target, status, refusal) => {
    const request = signed({ method, target });
    const answer = await ask(request);
    verifyAnswer(answer, request, gateway.credentials);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('countersign-refusal')).toBe(refusal);
    expect(answer.headers.get('cache-control')).toBe('no-store, no-transform');
    if (method === 'HEAD') expect(answer.body).toBe('');
    else if (refusal) expect(problem(answer).code).toBe(refusal);
  });
});

const DERIVED = ['@method', '@target-uri', '@authority', '@scheme', '@request-target', '@path', '@query'];
const BODY = ['content-digest', 'content-type'];

describe('an answer covers what its request covered', () => {
  const lists: readonly (readonly [string, readonly string[]])[] = [
    ['the least', ['@method', '@target-uri', ...BODY]],
    ['the target in parts', ['@scheme', '@authority', '@path', '@query', '@method', ...BODY]],
    ['the target in parts, reversed', [...BODY, '@method', '@query', '@path', '@authority', '@scheme']],
    ['every derived component', [...DERIVED, ...BODY]],
    ['every derived component, reversed', [...BODY, ...DERIVED.toReversed()]],
    ['parameters of the query', ['"@query-param";name="a"', ...DERIVED, '"@query-param";name="c"', ...BODY]],
    ['fields before anything else', ['x-many', 'accept', ...BODY, 'x-empty', '@target-uri', '@method']],
    ['a field as bytes, and as it is', ['"x-many";bs', 'x-many', '@method', ...BODY, '@target-uri']],
    ['an empty field', ['@method', 'x-empty', '@target-uri', ...BODY]],
    ['host and length', ['host', 'content-length', '@method', '@target-uri', ...BODY]],
    [
      '32 components',
      [
        '@method',
        '@target-uri',
        ...BODY,
        ...Array.from({ length: 28 }, (_, i) => `"@query-param";name="p${i}"`),
      ],
    ],
  ];

  it.each(lists)('%s', async (_what, cover) => {
    const query = Array.from({ length: 28 }, (_, i) => `p${i}=${i}`).join('&');
    const headers = [
      ['X-Many', 'one'],
      ['x-many', '\t two,  three '],
      ['Accept', 'text/html;q=0.9'],
      ['X-MANY', ''],
      ['X-Empty', ''],
    ] as const;
    const request = signed({ target: `/v1/echo?a=1&b&c=%20x&${query}`, cover, headers });
    const answer = await ask(request);
    expect(answer.status).toBe(200);
    const covered = verifyAnswer(answer, request, gateway.credentials);
    expect(covered.filter((id) => id.endsWith(';req'))).toEqual(
      cover.map((id) => `${id.startsWith('"') ? id : `"${id}"`};req`),
    );
  });

  it('in a refusal as well', async () => {
    const cover = ['@query', '@path', '@authority', '"@query-param";name="q"', '@scheme', '@method'];
    const request = get('/nowhere?q=%C3%A9', { cover });
    const answer = await ask(request);
    expect(problem(answer).code).toBe('not-found');
    expect(answer.headers.get('signature-input')).toContain('"@query-param";name="q";req');
  });

  it('and nothing that a changed answer or request would match', async () => {
    const request = get('/v1/whoami', { headers: [['Accept', 'text/html']] });
    const answer = await ask(request);
    const { credentials } = gateway;
    verifyAnswer(answer, request, credentials);
    expect(() => verifyAnswer({ ...answer, status: 201 }, request, credentials)).toThrow('MAC');
    expect(() => verifyAnswer({ ...answer, body: `${answer.body} ` }, request, credentials)).toThrow(
      'digest',
    );
    const other = { ...request, line: request.line.replace('whoami', 'ping') };
    expect(() => verifyAnswer(answer, other, credentials)).toThrow('MAC');
    expect(() => verifyAnswer(answer, get('/v1/whoami'), credentials)).toThrow('nonce');
  });
});

describe('a request with two signatures', () => {
  /** Adds a signature of somebody else's, before or after ours. */
  function withAnother(request: RawRequest, input: string, signature: string, first: boolean): RawRequest {
    const join = (ours: string, theirs: string) => (first ? `${theirs}, ${ours}` : `${ours}, ${theirs}`);
    return {
      ...request,
      headers: request.headers.map(([name, value]) =>
        name === 'Signature-Input'
          ? [name, join(value, input)]
          : name === 'Signature'
            ? [name, join(value, signature)]
            : [name, value],
      ),
    };
  }
  const THEIRS = 'proxy=("@method" "x-unknown");created=1;keyid="proxy-1";alg="ed25519";tag="proxy"';
  const BYTES = 'proxy=:AAAA:';

  it.each([true, false])("is answered for ours, a stranger's standing first: %s", async (first) => {
    const request = withAnother(signed(), THEIRS, BYTES, first);
    const answer = await ask(request);
    expect(answer.status).toBe(200);
    verifyAnswer(answer, request, gateway.credentials);
  });

  it('may carry it in lines of their own', async () => {
    const request = signed();
    request.headers.push(['Signature-Input', THEIRS], ['Signature', BYTES]);
    const answer = await ask(request);
    expect(answer.status).toBe(200);
  });

  it('of ours, made with two keys, is refused', async () => {
    const key = await gateway.addConsumer('second');
    const request = signed();
    const message = {
      method: 'POST',
      scheme: 'http',
      authority: `127.0.0.1:${gateway.port}`,
      target: '/v1/echo',
      fields: Fields.fromEntries(request.headers),
    } as const;
    const created = Math.floor(gateway.clock.now() / 1000);
    const other = signRequest(message, {
      keyid: key.keyid,
      secret: secretKey(key.secret),
      created,
      expires: created + 60,
      nonce: newNonce(),
    });
    const input = other.signatureInput.replace('cs=', 'cs2=');
    const both = withAnother(request, input, other.signature.replace('cs=', 'cs2='), false);
    expect(problem(await send(gateway, both)).code).toBe('signature-policy');
    // Neither was used up.
    expect((await send(gateway, request)).status).toBe(200);
  });

  it.each([
    ['under our label', 'cs=("@method");tag="other"', 'cs=:AAAA:', 'signature-malformed'],
    ['that is no list', 'proxy=1', BYTES, 'signature-malformed'],
    ['that is not canonical', 'proxy=( "@method");tag="other"', BYTES, 'signature-malformed'],
    ['with a tag that is like ours', THEIRS.replace('"proxy"', '"Countersign-Request-v1"'), BYTES, 'ok'],
    ['with our tag as a token', THEIRS.replace('"proxy"', 'countersign-request-v1'), BYTES, 'ok'],
  ])('%s', async (_what, input, bytes, code) => {
    const request = withAnother(signed(), input, bytes, true);
    const answer = await send(gateway, request);
    expect(answer.status === 200 ? 'ok' : problem(answer).code).toBe(code);
  });
});
