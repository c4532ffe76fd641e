/** Bodies that are too large or never come: what is read of them, what is answered, and when the connection ends. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import {
  type Answer,
  bytesOf,
  Connection,
  type Draft,
  problem,
  type RawRequest,
  sign,
  verifyAnswer,
} from './wire.ts';

const MEBIBYTE = 1024 * 1024;

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startTestGateway();
});
afterAll(() => gateway.close());

/** A JSON text of exactly so many bytes. */
const json = (bytes: number) => `"${'x'.repeat(bytes - 2)}"`;
const signed = (bytes: number, draft: Draft = {}) =>
  sign(gateway, gateway.credentials, { body: json(bytes), ...draft });
const headOf = (request: RawRequest) => bytesOf({ ...request, body: '' });

/** The same in chunks of 64 KiB, of which no length is told. */
function inChunks(request: RawRequest): RawRequest {
  const headers = request.headers.filter(([name]) => name !== 'Content-Length');
  const chunks = (request.body.match(/.{1,65536}/gs) ?? []).map(
    (chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`,
  );
  return {
    ...request,
    headers: [...headers, ['Transfer-Encoding', 'chunked']],
    body: `${chunks.join('')}0\r\n\r\n`,
  };
}

/** What an unsigned call of this size would be. */
const unsigned = (length: number): RawRequest => ({
  line: 'POST /v1/echo HTTP/1.1',
  headers: [
    ['Host', `127.0.0.1:${gateway.port}`],
    ['Content-Length', String(length)],
  ],
  body: '',
});

function expectTooLarge(answer: Answer | undefined, request: RawRequest): void {
  if (!answer) throw new Error('no answer came');
  expect(problem(answer)).toMatchObject({ code: 'body-too-large', status: 413 });
  expect(answer.status).toBe(413);
  expect(answer.headers.get('connection')).toBe('close');
  verifyAnswer(answer, request, gateway.credentials);
}

describe('a signed body', () => {
  it('is served up to the limit, told or in chunks', async () => {
    for (const request of [signed(MEBIBYTE), inChunks(signed(MEBIBYTE))]) {
      const connection = await Connection.open(gateway.port);
      connection.write(bytesOf(request));
      expect((await connection.next())?.status).toBe(200);
      connection.close();
    }
  });

  it.each<[string, (request: RawRequest) => RawRequest]>([
    ['told', (request) => request],
    ['in chunks', inChunks],
  ])('of 1.5 MiB, %s, is refused so that whoever sends it all first sees the answer', async (_how, form) => {
    const request = form(signed(1.5 * MEBIBYTE));
    const connection = await Connection.open(gateway.port);
    connection.write(bytesOf(request));
    expectTooLarge(await connection.next(), request);
    await connection.closed;
  });

  it('is refused by one byte too many, from its length alone: nothing of it need come', async () => {
    const request = signed(MEBIBYTE + 1);
    const connection = await Connection.open(gateway.port);
    connection.write(headOf(request));
    connection.end();
    await connection.closed;

    // Whoever keeps its body back, and goes on, gets the answer without waiting for it.
    const other = signed(MEBIBYTE + 1);
    const second = await Connection.open(gateway.port);
    second.write(headOf(other));
    second.write(other.body);
    expectTooLarge(await second.next(), other);
    await second.closed;
  });

  it('is not waited for where the caller asks first: no 100, the answer, and the end', async () => {
    const request = signed(1.5 * MEBIBYTE, { headers: [['Expect', '100-continue']] });
    const connection = await Connection.open(gateway.port);
    connection.write(headOf(request));
    expectTooLarge(await connection.next(), request);
    await connection.closed;
  });

  it('is asked for where the caller asks first and may', async () => {
    const request = signed(1000, { headers: [['Expect', '100-Continue']] });
    const connection = await Connection.open(gateway.port);
    connection.write(headOf(request));
    expect(await connection.next()).toMatchObject({ status: 100, body: '' });
    connection.write(request.body);
    expect((await connection.next())?.status).toBe(200);
    connection.close();
  });

  it('that was asked for and grows too large is refused so that its sender sees the answer', async () => {
    const request = inChunks(signed(1.5 * MEBIBYTE, { headers: [['Expect', '100-continue']] }));
    const connection = await Connection.open(gateway.port);
    connection.write(headOf(request));
    expect((await connection.next())?.status).toBe(100);
    connection.write(request.body);
    expectTooLarge(await connection.next(), request);
    await connection.closed;
  });

  it('is not asked for where the MAC is bad', async () => {
    const request = signed(1000, { headers: [['Expect', '100-continue']] });
    request.line = request.line.replace('echo', 'whoami');
    const connection = await Connection.open(gateway.port);
    connection.write(headOf(request));
    const answer = await connection.next();
    expect(answer && problem(answer).code).toBe('signature-invalid');
    await connection.closed;
  });

  it('is served at once to HTTP/1.0, which knows no 100', async () => {
    const request = signed(1000, { headers: [['Expect', '100-continue']] });
    request.line = request.line.replace('1.1', '1.0');
    const connection = await Connection.open(gateway.port);
    connection.write(bytesOf(request));
    expect((await connection.rest()).map(({ status }) => status)).toEqual([200]);
  });

  it('that stalls is answered and cut off', async () => {
    const request = signed(2 * MEBIBYTE);
    const connection = await Connection.open(gateway.port);
    connection.write(headOf(request));
    connection.write(request.body.slice(0, 10));
    expectTooLarge(await connection.next(), request);
    await connection.closed;
  });

  it('is read up to 4 MiB and no further', async () => {
    const request = signed(16 * MEBIBYTE);
    const connection = await Connection.open(gateway.port);
    connection.write(headOf(request));
    connection.write(request.body.slice(0, 4 * MEBIBYTE + 100_000));
    // What is still to come isn't waited for.
    expectTooLarge(await connection.next(), request);
    await connection.closed;
  });

  it('whose digest is another uses up its nonce, but one that broke off is never judged', async () => {
    const request = signed(1000);
    const broken = await Connection.open(gateway.port);
    broken.write(headOf(request));
    broken.write(request.body.slice(0, 500));
    broken.end();
    await broken.closed;
    const connection = await Connection.open(gateway.port);
    connection.write(bytesOf(request));
    const answer = await connection.next();
    expect(answer && problem(answer).code).toBe('nonce-replayed');
    connection.close();
  });
});

describe('an unsigned body', () => {
  it('of 1.5 MiB is read off, so that its sender sees the answer and may call again', async () => {
    const connection = await Connection.open(gateway.port);
    connection.write(headOf(unsigned(1.5 * MEBIBYTE)));
    connection.write(json(1.5 * MEBIBYTE));
    const answer = await connection.next();
    expect(answer && problem(answer).code).toBe('signature-missing');
    connection.write(bytesOf(signed(100)));
    expect((await connection.next())?.status).toBe(200);
    connection.close();
  });

  it('of 16 MiB is cut off', async () => {
    const connection = await Connection.open(gateway.port);
    connection.write(headOf(unsigned(16 * MEBIBYTE)));
    connection.write(json(4 * MEBIBYTE + 100_000));
    const answer = await connection.next();
    expect(answer && problem(answer).code).toBe('signature-missing');
    expect(answer?.headers.get('connection')).toBe('close');
    await connection.closed;
  });

  it('that never comes is waited for no longer, also where the call is served', async () => {
    const connection = await Connection.open(gateway.port);
    connection.write(headOf({ ...unsigned(10), line: 'GET /v1/ping HTTP/1.1' }));
    const answer = await connection.next();
    expect(answer).toMatchObject({ status: 200 });
    expect(answer?.headers.get('connection')).toBe('close');
    await connection.closed;
  });

  it('never poses as the next request', async () => {
    const inner = 'GET /v1/ping HTTP/1.1\r\nHost: x\r\n\r\n';
    const connection = await Connection.open(gateway.port);
    connection.write(headOf(unsigned(inner.length)));
    connection.write(inner);
    connection.write(bytesOf(signed(100)));
    const [first, second] = [await connection.next(), await connection.next()];
    expect([first?.status, second?.status]).toEqual([401, 200]);
    connection.close();
  });

  it('is not asked for', async () => {
    const connection = await Connection.open(gateway.port);
    const request = unsigned(100);
    connection.write(headOf({ ...request, headers: [...request.headers, ['Expect', '100-continue']] }));
    const answer = await connection.next();
    expect(answer && problem(answer).code).toBe('signature-missing');
    await connection.closed;
  });
});
