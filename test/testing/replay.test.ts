/** The signed requests of yesterday, under the clock of yesterday. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  createTransport,
  draftRequest,
  exchange,
  prepareRequest,
  signingKey,
} from '../../src/client/index.ts';
import { CASSETTE_HEADER, formatExchange } from '../../src/testing/cassette.ts';
import {
  type Cassette,
  type Replayed,
  type ReplayOptions,
  readCassette,
  record,
  replay,
  startTestGateway,
  startTestUpstream,
  TestClock,
  type TestGatewayOptions,
} from '../../src/testing.ts';
import { temporaryFolder } from './temporary-folder.ts';

const path = temporaryFolder();
const shop = { name: 'shop', keyid: 'shop.1', secret: Buffer.alloc(64, 7), roles: ['orders'] };
const YESTERDAY = Date.UTC(2026, 10, 21, 10);
const DAY = 24 * 3600;

async function gatewayFor(options: TestGatewayOptions) {
  const gateway = await startTestGateway({ consumers: [shop], ...options });
  onTestFinished(() => gateway.close());
  return gateway;
}

async function ordersRoute() {
  const upstream = await startTestUpstream(({ body }) => ({
    status: 201,
    body: { ordered: body.toString() },
  }));
  onTestFinished(() => upstream.close());
  return { routes: [{ path: '/orders', upstream: upstream.url, role: 'orders' }], upstream };
}

/** Records three calls, one of them refused, a minute apart. */
async function recorded(name: string): Promise<Cassette> {
  const { routes } = await ordersRoute();
  const gateway = await gatewayFor({ clock: new TestClock(YESTERDAY), settings: { routes } });
  const file = path(name);
  const fetch = gateway.signedFetch(shop, { onExchange: record(file) });
  await fetch('/orders?note=a%20b', { method: 'POST', body: '{"tea": 2}' });
  gateway.clock.advance(60);
  await fetch('/nowhere').catch(() => {});
  gateway.clock.advance(60);
  await fetch('/v1/whoami');
  return readCassette(file);
}

async function collect(cassette: Cassette | string, options: ReplayOptions): Promise<Replayed[]> {
  const all: Replayed[] = [];
  for await (const replayed of replay(cassette, options)) all.push(replayed);
  return all;
}

const statuses = (all: readonly Replayed[]) => all.map(({ answer }) => answer.status);
const refusals = (all: readonly Replayed[]) => all.map(({ answer }) => answer.refusal);

describe('a replay', () => {
  it('is answered as yesterday, and refused when it is done twice', async () => {
    const cassette = await recorded('orders.jsonl');
    const { routes, upstream } = await ordersRoute();
    const gateway = await gatewayFor({ cassette, settings: { routes } });

    const first = await collect(cassette, { gateway });
    expect(statuses(first)).toEqual([201, 404, 200]);
    for (const { recorded, answer } of first) {
      expect(answer.status).toBe(recorded.status);
      expect(answer.fields.get('signature')).toMatch(/^cs=:/);
    }
    expect(upstream.requests.map(({ body }) => body.toString())).toEqual(['{"tea": 2}']);

    const second = await collect(cassette, { gateway });
    expect(refusals(second)).toEqual(['nonce-replayed', 'nonce-replayed', 'nonce-replayed']);
    expect(upstream.requests).toHaveLength(1);
  });

  it('takes the name of a file as well, and so does the gateway', async () => {
    const { file } = await recorded('named.jsonl');
    const gateway = await gatewayFor({
      cassette: file,
      settings: await ordersRoute().then(({ routes }) => ({ routes })),
    });
    expect(statuses(await collect(file, { gateway }))).toEqual([201, 404, 200]);
  });

  it('sets the clock to the time of each message', async () => {
    const cassette = await recorded('clock.jsonl');
    const gateway = await gatewayFor({ cassette });
    expect(gateway.clock.now()).toBe(YESTERDAY);
    const times: number[] = [];
    for await (const _ of replay(cassette, { gateway })) times.push(gateway.clock.now() - YESTERDAY);
    expect(times).toEqual([0, 60_000, 120_000]);
  });

  it('leaves the clock where it is when told so, and old messages are refused', async () => {
    const cassette = await recorded('today.jsonl');
    const gateway = await gatewayFor({ cassette });
    gateway.clock.advance(DAY);
    const all = await collect(cassette, { gateway, keepClock: true });
    expect(refusals(all)).toEqual(['signature-expired', 'signature-expired', 'signature-expired']);
    expect(gateway.clock.now()).toBe(YESTERDAY + DAY * 1000);
  });

  it('comes out the same where the caller had a wrong clock', async () => {
    const file = path('skewed.jsonl');
    const recording = await gatewayFor({ clock: new TestClock(YESTERDAY) });
    const clock = new TestClock(YESTERDAY + 600_000);
    await recording.signedFetch(shop, { clock, onExchange: record(file) })('/v1/whoami');
    const gateway = await gatewayFor({ cassette: file });
    const all = await collect(file, { gateway });
    expect(refusals(all)).toEqual(['clock-skew', undefined]);
    expect(all.map(({ recorded }) => recorded.refusal)).toEqual(refusals(all));
  });

  it('is refused by a gateway with another secret, or without the key', async () => {
    const cassette = await recorded('other.jsonl');
    const other = { ...shop, secret: Buffer.alloc(64, 8) };
    for (const consumers of [[other], []]) {
      const gateway = await gatewayFor({ cassette, consumers });
      const all = await collect(cassette, { gateway });
      expect(refusals(all)).toEqual(['signature-invalid', 'signature-invalid', 'signature-invalid']);
    }
  });

  it('is refused by a gateway of another name', async () => {
    const cassette = await recorded('misnamed.jsonl');
    const gateway = await gatewayFor({});
    expect(refusals(await collect(cassette, { gateway }))).toEqual(Array(3).fill('origin-unknown'));
  });

  it('notices a single byte that was changed in the cassette', async () => {
    const cassette = await recorded('changed.jsonl');
    const [first, ...others] = cassette.exchanges;
    if (!first) throw new Error('nothing was recorded');
    const request = { ...first.request, body: Buffer.from('{"tea": 3}') };
    const { routes } = await ordersRoute();
    const gateway = await gatewayFor({ cassette, settings: { routes } });
    const exchanges = [{ ...first, request }, ...others];
    expect(refusals(await collect({ ...cassette, exchanges }, { gateway }))).toEqual([
      'digest-mismatch',
      'not-found',
      undefined,
    ]);
  });

  it('serves what was recorded over https, as the proxy before the gateway would', async () => {
    const created = YESTERDAY / 1000;
    const draft = draftRequest({ method: 'GET', origin: 'https://api.example.com', target: '/v1/whoami' });
    const { message, body } = prepareRequest(draft, signingKey(shop), { created });
    const lines = [['host', message.authority] as const, ...message.fields.entries()];
    const file = path('https.jsonl');
    const line = formatExchange({
      at: created,
      origin: 'https://api.example.com',
      request: { method: message.method, target: message.target, lines, body },
      response: { status: 200, lines: [], body: Buffer.alloc(0) },
    });
    writeFileSync(file, CASSETTE_HEADER + line);
    const gateway = await gatewayFor({ cassette: file });
    const [replayed] = await collect(file, { gateway });
    expect(replayed?.answer.status).toBe(200);
    expect(JSON.parse(String(replayed?.answer.body))).toMatchObject({ consumer: 'shop' });
  });

  it('may be left early', async () => {
    const cassette = await recorded('early.jsonl');
    const gateway = await gatewayFor({ cassette });
    for await (const { answer } of replay(cassette, { gateway })) {
      expect(answer.status).toBe(404);
      break;
    }
    expect(refusals(await collect(cassette, { gateway }))).toEqual([
      'nonce-replayed',
      'not-found',
      undefined,
    ]);
  });

  it('fails before anything is sent where the cassette is malformed', async () => {
    const { file } = await recorded('good.jsonl');
    const gateway = await gatewayFor({ cassette: file });
    const before = gateway.store.nonceCount;
    writeFileSync(path('half.jsonl'), `${CASSETTE_HEADER}{`);
    await expect(collect(path('half.jsonl'), { gateway })).rejects.toMatchObject({
      code: 'cassette-invalid',
    });
    expect(gateway.store.nonceCount).toBe(before);
  });

  it('rejects where nothing listens', async () => {
    const cassette = await recorded('closed.jsonl');
    const gateway = await startTestGateway({ cassette });
    await gateway.close();
    await expect(collect(cassette, { gateway })).rejects.toThrow(/ECONNREFUSED/);
  });
});

describe('what is replayed', () => {
  it('is what was sent, byte for byte', async () => {
    const heard: Buffer[] = [];
    const server = createServer((socket) => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk) => {
        chunks.push(chunk);
        const request = Buffer.concat(chunks);
        if (!request.includes('the end')) return;
        chunks.length = 0;
        heard.push(request);
        socket.write('HTTP/1.1 204 No Content\r\n\r\n');
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;

    const file = path('bytes.jsonl');
    const note = record(file);
    const transport = createTransport();
    onTestFinished(() => transport.close());
    const draft = draftRequest({
      method: 'PATCH',
      origin: `http://127.0.0.1:${port}`,
      target: '/a%20b?c=%2F&&d',
      headers: [
        ['X-Mixed-Case', 'kept  as it is'],
        ['Accept-Language', 'de'],
      ],
      body: Buffer.concat([Buffer.from([0, 0xff, 0x0d, 0x0a]), Buffer.from('the end')]),
    });
    const prepared = prepareRequest(draft, signingKey(shop), { created: YESTERDAY / 1000 });
    const options = { transport, signal: AbortSignal.timeout(30_000), maxResponseBody: 1000 };
    note(await exchange(prepared, options));
    await collect(file, { gateway: { port, clock: new TestClock() } });
    expect(heard).toHaveLength(2);
    expect(heard[1]?.toString('latin1')).toBe(heard[0]?.toString('latin1'));
  });
});
