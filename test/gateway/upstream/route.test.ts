/** A signed call through the whole gateway to an upstream, and its answer on the way back. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../../src/testing.ts';
import { type Answer, type Draft, problem, send, sign, verifyAnswer } from '../wire.ts';
import { type RawUpstream, rawUpstream } from './raw-upstream.ts';

let gateway: TestGateway;
let upstream: RawUpstream;
let answerBytes = '';

beforeAll(async () => {
  upstream = await rawUpstream((socket) => socket.write(answerBytes, 'latin1'));
  const route = { upstream: upstream.upstream, role: 'any' };
  gateway = await startTestGateway({
    settings: {
      routes: [
        { ...route, path: '/' },
        { ...route, path: '/orders', encodedSlash: true },
        { ...route, path: '/orders/own', setCookie: ['theme', 'lang'] },
      ],
    },
  });
});

afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

/** Makes a signed call, and holds that its answer is signed. */
async function call(draft: Draft, bytes: string): Promise<Answer & { covered: string[] }> {
  answerBytes = bytes;
  const request = sign(gateway, gateway.credentials, draft);
  const answer = await send(gateway, request);
  return { ...answer, covered: verifyAnswer(answer, request, gateway.credentials) };
}

const OK = 'HTTP/1.1 200 OK\r\n';

describe('a request', () => {
  it('reaches the upstream with its target and body as they were signed, and with who calls', async () => {
    await call(
      { target: '/orders/a;b=%2Fx?y=%2e', body: '{"a": 1}', headers: [['X-Uncovered', 'x']] },
      `${OK}Content-Length: 0\r\n\r\n`,
    );
    const [head = '', body] = (upstream.requests.at(-1) ?? '').split('\r\n\r\n');
    const [line, ...fields] = head.split('\r\n');
    expect(line).toBe('POST /orders/a;b=%2Fx?y=%2e HTTP/1.1');
    expect(body).toBe('{"a": 1}');
    expect(fields).toContain(`host: ${upstream.upstream.slice('http://'.length)}`);
    expect(fields).toContain('countersign-consumer: demo');
    expect(fields).toContain('content-length: 8');
    expect(head).not.toMatch(/uncovered|signature/i);
  });

  it("for what is the gateway's own never reaches an upstream, though a route takes everything", async () => {
    const before = upstream.requests.length;
    const answer = await call({ target: '/v1/unknown' }, `${OK}Content-Length: 0\r\n\r\n`);
    expect(answer.status).toBe(404);
    expect(problem(answer).code).toBe('not-found');
    expect(upstream.requests).toHaveLength(before);
  });

  it('that could be read as one for another route reaches none', async () => {
    const before = upstream.requests.length;
    const request = sign(gateway, gateway.credentials, { target: '/orders/own;x' });
    expect(problem(await send(gateway, request)).code).toBe('target-ambiguous');
    expect(upstream.requests).toHaveLength(before);
  });
});

describe('an answer', () => {
  it('comes back signed, with what it was and what keeps it harmless', async () => {
    const answer = await call(
      { target: '/orders' },
      `HTTP/1.1 201 Made\r\nContent-Type: text/html\r\nLocation: /orders/7 \r\nETag: "a"\r\nVary: a\r\nVary: b\r\nSet-Cookie: s=1\r\nCountersign-Consumer: liar\r\nContent-Length: 2\r\n\r\nhi`,
    );
    expect(answer).toMatchObject({ status: 201, body: 'hi' });
    expect(answer.covered).toEqual(
      expect.arrayContaining(['"@status"', '"content-type"', '"location"', '"etag"', '"content-digest"']),
    );
    expect(Object.fromEntries(answer.headers.entries())).toMatchObject({
      'content-type': 'text/html',
      location: '/orders/7',
      vary: 'a, b',
      'cache-control': 'no-store, no-transform',
      'content-security-policy': "sandbox; default-src 'none'",
      'x-content-type-options': 'nosniff',
    });
    for (const name of ['set-cookie', 'countersign-consumer', 'countersign-refusal']) {
      expect(answer.headers.has(name)).toBe(false);
    }
  });

  it.each([
    ['an empty body', 'POST', `${OK}Content-Length: 0\r\n\r\n`, 200],
    ['no content', 'POST', 'HTTP/1.1 204 No Content\r\n\r\n', 204],
    ['nothing modified', 'GET', 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n', 304],
    ['a head alone', 'HEAD', `${OK}Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n`, 200],
    ['a failure', 'POST', 'HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n', 500],
    ['an unknown status', 'POST', 'HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n', 299],
  ])('with %s comes back as that, signed', async (_, method, bytes, status) => {
    const answer = await call({ method, target: '/orders' }, bytes);
    expect(answer).toMatchObject({ status, body: '' });
    expect(answer.headers.get('content-type')).toBe(method === 'HEAD' ? 'text/plain' : undefined);
  });

  it('with bytes of no named type is signed as bytes', async () => {
    const answer = await call({ target: '/orders' }, `${OK}Content-Length: 2\r\n\r\nhi`);
    expect(answer.body).toBe('hi');
    expect(answer.headers.get('content-type')).toBe('application/octet-stream');
    expect(answer.covered).toContain('"content-type"');
  });

  it('has each cookie that its route lists on a line of its own', async () => {
    const answer = await call(
      { target: '/orders/own' },
      `${OK}Set-Cookie: theme=a\r\nSet-Cookie: lang=b\r\nSet-Cookie: session=c\r\nContent-Length: 0\r\n\r\n`,
    );
    expect(answer.headers.lines('set-cookie')).toEqual(['theme=a', 'lang=b']);
  });

  it("that can't be signed is refused, signed", async () => {
    const answer = await call({ target: '/orders' }, `${OK}Location: caf\xe9\r\nContent-Length: 0\r\n\r\n`);
    expect(answer.status).toBe(502);
    expect(problem(answer).code).toBe('upstream-invalid');
    expect(answer.headers.get('countersign-refusal')).toBe('upstream-invalid');
  });
});
