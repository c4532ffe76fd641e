import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { CountersignError } from '../../../src/errors.ts';
import { type UpstreamRequest, Upstreams } from '../../../src/gateway/upstream/forward.ts';
import { type RawUpstream, rawUpstream, sameAnswer } from './raw-upstream.ts';

const MAX_BODY = 1000;
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function open<T extends { close(): Promise<void> }>(opened: T): T {
  closing.push(() => opened.close());
  return opened;
}

function upstreams(): Upstreams {
  return open(new Upstreams({ maxBody: MAX_BODY }));
}

async function httpUpstream(listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    upstream: `http://127.0.0.1:${port}`,
    close: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function request(changes: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return { method: 'GET', target: '/', headers: ['host', 'orders'], body: Buffer.alloc(0), ...changes };
}

function forwardTo(
  { upstream }: Pick<RawUpstream, 'upstream'>,
  changes: Partial<UpstreamRequest> = {},
  timeoutMs = 30_000,
) {
  return upstreams().forward({ upstream, timeoutMs }, request(changes));
}

async function refusalOf(promise: Promise<unknown>): Promise<CountersignError> {
  return promise.then(
    () => expect.fail('it was answered'),
    (error: CountersignError) => error,
  );
}

async function codeFor(bytes: string, end?: (socket: Socket) => void): Promise<string> {
  const upstream = await rawUpstream((socket) => {
    socket.write(bytes, 'latin1', () => end?.(socket));
  });
  return (await refusalOf(forwardTo(open(upstream)))).code;
}

describe('a request', () => {
  it.each([
    '/orders/a;b=%2Fx?y=%2e',
    '/orders/%C3%A9?q=a+b%20c&&=&x',
    '/orders?',
    '/orders/?//..//.',
    "/orders/!$&'()*+,;=:@~-._",
    '/orders?%zz=|{}^`"<>[]',
  ])('arrives with the target %s, byte for byte', async (target) => {
    const upstream = open(await sameAnswer(OK));
    await forwardTo(upstream, { target });
    expect(upstream.requests[0]?.split('\r\n')[0]).toBe(`GET ${target} HTTP/1.1`);
  });

  it('arrives with its method, its fields and its body, and nothing added but what carries them', async () => {
    const upstream = open(await sameAnswer(OK));
    await forwardTo(upstream, {
      method: 'PATCH',
      target: '/x',
      headers: ['host', 'orders.internal', 'content-type', 'text/plain', 'x-odd', 'a,  b;c="d"'],
      body: Buffer.from([0x68, 0x69, 0x00, 0xff]),
    });
    expect(upstream.requests).toEqual([
      'PATCH /x HTTP/1.1\r\nhost: orders.internal\r\nconnection: keep-alive\r\n' +
        'content-type: text/plain\r\nx-odd: a,  b;c="d"\r\ncontent-length: 4\r\n\r\nhi\x00\xff',
    ]);
  });

  it('may have a body with any method, or none', async () => {
    const upstream = open(await sameAnswer(OK));
    await forwardTo(upstream, { method: 'GET', body: Buffer.from('q') });
    await forwardTo(upstream, { method: 'DELETE', body: Buffer.from('q') });
    await forwardTo(upstream, { method: 'POST' });
    const [get, remove, post] = upstream.requests;
    expect(get).toMatch(/content-length: 1\r\n\r\nq$/);
    expect(remove).toMatch(/content-length: 1\r\n\r\nq$/);
    expect(post).toMatch(/content-length: 0\r\n\r\n$/);
  });

  it('shares connections with those before it', async () => {
    const upstream = open(await sameAnswer(OK));
    const pool = upstreams();
    const route = { upstream: upstream.upstream, timeoutMs: 30_000 };
    for (let i = 0; i < 5; i++) await pool.forward(route, request({ method: 'POST' }));
    expect(upstream.requests).toHaveLength(5);
    // undici gives a connection a turn of the event loop before it is used again.
    expect(upstream.connections()).toBeLessThan(4);
  });

  it('is never one that shows or tunnels', async () => {
    for (const method of ['TRACE', 'CONNECT']) {
      const error = await refusalOf(forwardTo({ upstream: 'http://127.0.0.1:9' }, { method }));
      expect(error.code).toBe('method-not-allowed');
      expect(error.headers.Allow).toContain('POST');
    }
  });
});

describe('an answer', () => {
  it('comes back with status, fields and bytes as they were sent', async () => {
    const upstream = open(
      await sameAnswer(
        'HTTP/1.1 404 Nope\r\nX-Odd: a\r\nx-odd:  b \r\nSet-Cookie: c=d\r\nX-Latin: \xe9\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x00',
      ),
    );
    const answer = await forwardTo(upstream);
    expect(answer.status).toBe(404);
    expect(answer.headers.map(([name, value]) => [name, value.trim()])).toEqual([
      ['x-odd', 'a'],
      ['x-odd', 'b'],
      ['set-cookie', 'c=d'],
      ['x-latin', '\xe9'],
      ['content-encoding', 'gzip'],
      ['content-length', '3'],
    ]);
    expect(answer.body).toEqual(Buffer.from([0x1f, 0x8b, 0x00]));
  });

  it('in many pieces is one body', async () => {
    const upstream = await httpUpstream((_, res) => {
      for (let i = 0; i < 9; i++) res.write(`${i}`.repeat(100));
      res.end();
    });
    const { body } = await forwardTo(open(upstream));
    expect(body.toString()).toBe([...'012345678'].map((digit) => digit.repeat(100)).join(''));
  });

  it('without length ends with its connection', async () => {
    const upstream = open(await rawUpstream((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nto the end')));
    expect((await forwardTo(upstream)).body.toString()).toBe('to the end');
  });

  it('to HEAD, and with 204 or 304, has no body', async () => {
    const head = open(await sameAnswer('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'));
    expect(await forwardTo(head, { method: 'HEAD' })).toMatchObject({ status: 200, body: Buffer.alloc(0) });
    for (const status of [204, 304]) {
      const upstream = open(await sameAnswer(`HTTP/1.1 ${status} X\r\nETag: "a"\r\n\r\n`));
      expect(await forwardTo(upstream)).toMatchObject({ status, body: Buffer.alloc(0) });
    }
  });

  it('that redirects is passed on, not followed', async () => {
    const upstream = open(
      await sameAnswer('HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n'),
    );
    const answer = await forwardTo(upstream);
    expect(answer.status).toBe(302);
    expect(answer.headers).toContainEqual(['location', '/elsewhere']);
    expect(upstream.requests).toHaveLength(1);
  });

  it('may follow an interim one', async () => {
    const upstream = open(
      await sameAnswer(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Interim: 1\r\n\r\n${OK}`),
    );
    const answer = await forwardTo(upstream);
    expect(answer).toMatchObject({ status: 200, headers: [['content-length', '2']] });
  });

  it('may be as large as the limit', async () => {
    const upstream = open(
      await sameAnswer(`HTTP/1.1 200 OK\r\nContent-Length: ${MAX_BODY}\r\n\r\n${'x'.repeat(MAX_BODY)}`),
    );
    expect((await forwardTo(upstream)).body).toHaveLength(MAX_BODY);
  });
});

describe('an answer is upstream-invalid', () => {
  const head = 'HTTP/1.1 200 OK\r\n';

  it.each([
    ['is not HTTP', 'SSH-2.0-OpenSSH\r\n\r\n'],
    ['has a broken field', `${head}no colon here\r\n\r\n`],
    ['has a space before the colon', `${head}X : y\r\n\r\n`],
    ['has two lengths', `${head}Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc`],
    ['has a length and chunks', `${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['has a broken chunk', `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
    ['has a header section beyond measure', `${head}X: ${'x'.repeat(20_000)}\r\n\r\n`],
    ['switches protocols', 'HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
    ['continues what did not wait', `HTTP/1.1 100 Continue\r\n\r\n${OK}`],
    [
      'continues after an interim answer',
      `HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n${OK}`,
    ],
    ['has a status of its own', 'HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n'],
    ['announces too large a body', `${head}Content-Length: 1001\r\n\r\n${'x'.repeat(1001)}`],
    ['grows too large', `${head}Transfer-Encoding: chunked\r\n\r\n3e9\r\n${'x'.repeat(1001)}\r\n0\r\n\r\n`],
  ])('where it %s', async (_, bytes) => {
    expect(await codeFor(bytes)).toBe('upstream-invalid');
  });

  it('where it ends amid its header section', async () => {
    expect(await codeFor(`${head}X-Cut: `, (socket) => socket.end())).toBe('upstream-invalid');
  });

  it('and keeps its bytes to itself', async () => {
    const upstream = open(await sameAnswer('SECRET-BYTES'));
    const error = await refusalOf(forwardTo(upstream));
    expect(error.code).toBe('upstream-invalid');
    expect(String(error.message) + JSON.stringify(error) + String(error.cause)).not.toContain('SECRET');
    expect(error.cause).toBe('HTTPParserError');
  });
});

describe('an upstream is unreachable', () => {
  it('where nothing listens', async () => {
    const upstream = await sameAnswer('');
    await upstream.close();
    const error = await refusalOf(forwardTo(upstream));
    expect(error).toMatchObject({ code: 'upstream-unreachable', cause: 'ECONNREFUSED' });
  });

  it('where its name leads nowhere', async () => {
    const error = await refusalOf(forwardTo({ upstream: 'http://nobody.invalid' }));
    expect(error.code).toBe('upstream-unreachable');
  });

  it('where TLS is not what it speaks', async () => {
    const { upstream } = open(await httpUpstream((_, res) => res.end()));
    const error = await refusalOf(forwardTo({ upstream: upstream.replace('http:', 'https:') }));
    expect(error.code).toBe('upstream-unreachable');
  });

  it.each([
    ['hangs up', '', (socket: Socket) => socket.end()],
    ['resets', '', (socket: Socket) => socket.resetAndDestroy()],
    ['ends amid a body', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc', (socket: Socket) => socket.end()],
    [
      'ends amid a last body',
      'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nabc',
      (socket: Socket) => socket.end(),
    ],
    [
      'ends amid chunks',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab',
      (socket: Socket) => socket.end(),
    ],
    [
      'ends amid last chunks',
      'HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab',
      (socket: Socket) => socket.end(),
    ],
  ])('where it %s', async (_, bytes, end) => {
    expect(await codeFor(bytes, end)).toBe('upstream-unreachable');
  });

  it('and gets no request a second time, whatever the method', async () => {
    const upstream = open(await rawUpstream((socket) => socket.end()));
    for (const method of ['GET', 'HEAD', 'PUT', 'POST']) await refusalOf(forwardTo(upstream, { method }));
    expect(upstream.requests).toHaveLength(4);
  });

  it('and gets no second request where a kept connection ends under the first', async () => {
    const upstream = open(
      await rawUpstream((socket) => {
        if (upstream.requests.length === 1) socket.write(OK);
        else socket.end();
      }),
    );
    const pool = upstreams();
    const route = { upstream: upstream.upstream, timeoutMs: 30_000 };
    await pool.forward(route, request());
    await setImmediate();
    expect((await refusalOf(pool.forward(route, request()))).code).toBe('upstream-unreachable');
    expect(upstream.requests).toHaveLength(2);
    expect(upstream.connections()).toBe(1);
  });
});

describe('the timeout', () => {
  it.each([
    ['before an answer', ''],
    ['amid an answer', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'],
    ['after an interim answer', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
  ])('ends the call %s, and its connection', async (_, bytes) => {
    const { promise: closed, resolve } = withResolvers();
    const upstream = open(
      await rawUpstream((socket) => {
        socket.once('close', resolve);
        if (bytes) socket.write(bytes);
      }),
    );
    const error = await refusalOf(forwardTo(upstream, {}, 150));
    expect(error.code).toBe('upstream-timeout');
    expect(error.message).toContain('0.15 s');
    await closed;
  });

  it('covers the whole call, however often a little of the answer comes', async () => {
    const upstream = open(
      await rawUpstream((socket) => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n');
        const drip = setInterval(() => socket.write('x'), 20);
        socket.once('close', () => clearInterval(drip));
      }),
    );
    expect((await refusalOf(forwardTo(upstream, {}, 200))).code).toBe('upstream-timeout');
  });

  it('runs while the call waits for a connection, and then nothing of it is sent', async () => {
    const held: Socket[] = [];
    const { promise: full, resolve } = withResolvers();
    const upstream = open(
      await rawUpstream((socket, text) => {
        if (!text.startsWith('GET /first ')) socket.write(OK);
        else if (held.push(socket) === 128) resolve();
      }),
    );
    const pool = upstreams();
    const { upstream: origin } = upstream;
    const first = Array.from({ length: 128 }, () =>
      pool.forward({ upstream: origin, timeoutMs: 30_000 }, request({ target: '/first' })),
    );
    await full;
    const late = pool.forward({ upstream: origin, timeoutMs: 50 }, request({ target: '/late' }));
    expect((await refusalOf(late)).code).toBe('upstream-timeout');
    for (const socket of held) socket.write(OK);
    await Promise.all(first);
    await pool
      .forward({ upstream: origin, timeoutMs: 30_000 }, request({ target: '/after' }))
      .catch(() => {});
    expect(upstream.requests.filter((each) => each.includes('/late'))).toEqual([]);
  });
});

describe('a caller that goes away', () => {
  it('takes its call to the upstream along', async () => {
    const gone = new AbortController();
    const { promise: closed, resolve } = withResolvers();
    const upstream = open(
      await rawUpstream((socket) => {
        socket.once('close', resolve);
        gone.abort();
      }),
    );
    const error = await refusalOf(forwardTo(upstream, { signal: gone.signal }));
    expect(error.code).toBe('connection-lost');
    await closed;
  });

  it('beforehand sends nothing', async () => {
    const upstream = open(await sameAnswer(OK));
    const error = await refusalOf(forwardTo(upstream, { signal: AbortSignal.abort() }));
    expect(error.code).toBe('connection-lost');
    expect(upstream.connections()).toBe(0);
  });
});

describe('closing', () => {
  it('waits for what is under way, then ends every connection', async () => {
    const { promise: asked, resolve: ask } = withResolvers();
    let answer = () => {};
    const { promise: ended, resolve: end } = withResolvers();
    const upstream = open(
      await rawUpstream((socket) => {
        socket.once('close', end);
        answer = () => void socket.write(OK);
        ask();
      }),
    );
    const pool = new Upstreams({ maxBody: MAX_BODY });
    const route = { upstream: upstream.upstream, timeoutMs: 30_000 };
    const call = pool.forward(route, request());
    await asked;
    const closed = pool.close();
    expect((await refusalOf(pool.forward(route, request()))).code).toBe('upstream-unreachable');
    answer();
    expect((await call).status).toBe(200);
    await closed;
    await ended;
    await pool.close();
  });
});

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
