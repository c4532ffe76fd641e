/** Calls to upstreams that are recorded: what is given again, what is unknown, and what never happened. */
import { createServer } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { epochSeconds } from '../../../src/clock.ts';
import { startTestGateway, type TestGateway } from '../../../src/testing.ts';
import { type RawUpstream, rawUpstream } from '../upstream/raw-upstream.ts';
import {
  type Answer,
  bytesOf,
  Connection,
  type Draft,
  type Key,
  problem,
  send,
  sign,
  verifyAnswer,
} from '../wire.ts';

type Socket = Parameters<Parameters<typeof rawUpstream>[0]>[0];

const KEPT = 200;
let gateway: TestGateway;
let upstream: RawUpstream;
let shop: Key;
let other: Key;
let keys = 0;
/** What the upstream does with its next requests. */
let act: (socket: Socket, request: string) => void;

beforeAll(async () => {
  upstream = await rawUpstream((socket, request) => act(socket, request));
  const { upstream: origin } = upstream;
  gateway = await startTestGateway({
    settings: {
      idempotency: { keptBody: KEPT },
      routes: [
        { path: '/orders', upstream: origin, role: 'orders', idempotency: 'key' },
        { path: '/quick', upstream: origin, role: 'any', idempotency: 'key', timeout: 0.05 },
        {
          path: '/nowhere',
          upstream: `http://127.0.0.1:${await unusedPort()}`,
          role: 'any',
          idempotency: 'key',
        },
        { path: '/once', upstream: origin, role: 'any', idempotency: 'nonce' },
        { path: '/once-quick', upstream: origin, role: 'any', idempotency: 'nonce', timeout: 0.05 },
      ],
    },
  });
  shop = await gateway.addConsumer('shop', 'orders');
  other = await gateway.addConsumer('other', 'orders');
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

const reply =
  (status: number, body: string, head = '') =>
  (socket: Socket) =>
    socket.write(
      `HTTP/1.1 ${status} X\r\nContent-Type: text/plain\r\n${head}Content-Length: ${body.length}\r\n\r\n${body}`,
    );
const hang = () => {};
const reset = (socket: Socket) => socket.resetAndDestroy();

beforeEach(() => {
  act = reply(201, 'made');
});

const fresh = () => `k${++keys}`;

function request(key: string | undefined, { headers = [], ...draft }: Draft = {}, who: Key = shop) {
  const held: [string, string][] = key === undefined ? [] : [['Idempotency-Key', `"${key}"`]];
  return sign(gateway, who, { target: '/orders', ...draft, headers: [...held, ...headers] });
}

async function ask(key: string | undefined, draft: Draft = {}, who: Key = shop): Promise<Answer> {
  const asked = request(key, draft, who);
  const answer = await send(gateway, asked);
  verifyAnswer(answer, asked, who);
  return answer;
}

function outcome(answer: Answer): string {
  const replayed = answer.headers.get('idempotent-replayed') === 'true' ? ' again' : '';
  if (answer.headers.has('countersign-refusal')) return problem(answer).code;
  return `${answer.status} ${answer.body}${replayed}`;
}

async function known(key: string): Promise<{ status: string; resultStatus: number | null } | string> {
  const answer = await ask(undefined, { method: 'GET', target: `/v1/operations/${key}` });
  return answer.status === 200 ? JSON.parse(answer.body) : problem(answer).code;
}

describe('a complete answer', () => {
  it('is given again to whoever asks again, freshly signed, and the upstream hears nothing', async () => {
    const key = fresh();
    act = reply(201, 'made', 'Location: /orders/7\r\nConnection: keep-alive\r\nETag: "a"\r\n');
    const first = await ask(key);
    const heard = upstream.requests.length;
    act = reply(500, 'not this');
    gateway.clock.advance(3600);
    const second = await ask(key);
    expect([first, second].map(outcome)).toEqual(['201 made', '201 made again']);
    expect(upstream.requests).toHaveLength(heard);
    for (const name of ['location', 'etag', 'content-type', 'countersign-idempotency-expires']) {
      expect(second.headers.get(name)).toBe(first.headers.get(name));
    }
    expect(second.headers.get('connection')).not.toBe('keep-alive, keep-alive');
    expect(await known(key)).toMatchObject({ status: 'done', resultStatus: 201 });
  });

  it.each([
    [404, 'nothing'],
    [500, 'failed'],
    [503, 'busy'],
  ])('of status %d is one too', async (status, body) => {
    const key = fresh();
    act = reply(status, body);
    await ask(key);
    act = reply(201, 'made');
    expect(outcome(await ask(key))).toBe(`${status} ${body} again`);
  });

  it('without content is given again as it was', async () => {
    const key = fresh();
    act = (socket) => socket.write('HTTP/1.1 204 No Content\r\nETag: "a"\r\n\r\n');
    await ask(key, { method: 'DELETE', body: '' });
    const again = await ask(key, { method: 'DELETE', body: '' });
    expect(outcome(again)).toBe('204  again');
    expect(again.headers.get('etag')).toBe('"a"');
  });

  it('in chunks is complete', async () => {
    const key = fresh();
    act = (socket) =>
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n');
    await ask(key);
    expect(outcome(await ask(key))).toBe('200 hi again');
  });

  it('that is too large to be kept is passed on, and known to be done', async () => {
    const key = fresh();
    act = reply(201, 'x'.repeat(KEPT + 1));
    expect((await ask(key)).body).toHaveLength(KEPT + 1);
    const again = await ask(key);
    expect(problem(again)).toMatchObject({
      code: 'conflict',
      outcome: 'done',
      'result-status': 201,
      operation: `/v1/operations/${key}`,
    });
    expect(await known(key)).toMatchObject({ status: 'done', resultStatus: 201 });
    act = reply(200, 'y'.repeat(KEPT));
    const exact = fresh();
    await ask(exact);
    expect(outcome(await ask(exact))).toBe(`200 ${'y'.repeat(KEPT)} again`);
  });

  it('is not given to a caller who lost the role, nor to another one', async () => {
    const leaver = await gateway.addConsumer('leaver', 'orders');
    const key = fresh();
    await ask(key, {}, leaver);
    await gateway.store.commitGroup.run('take the role', (tx) =>
      tx.consumers.update('leaver', { roles: [] }),
    );
    expect(outcome(await ask(key, {}, leaver))).toBe('role-missing');
    act = reply(201, 'for another');
    expect(outcome(await ask(key, {}, other))).toBe('201 for another');
  });

  it('is forgotten after the life of its key', async () => {
    const key = fresh();
    const expires = Number((await ask(key)).headers.get('countersign-idempotency-expires'));
    expect(expires).toBe(epochSeconds(gateway.clock) + 24 * 3600);
    gateway.clock.set((expires - 1) * 1000);
    await gateway.store.purge();
    expect(outcome(await ask(key))).toBe('201 made again');
    gateway.clock.set(expires * 1000);
    expect(await known(key)).toBe('not-found');
    expect(outcome(await ask(key))).toBe('201 made');
  });
});

describe('the key', () => {
  it.each(['POST', 'PATCH'])('is demanded of %s', async (method) => {
    const heard = upstream.requests.length;
    expect(outcome(await ask(undefined, { method, body: '{}' }))).toBe('idempotency-key-missing');
    expect(upstream.requests).toHaveLength(heard);
  });

  it.each(['GET', 'PUT', 'DELETE'])('may be left out of %s, which is not remembered then', async (method) => {
    const body = method === 'PUT' ? '{}' : '';
    expect(outcome(await ask(undefined, { method, body }))).toBe('201 made');
  });

  it.each<[string, Draft]>([
    ['another body', { body: '{"hello":"you"}' }],
    ['another path', { target: '/orders/2' }],
    ['another query', { target: '/orders?' }],
    ['another method', { method: 'PUT', body: '{"hello":"world"}' }],
    ['another covered field that is forwarded', { headers: [['Accept', 'text/html']] }],
  ])('with %s is refused', async (_, draft) => {
    const key = fresh();
    await ask(key);
    const heard = upstream.requests.length;
    expect(outcome(await ask(key, draft))).toBe('idempotency-mismatch');
    expect(upstream.requests).toHaveLength(heard);
  });

  it('is the same where only what is not forwarded differs', async () => {
    const key = fresh();
    await ask(key);
    const narrowed = await ask(key, { headers: [['Countersign-Narrow', 'orders']] });
    expect(outcome(narrowed)).toBe('201 made again');
  });

  it('does not make the same bytes good twice', async () => {
    const bytes = request(fresh());
    await send(gateway, bytes);
    expect(problem(await send(gateway, bytes)).code).toBe('nonce-replayed');
  });
});

describe('while the first call runs', () => {
  it('a second is told to wait, and gets the answer once it is there', async () => {
    const key = fresh();
    const arrived = new Promise<Socket>((resolve) => {
      act = resolve;
    });
    const first = ask(key);
    const socket = await arrived;
    const second = await ask(key);
    expect(outcome(second)).toBe('idempotency-in-flight');
    expect(second.headers.get('retry-after')).toBe('1');
    expect(await known(key)).toMatchObject({ status: 'running', resultStatus: null });
    reply(200, 'late')(socket);
    expect(outcome(await first)).toBe('200 late');
    expect(outcome(await ask(key))).toBe('200 late again');
  });

  it('a caller that goes away may ask again for what came of it', async () => {
    const key = fresh();
    const arrived = new Promise<Socket>((resolve) => {
      act = resolve;
    });
    const connection = await Connection.open(gateway.port);
    connection.write(bytesOf(request(key)));
    const socket = await arrived;
    connection.reset();
    await connection.closed;
    reply(200, 'late')(socket);
    await expect.poll(() => ask(key).then(outcome)).toBe('200 late again');
  });

  it('of a hundred at once one is forwarded', async () => {
    const key = fresh();
    const heard = upstream.requests.length;
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask(key)));
    expect(upstream.requests).toHaveLength(heard + 1);
    expect(answers.map(outcome).filter((each) => each === '201 made')).toHaveLength(1);
    for (const each of answers.map(outcome)) {
      expect(['201 made', '201 made again', 'idempotency-in-flight']).toContain(each);
    }
  });
});

/** Ends that prove nothing, each with the refusal that the first caller gets. */
const broken: [string, string, string, (socket: Socket) => void][] = [
  ['none in time', '/quick', 'upstream-timeout', hang],
  ['a reset', '/orders', 'upstream-unreachable', reset],
  [
    'half a body, then a reset',
    '/orders',
    'upstream-unreachable',
    (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf', () => socket.resetAndDestroy());
    },
  ],
  [
    'half its chunks',
    '/orders',
    'upstream-unreachable',
    (socket) => {
      socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n');
    },
  ],
  [
    'one that ends with its connection',
    '/orders',
    'upstream-invalid',
    (socket) => {
      socket.end('HTTP/1.1 200 OK\r\n\r\nwhole, perhaps');
    },
  ],
  [
    'no HTTP',
    '/orders',
    'upstream-invalid',
    (socket) => {
      socket.end('SMTP\r\n\r\n');
    },
  ],
  [
    'one that cannot be signed',
    '/orders',
    'upstream-invalid',
    (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nETag: "\u00e9"\r\nContent-Length: 0\r\n\r\n', 'latin1');
    },
  ],
];

describe.each(broken)('after %s', (_, target, code, misbehave) => {
  it.each(['POST', 'PATCH', 'OPTIONS'])(
    '%s answers outcome-unknown, and is not forwarded again',
    async (method) => {
      const key = fresh();
      const draft = { target, method, body: method === 'OPTIONS' ? '' : '{}' };
      act = misbehave;
      expect(outcome(await ask(key, draft))).toBe(code);
      const heard = upstream.requests.length;
      act = reply(200, 'new');
      const again = await ask(key, draft);
      expect(again.status).toBe(409);
      expect(problem(again)).toMatchObject({
        code: 'outcome-unknown',
        key,
        operation: `/v1/operations/${key}`,
      });
      expect(upstream.requests).toHaveLength(heard);
      expect(await known(key)).toMatchObject({ status: 'unknown', resultStatus: null });
      expect(outcome(await ask(fresh(), draft))).toBe('200 new');
    },
  );

  it.each(['GET', 'PUT', 'DELETE'])('%s is forwarded again, and its answer kept', async (method) => {
    const key = fresh();
    const draft = { target, method, body: method === 'PUT' ? '{}' : '' };
    act = misbehave;
    expect(outcome(await ask(key, draft))).toBe(code);
    act = reply(200, 'new');
    expect(outcome(await ask(key, draft))).toBe('200 new');
    expect(outcome(await ask(key, draft))).toBe('200 new again');
  });
});

describe('before the first byte was sent', () => {
  it('nothing happened, nothing is remembered, and the key may be used again', async () => {
    const key = fresh();
    expect(outcome(await ask(key, { target: '/nowhere' }))).toBe('upstream-unreachable');
    expect(await known(key)).toBe('not-found');
    expect(outcome(await ask(key, { target: '/nowhere' }))).toBe('upstream-unreachable');
    expect(outcome(await ask(key))).toBe('201 made');
  });
});

describe('class nonce', () => {
  it('the same bytes again get the first answer, and the upstream hears nothing', async () => {
    const bytes = request(undefined, { target: '/once' });
    const first = await send(gateway, bytes);
    const heard = upstream.requests.length;
    const second = await send(gateway, bytes);
    verifyAnswer(second, bytes, shop);
    expect([first, second].map(outcome)).toEqual(['201 made', '201 made again']);
    expect(upstream.requests).toHaveLength(heard);
    expect(second.headers.has('countersign-idempotency-expires')).toBe(false);
  });

  it.each(['POST', 'PUT'])(
    'of %s whose end is unknown is never forwarded again: a copy may be anybody’s',
    async (method) => {
      act = hang;
      const bytes = request(undefined, { target: '/once-quick', method, body: '{}' });
      expect(outcome(await send(gateway, bytes))).toBe('upstream-timeout');
      const heard = upstream.requests.length;
      act = reply(200, 'new');
      expect(outcome(await send(gateway, bytes))).toBe('outcome-unknown');
      expect(upstream.requests).toHaveLength(heard);
    },
  );

  it('gives nothing again to whoever lost the role', async () => {
    const leaver = await gateway.addConsumer('leaver-2', 'orders');
    const bytes = request(undefined, { target: '/once/orders' }, leaver);
    await send(gateway, bytes);
    await gateway.store.commitGroup.run('disable', (tx) =>
      tx.consumers.disable('leaver-2', epochSeconds(gateway.clock)),
    );
    expect((await send(gateway, bytes)).status).toBe(401);
  });

  it('a key serves instead', async () => {
    const key = fresh();
    await ask(key, { target: '/once' });
    expect(outcome(await ask(key, { target: '/once' }))).toBe('201 made again');
  });
});

it('what the store cannot note at the end is unknown, and the caller is not told otherwise', async () => {
  const key = fresh();
  const { Sqlite, databaseFile } = await lockable();
  const arrived = new Promise<Socket>((resolve) => {
    act = resolve;
  });
  const first = ask(key);
  const socket = await arrived;
  const lock = new Sqlite(databaseFile(`${gateway.folder}/data`));
  lock.exec('BEGIN IMMEDIATE');
  reply(200, 'done')(socket);
  const answer = await first;
  expect(outcome(answer)).toBe('store-unavailable');
  expect(problem(answer).outcome).toBe('unknown');
  lock.close();
  act = reply(200, 'new');
  expect(outcome(await ask(key))).toBe('outcome-unknown');
});

async function lockable() {
  const { default: Sqlite } = await import('better-sqlite3');
  const { databaseFile } = await import('../../../src/storage/sqlite/database.ts');
  return { Sqlite, databaseFile };
}

async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
