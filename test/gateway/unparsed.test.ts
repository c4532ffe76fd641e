/** What is no HTTP, or HTTP that two readers could read differently: refused or cut off, and the next call is served. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import { capturedLog } from './captured-log.ts';
import { bytesOf, Connection, type Draft, problem, send, sign, tryBytes, verifyAnswer } from './wire.ts';

let gateway: TestGateway;
const log = capturedLog();

beforeAll(async () => {
  gateway = await startTestGateway({ logger: log.logger });
});
afterAll(() => gateway.close());

const signed = (draft: Draft = {}) => sign(gateway, gateway.credentials, draft);
const text = (draft: Draft = {}) => bytesOf(signed(draft)).toString('latin1');

/** An unsigned request from its lines; Host is added. */
const lines = (first: string, ...rest: string[]) =>
  [first, `Host: 127.0.0.1:${gateway.port}`, ...rest, '', ''].join('\r\n');

/** A good signed call, changed as text. */
const bent = (from: string | RegExp, to: string, draft: Draft = {}) => {
  const good = text(draft);
  const changed = good.replace(from, to);
  expect(changed).not.toBe(good);
  return changed;
};
const chunked = (chunks: string, coding = 'chunked') =>
  bent(/Content-Length: \d+/, `Transfer-Encoding: ${coding}`).replace(/\r\n\r\n.*/s, `\r\n\r\n${chunks}`);
const HELLO = '11\r\n{"hello":"world"}\r\n0\r\n\r\n';

async function expectServed(): Promise<void> {
  expect((await send(gateway, signed())).status).toBe(200);
}

describe('bytes that are no HTTP/1.1', () => {
  it.each<[string, () => string | Buffer]>([
    ['nothing but noise', () => '\0\x01\x02\xff\xfe\r\n\r\n'],
    ['a line of text', () => 'hello?\r\n\r\n'],
    ['a TLS hello', () => Buffer.from('16030100a5010000a10303', 'hex')],
    ['the preface of HTTP/2', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['HTTP/0.9', () => 'GET /v1/ping\r\n\r\n'],
    ['HTTP/0.9 with fields', () => lines('GET /v1/ping HTTP/0.9')],
    ['HTTP/2.0 in the form of HTTP/1', () => lines('GET /v1/ping HTTP/2.0')],
    ['HTTP/3.7', () => lines('GET /v1/ping HTTP/3.7')],
    ['a method in lower case', () => bent('POST', 'post')],
    ['a method that nobody knows', () => bent('POST', 'POSTER')],
    ['CONNECT', () => lines('CONNECT 127.0.0.1:22 HTTP/1.1')],
    ['a target with a space in it', () => lines('GET /v1/ ping HTTP/1.1')],
    ['a target of the form *', () => lines('OPTIONS * HTTP/1.1')],
    ['a target with bytes above ASCII', () => lines('GET /v1/p\xefng HTTP/1.1')],
    ['a header section of 1 MB', () => lines('GET /v1/ping HTTP/1.1', `X: ${'y'.repeat(1_000_000)}`)],
    ['a target of 20 kB', () => lines(`GET /${'y'.repeat(20_000)} HTTP/1.1`)],
    ['an Upgrade', () => lines('GET /v1/ping HTTP/1.1', 'Connection: Upgrade', 'Upgrade: websocket')],
    ['an unknown expectation', () => bent('Host:', 'Expect: 200-ok\r\nHost:')],
    ['an expectation beside the known one', () => bent('Host:', 'Expect: 100-continue, x\r\nHost:')],
    ['bare line feeds', () => text().replaceAll('\r\n', '\n')],
    ['a bare line feed amid the fields', () => lines('GET /v1/ping HTTP/1.1', 'X: a\nY: b')],
    ['a bare carriage return amid a value', () => lines('GET /v1/ping HTTP/1.1', 'X: a\rY: b')],
    ['a NUL in a value', () => lines('GET /v1/ping HTTP/1.1', 'X: a\0b')],
    ['a control character in a value', () => lines('GET /v1/ping HTTP/1.1', 'X: a\x1bb')],
    ['a folded line', () => bent('Content-Type: application', 'Content-Type:\r\n application')],
    ['a folded line of spaces', () => lines('GET /v1/ping HTTP/1.1', 'X: a', ' ', 'Y: b')],
    ['a space before the colon', () => bent('Content-Type:', 'Content-Type :')],
    ['a field without a name', () => lines('GET /v1/ping HTTP/1.1', ': a')],
    ['a line without a colon', () => lines('GET /v1/ping HTTP/1.1', 'X')],
    ['two lengths', () => bent('Host:', 'Content-Length: 17\r\nHost:')],
    ['two lengths in one line', () => bent(/Content-Length: \d+/, 'Content-Length: 17, 17')],
    ['a length with a sign', () => bent(/Content-Length: \d+/, 'Content-Length: +17')],
    ['a negative length', () => bent(/Content-Length: \d+/, 'Content-Length: -17')],
    ['a length in hexadecimal', () => bent(/Content-Length: \d+/, 'Content-Length: 0x11')],
    ['a length beyond all numbers', () => bent(/Content-Length: \d+/, `Content-Length: ${'9'.repeat(30)}`)],
    ['a length and chunks', () => bent('Host:', 'Transfer-Encoding: chunked\r\nHost:')],
    ['chunks and a length', () => chunked(HELLO).replace('Host:', 'Content-Length: 17\r\nHost:')],
    ['a chunk whose size is none', () => chunked(`zz\r\n{"hello":"world"}\r\n0\r\n\r\n`)],
    ['a chunk longer than its size', () => chunked(`10\r\n{"hello":"world"}\r\n0\r\n\r\n`)],
    ['a chunk whose size overflows', () => chunked(`11111111111111111\r\n{"hello":"world"}\r\n0\r\n\r\n`)],
    ['a chunk that ends in a line feed alone', () => chunked(`11\n{"hello":"world"}\n0\n\n`)],
    ['a coding besides chunked', () => chunked(HELLO, 'gzip, chunked')],
    ['a coding after chunked', () => chunked(HELLO, 'chunked, gzip')],
    ['chunked twice', () => chunked(HELLO, 'chunked, chunked')],
    ['a coding like chunked', () => chunked(HELLO, 'xchunked')],
    ['the coding identity', () => bent(/Content-Length: \d+/, 'Transfer-Encoding: identity')],
    ['chunks in HTTP/1.0', () => chunked(HELLO).replace('HTTP/1.1', 'HTTP/1.0')],
  ])('%s: refused or cut off', async (_what, bytes) => {
    const answer = await tryBytes(gateway.port, bytes());
    if (answer) {
      expect(problem(answer)).toMatchObject({ status: answer.status });
      expect(['request-malformed', 'headers-too-large', 'target-ambiguous']).toContain(problem(answer).code);
      expect([400, 431]).toContain(answer.status);
      expect(answer.headers.has('signature')).toBe(false);
      expect(answer.headers.get('cache-control')).toBe('no-store, no-transform');
    }
    await expectServed();
  });

  it('chunks are served, whichever way they are cut and spelt', async () => {
    for (const [chunks, coding] of [
      [HELLO, 'chunked'],
      [HELLO, 'Chunked'],
      ['1\r\n{\r\n00010;name=value\r\n"hello":"world"}\r\n0\r\nX-Trailer: dropped\r\n\r\n', 'chunked'],
    ] as const) {
      expect((await tryBytes(gateway.port, chunked(chunks, coding)))?.status).toBe(200);
    }
  });

  it('HTTP/1.0 is served, and its connection closed', async () => {
    const connection = await Connection.open(gateway.port);
    connection.write(bent('HTTP/1.1', 'HTTP/1.0'));
    const [answer, ...more] = await connection.rest();
    expect(answer).toMatchObject({ status: 200 });
    expect(more).toEqual([]);
  });

  it('is logged and counted by its code, and by nothing that it held', async () => {
    log.clear();
    await tryBytes(gateway.port, 'GET /secret-path HTTP/1.1\r\nX: a\0secret-value\r\n\r\n');
    // Each minute the gateway may tell of its audit record, too.
    expect(log.lines.filter(({ msg }) => msg !== 'audit head')).toEqual([
      expect.objectContaining({ code: 'request-malformed', address: '127.0.0.1', level: 30 }),
    ]);
    expect(log.text()).not.toContain('secret');
    const metrics = await tryBytes(gateway.port, lines('GET /metrics HTTP/1.1'));
    expect(metrics?.body).toMatch(/countersign_calls_total\{code="request-malformed"\} [1-9]/);
  });
});

describe('one request after another on a connection', () => {
  it('answers each, signed for itself', async () => {
    const [one, other] = [signed(), signed({ body: '{"second":true}' })];
    const connection = await Connection.open(gateway.port);
    connection.write(Buffer.concat([bytesOf(one), bytesOf(other)]));
    for (const request of [one, other]) {
      const answer = await connection.next();
      expect(answer).toMatchObject({ status: 200, body: expect.stringContaining(request.body) });
      if (answer) verifyAnswer(answer, request, gateway.credentials);
    }
    connection.close();
  });

  it.each<[string, () => string]>([
    ['noise', () => '\0\0\0'],
    ['a line of text', () => 'GARBAGE\r\n\r\n'],
    ['a request with bad chunks', () => chunked('zz\r\n')],
    ['CONNECT', () => lines('CONNECT a:1 HTTP/1.1')],
    ['a header section of 1 MB', () => lines('GET /v1/ping HTTP/1.1', `X: ${'y'.repeat(1_000_000)}`)],
  ])('after a good one, %s gets no answer that could be taken for the first', async (_what, garbage) => {
    const request = signed();
    const connection = await Connection.open(gateway.port);
    connection.write(bytesOf(request).toString('latin1') + garbage());
    const [first] = await connection.rest();
    if (first) verifyAnswer(first, request, gateway.credentials);
    await expectServed();
  });

  it.each([
    ['an unknown expectation', 'Expect: 200-ok'],
    ['a folded name', 'Connection: Upgrade'],
  ])('after a good one, %s is refused in its turn, and the connection goes on', async (_what, field) => {
    const request = signed();
    const connection = await Connection.open(gateway.port);
    connection.write(bytesOf(request).toString('latin1') + lines('GET /v1/ping HTTP/1.1', field) + text());
    const first = await connection.next();
    if (first) verifyAnswer(first, request, gateway.credentials);
    expect([first?.status, (await connection.next())?.status, (await connection.next())?.status]).toEqual([
      200, 400, 200,
    ]);
    connection.close();
  });
});

describe('a caller that goes away', () => {
  it.each<[string, () => string]>([
    ['in a tunnel that it asked for', () => lines('CONNECT a:1 HTTP/1.1')],
    ['amid its request line', () => 'GET /v1/pi'],
    ['before its body', () => text().split('{')[0] ?? ''],
    ['amid its body', () => text().slice(0, -3)],
    ['amid a chunk', () => chunked('11\r\n{"he')],
    ['before its answer', () => text()],
    ['with a request refused', () => '\0\r\n\r\n'],
  ])('%s, by a reset, leaves the gateway serving', async (_what, bytes) => {
    for (let i = 0; i < 20; i++) {
      const connection = await Connection.open(gateway.port);
      connection.write(bytes());
      // Some of these arrive before the reset, some with it, some never.
      if (i % 2) await expectServed();
      connection.reset();
      await expectServed();
    }
  });

  it('amid its body, is logged as lost and not as a fault of the gateway', async () => {
    log.clear();
    const connection = await Connection.open(gateway.port);
    connection.write(text().slice(0, -3));
    await expectServed();
    connection.end();
    await connection.closed;
    await expectServed();
    expect(log.lines.filter(({ code }) => code !== 'ok')).toEqual([
      expect.objectContaining({ code: 'connection-lost', consumer: 'demo', level: 30 }),
    ]);
  });
});
