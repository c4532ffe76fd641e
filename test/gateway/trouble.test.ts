/** What callers see when the gateway itself is in trouble: without its store, left alone, or wrong. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { NonceStore } from '../../src/replay/nonces.ts';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import { capturedLog } from './captured-log.ts';
import { type PipelineUnderTest, signedRoute, startPipeline } from './pipeline-under-test.ts';
import { bytesOf, Connection, type Draft, problem, send, sendBytes, sign, verifyAnswer } from './wire.ts';

let gateway: TestGateway;
let upstream: Server;
let forwarded = 0;
/** Called when the upstream is asked to hold its answer. */
let holding = () => {};
const log = capturedLog();

beforeAll(async () => {
  upstream = createServer((req, res) => {
    forwarded++;
    if (req.url === '/orders/held') holding();
    else res.end('done');
  }).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const { port } = upstream.address() as AddressInfo;
  gateway = await startTestGateway({
    logger: log.logger,
    settings: { routes: [{ path: '/orders', upstream: `http://127.0.0.1:${port}`, role: 'any' }] },
  });
});
afterAll(async () => {
  await gateway.close();
  upstream.close();
});
beforeEach(() => log.clear());

const signed = (draft: Draft = {}) => sign(gateway, gateway.credentials, draft);
const pingOf = (port: number) => `GET /v1/ping HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;

describe('store-unavailable', () => {
  /** What another process does that holds the write lock. */
  async function whileLocked(work: () => Promise<void>): Promise<void> {
    const other = new Sqlite(join(gateway.folder, 'data', 'countersign.db'));
    other.exec('BEGIN IMMEDIATE');
    try {
      await work();
    } finally {
      other.exec('ROLLBACK');
      other.close();
    }
  }

  it('answers 503, signed, says that the outcome is unknown, and serves nothing; later the same message is good', async () => {
    const requests = [
      signed(),
      signed({ target: '/orders' }),
      signed({ method: 'GET', target: '/v1/ping' }),
      signed({ method: 'GET', target: '/nowhere' }),
      signed({ body: '{' }),
    ];
    forwarded = 0;
    await whileLocked(async () => {
      for (const [i, answer] of (await Promise.all(requests.map((each) => send(gateway, each)))).entries()) {
        expect(problem(answer)).toMatchObject({
          code: 'store-unavailable',
          status: 503,
          outcome: 'unknown',
        });
        expect(answer.status).toBe(503);
        expect(answer.headers.get('retry-after')).toBe('1');
        verifyAnswer(answer, requests[i] as (typeof requests)[number], gateway.credentials);
      }
    });
    expect(forwarded).toBe(0);
    const later = await Promise.all(requests.map((each) => send(gateway, each)));
    expect(later.map(({ status }) => status)).toEqual([200, 200, 200, 404, 400]);
    expect(forwarded).toBe(1);
    const again = await Promise.all(requests.map((each) => send(gateway, each)));
    expect(again.map((answer) => problem(answer).code)).toEqual(requests.map(() => 'nonce-replayed'));
  });

  it('is logged for the operator with its cause', async () => {
    await whileLocked(async () => void (await send(gateway, signed())));
    const [error, call] = log.lines;
    expect(error).toMatchObject({ level: 50, msg: 'store-unavailable', requestId: call?.requestId });
    expect(JSON.stringify(error?.err)).toContain('database is locked');
    expect(call).toMatchObject({ code: 'store-unavailable', status: 503 });
  });

  it('leaves what needs no store served, and refuses nothing that it can not record', async () => {
    await whileLocked(async () => {
      expect((await sendBytes(gateway.port, pingOf(gateway.port))).status).toBe(200);
      const old = signed({ created: Math.floor(gateway.clock.now() / 1000) - 200 });
      expect(problem(await send(gateway, old)).code).toBe('store-unavailable');
    });
  });
});

describe('a caller that goes away while the upstream works', () => {
  it.each<[string, (connection: Connection) => void]>([
    ['a reset', (connection) => connection.reset()],
    ['the end of what it writes', (connection) => connection.end()],
  ])("by %s, is logged as lost and as nobody's fault", async (_how, leave) => {
    const held = new Promise<void>((resolve) => {
      holding = resolve;
    });
    const connection = await Connection.open(gateway.port);
    connection.write(bytesOf(signed({ method: 'GET', target: '/orders/held' })));
    await held;
    leave(connection);
    await log.until('call', 1);
    expect(log.calls).toEqual([expect.objectContaining({ code: 'connection-lost', consumer: 'demo' })]);
    expect(log.lines.filter(({ level }) => level > 30)).toEqual([]);
  });
});

describe('internal-error', () => {
  const REASON = 'the reason, which nobody outside should read';
  const fail = () => {
    throw new TypeError(REASON);
  };
  let broken: PipelineUnderTest;

  beforeAll(async () => {
    broken = await startPipeline(gateway, {
      '/throws': { GET: signedRoute(fail), POST: signedRoute(fail) },
      '/throws-text': {
        GET: signedRoute(() => {
          throw REASON;
        }),
      },
      '/throws-nothing': { GET: signedRoute(() => Promise.reject(undefined)) },
      '/throws-error-of-koa': { GET: signedRoute((ctx) => ctx.throw(418, REASON, { expose: true })) },
      '/answers-nothing': { GET: signedRoute(() => {}) },
      '/answers-an-object': {
        GET: signedRoute((ctx) => {
          ctx.body = { reason: REASON };
        }),
      },
      '/answers-what-cannot-be-signed': {
        GET: signedRoute((ctx) => {
          ctx.set('ETag', '"caf\xe9"');
          ctx.set('Content-Encoding', 'br');
          ctx.body = REASON;
        }),
      },
      '/open': { GET: signedRoute(fail, { credential: 'none' }) },
      '/begun': {
        GET: signedRoute((ctx) => {
          ctx.set({ ETag: '"1"', 'Content-Encoding': 'br', Location: '/x', 'RateLimit-Policy': 'q' });
          ctx.status = 201;
          ctx.body = REASON;
          fail();
        }),
      },
    });
  });
  afterAll(() => broken.close());
  beforeEach(() => broken.log.clear());

  it.each([
    '/throws',
    '/throws-text',
    '/throws-nothing',
    '/throws-error-of-koa',
    '/answers-nothing',
    '/answers-an-object',
    '/answers-what-cannot-be-signed',
    '/begun',
  ])('%s: 500, signed, without the reason; the log has it', async (target) => {
    const request = sign(broken, gateway.credentials, { method: 'GET', target });
    const answer = await send(broken, request);
    expect(answer.status).toBe(500);
    expect(problem(answer)).toEqual({
      type: 'README.md#internal-error',
      title: 'internal error',
      status: 500,
      code: 'internal-error',
      detail: expect.stringContaining('log'),
    });
    verifyAnswer(answer, request, gateway.credentials);
    for (const name of ['etag', 'content-encoding', 'location', 'ratelimit-policy']) {
      expect(answer.headers.has(name)).toBe(false);
    }
    const [error, call] = broken.log.lines;
    expect(error).toMatchObject({ level: 50, requestId: answer.headers.get('countersign-request-id') });
    expect(call).toMatchObject({ code: 'internal-error', status: 500, requestId: error?.requestId });
  });

  it('has its stack in the log', async () => {
    await send(broken, sign(broken, gateway.credentials, { method: 'GET', target: '/throws' }));
    expect(broken.log.lines[0]?.err).toMatchObject({
      type: 'TypeError',
      message: REASON,
      stack: expect.stringContaining('trouble.test.ts'),
    });
  });

  it('is unsigned where the call was', async () => {
    const answer = await sendBytes(broken.port, pingOf(broken.port).replace('/v1/ping', '/open'));
    expect(problem(answer).code).toBe('internal-error');
    expect(answer.headers.has('signature')).toBe(false);
    expect(answer.body).not.toContain(REASON);
  });

  it('uses the nonce up, like every signed answer', async () => {
    const request = sign(broken, gateway.credentials, { method: 'GET', target: '/throws' });
    await send(broken, request);
    expect(problem(await send(broken, request)).code).toBe('nonce-replayed');
  });

  it('is what a failing nonce store comes to, and nothing is served then', async () => {
    let served = 0;
    const route = signedRoute(() => void served++);
    const nonces: NonceStore = { claim: () => Promise.reject(new Error(REASON)) };
    const pipeline = await startPipeline(gateway, { '/v1/echo': { POST: route } }, { nonces });
    const request = sign(pipeline, gateway.credentials);
    const answer = await send(pipeline, request);
    expect(problem(answer).code).toBe('internal-error');
    expect(answer.body).not.toContain(REASON);
    verifyAnswer(answer, request, gateway.credentials);
    expect(served).toBe(0);
    await pipeline.close();
  });
});
