/** Client certificates at a whole gateway: asked for where the configuration says so, denied by a command. */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { epochSeconds } from '../../../src/clock.ts';
import { loadConfig } from '../../../src/config/config.ts';
import { addConsumer, type IssuedKey } from '../../../src/consumers/registration.ts';
import { startTestGateway, type TestGateway } from '../../../src/testing.ts';
import { failure, type Operator, operator } from '../../cli/commands.ts';
import { builtFolder } from '../../e2e/built.ts';
import { endAll, temporaryFolder } from '../../e2e/processes.ts';
import { loopTime } from '../../own-time.ts';
import { capturedLog } from '../captured-log.ts';
import { type Answer, bytesOf, Connection, type Draft, problem, sign, verifyAnswer } from '../wire.ts';
import { HeldHandshake } from './held-handshake.ts';
import { type Identity, type OpensslRoot, opensslRoot } from './openssl-certificates.ts';

const SHOP = 'spiffe://example.com/shop';
const root: OpensslRoot = opensslRoot();
const foreign: OpensslRoot = opensslRoot();
const log = capturedLog();
let upstream: Server;
let received: string[] = [];
let gateway: TestGateway;
let folder: string;
let cli: Operator;
let bound: IssuedKey;
let free: IssuedKey;

/** A data folder in which the gateway's own certificate lies already. */
function prepared(): string {
  const made = temporaryFolder();
  const tls = join(made, 'data', 'tls');
  mkdirSync(tls, { recursive: true, mode: 0o700 });
  const { key, chain } = root.leaf('IP:127.0.0.1');
  writeFileSync(join(tls, 'trust.pem'), root.trust);
  writeFileSync(join(tls, 'current.key'), key, { mode: 0o600 });
  writeFileSync(join(tls, 'current.pem'), chain + root.trust);
  return made;
}

function settings(more: Record<string, unknown> = {}) {
  const { port } = upstream.address() as AddressInfo;
  const route = { upstream: `http://127.0.0.1:${port}`, role: 'any', ...more };
  return { tls: { names: ['127.0.0.1'] }, routes: [{ path: '/orders', idempotency: 'key', ...route }] };
}

beforeAll(async () => {
  // Not while a test holds connections open.
  builtFolder();
  upstream = createServer((req, res) => {
    received.push(JSON.stringify(req.headers));
    res.end(`order ${received.length}`);
  }).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  folder = prepared();
  gateway = await startTestGateway({
    folder,
    settings: settings({ clientCertificate: 'required' }),
    logger: log.logger,
  });
  cli = operator(join(folder, 'data'));
  [bound, free] = [await issue(gateway, 'bound', SHOP), await issue(gateway, 'free')];
});
afterAll(async () => {
  await gateway?.close();
  upstream.close();
  await endAll();
});

function issue({ store, clock }: TestGateway, name: string, certificateUri?: string): Promise<IssuedKey> {
  return store.commitGroup.run('add', (tx) =>
    addConsumer(tx.consumers, store.vault, { name, roles: [] }, epochSeconds(clock), { certificateUri }),
  );
}

const client = (from = root) => from.leaf(`URI:${SHOP}`, { usage: 'clientAuth' });
const serialOf = ({ chain }: Identity) => new X509Certificate(chain).serialNumber;

async function open(identity?: Identity, to = gateway, port = to.port): Promise<Connection> {
  // Certificates begin when they are made, after the test's clock was stopped.
  to.clock.set(Date.now());
  const shown = identity && { key: identity.key, cert: identity.chain };
  const socket = connect({ host: '127.0.0.1', port, ca: root.trust, ...shown });
  onTestFinished(() => {
    socket.destroy();
  });
  await once(socket, 'secureConnect');
  return Connection.over(socket);
}

async function call(connection: Connection, key: IssuedKey, draft: Draft, to = gateway): Promise<Answer> {
  const request = sign({ port: to.port, clock: to.clock, scheme: 'https' }, key, draft);
  connection.write(bytesOf(request));
  const answer = await connection.next();
  if (!answer) throw new Error('the connection was closed without an answer');
  verifyAnswer(answer, request, key, 'https');
  return answer;
}

const told = (answer: Answer) => (answer.status < 300 ? answer.status : problem(answer).code);
const WHOAMI = { method: 'GET', target: '/v1/whoami' };
const order = (key: string) => ({
  method: 'POST',
  target: '/orders',
  headers: [['Idempotency-Key', `"${key}"`]] as const,
});

describe('a route of the table', () => {
  it('that requires a certificate is closed without one, and the upstream hears nothing', async () => {
    const [without, showing] = [await open(), await open(client())];
    received = [];
    expect(told(await call(without, free, order('a')))).toBe('key-forbidden');
    expect(told(await call(await open(client(foreign)), free, order('a')))).toBe('key-forbidden');
    expect(received).toEqual([]);
    expect(told(await call(showing, free, order('a')))).toBe(200);
    expect(told(await call(without, free, WHOAMI))).toBe(200);
  });

  it('gives no stored answer to a bound key without its certificate', async () => {
    const [showing, other] = [
      await open(client()),
      await open(root.leaf(`URI:${SHOP}/2`, { usage: 'clientAuth' })),
    ];
    const first = await call(showing, bound, order('b'));
    expect([told(first), told(await call(other, bound, order('b')))]).toEqual([200, 'key-forbidden']);
    const again = await call(showing, bound, order('b'));
    expect([again.body, again.headers.get('idempotent-replayed')]).toEqual([first.body, 'true']);
  });

  it('passes on no field in which a proxy tells of a certificate', async () => {
    received = [];
    const headers = ['Client-Cert', 'X-Client-Cert', 'X-SSL-Client-Cert', 'X-Forwarded-Client-Cert'];
    const draft = {
      ...order('c'),
      headers: [...order('c').headers, ...headers.map((name) => [name, `URI=${SHOP}`] as const)],
      cover: [
        ...['@method', '@target-uri', 'content-digest', 'content-type', 'idempotency-key'],
        ...headers.map((name) => name.toLowerCase()),
      ],
    };
    expect(told(await call(await open(client()), free, draft))).toBe(200);
    expect(received).toHaveLength(1);
    // The names alone: what is random in a value may spell anything.
    expect(Object.keys(JSON.parse(received[0] as string)).join()).not.toMatch(/cert/i);
    expect(received[0]).not.toContain(SHOP);
  });
});

describe('certificates are asked for', () => {
  it.each([
    ['none', {}, 'key-forbidden'],
    ['optional', {}, 200],
    ['none', { tls: { names: ['127.0.0.1'], clientCertificates: 'request' } }, 200],
  ])('where a route or the setting says so: %s, %j', async (clientCertificate, more, expected) => {
    const own = await startTestGateway({
      folder: prepared(),
      settings: { ...settings({ clientCertificate }), ...more },
    });
    onTestFinished(() => own.close());
    const key = await issue(own, 'bound', SHOP);
    expect(told(await call(await open(client(), own), key, WHOAMI, own))).toBe(expected);
  });

  it('by a route that a reload adds after a restart alone, and meanwhile it is closed', async () => {
    const own = await startTestGateway({ folder: prepared(), settings: settings() });
    onTestFinished(() => own.close());
    const file = join(own.folder, 'config.yaml');
    writeFileSync(file, JSON.stringify(settings({ clientCertificate: 'required' })));
    const variables = {
      COUNTERSIGN_DATA: join(own.folder, 'data'),
      COUNTERSIGN_PORT: '0',
      COUNTERSIGN_CONFIG: file,
    };
    expect(own.reload(loadConfig(variables))).toMatchObject({ changed: ['routes'], restart: ['tls'] });
    const key = await issue(own, 'free');
    expect(told(await call(await open(client(), own), key, order('d'), own))).toBe('key-forbidden');
  });
});

describe('countersign ca deny', () => {
  it('closes 32 idle connections within a second, and is on record', async () => {
    const denied = client();
    const idle = await Promise.all(Array.from({ length: 32 }, () => open(denied)));
    const other = await open(client());
    // Each has said something: who is silent from the first is cut off soon anyway.
    for (const each of [...idle, other]) expect(told(await call(each, bound, WHOAMI))).toBe(200);
    const serial = serialOf(denied);
    const typed = serial.toLowerCase().replace(/..(?=.)/g, '$&:');
    const closed = Promise.all(idle.map((connection) => connection.closed));
    const answer = await cli.json(['ca', 'deny', typed]);
    expect(await loopTime(closed)).toBeLessThan(1000);
    expect(answer).toEqual({ serial, status: 'denied', keptUntil: expect.stringMatching(/Z$/) });
    expect(told(await call(other, bound, WHOAMI))).toBe(200);
    expect(told(await call(await open(denied), bound, WHOAMI))).toBe('key-forbidden');
    const row = [...gateway.store.audit.rows()].findLast(({ action }) => action === 'certificate.deny');
    expect(row).toMatchObject({ actor: 'cli', subject: serial });
  });

  it('forgets a denial when it is told to', async () => {
    const until = '2027-01-31T12:00:00.000Z';
    expect(await cli.json(['ca', 'deny', '3fa4', '--until', '2027-01-31T12:00:00Z'])).toEqual({
      serial: '3FA4',
      status: 'denied',
      keptUntil: until,
    });
  });

  it.each([
    [['xyz'], 'serial number in hex'],
    [['0'], 'serial number in hex'],
    [[], 'serial'],
    [['3fa4', '--until', 'soon'], '--until'],
    [['3fa4', '--until', '2020-01-01'], '--until'],
  ])('is misused with %j', async (args, why) => {
    const { code, stderr } = await cli.run(['ca', 'deny', ...args]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(why)]);
  });

  it('is refused where there is no gateway that it could reach, and makes none', async () => {
    const data = join(temporaryFolder(), 'elsewhere');
    const { code, detail } = failure(await operator(data).run(['ca', 'deny', '3fa4', '--json']));
    expect([code, detail, existsSync(data)]).toEqual(['store-failed', expect.stringContaining(data), false]);
  });
});

describe('the trusted roots', () => {
  const file = () => join(folder, 'data', 'tls', 'trust.pem');
  function replace(pem: string): void {
    writeFileSync(`${file()}.new`, pem);
    renameSync(`${file()}.new`, file());
  }

  it('are followed: who shows a certificate connects anew, and is judged by the new ones', async () => {
    const [shown, stranger] = [client(), client(foreign)];
    const [first, second, without] = [await open(shown), await open(stranger), await open()];
    expect(told(await call(first, bound, WHOAMI))).toBe(200);
    expect(told(await call(second, bound, WHOAMI))).toBe('key-forbidden');
    replace(root.trust + foreign.trust);
    await Promise.all([first.closed, second.closed]);
    expect(told(await call(await open(shown), bound, WHOAMI))).toBe(200);
    expect(told(await call(await open(stranger), bound, WHOAMI))).toBe(200);
    expect(told(await call(without, free, WHOAMI))).toBe(200);
  });

  it('that can not be read are told of, and those before stay', async () => {
    log.clear();
    replace('no root');
    await log.until('the trusted roots could not be taken over', 1);
    const connection = await open(client());
    expect(told(await call(connection, bound, WHOAMI))).toBe(200);
    replace(root.trust);
    await connection.closed;
    expect(told(await call(await open(client()), bound, WHOAMI))).toBe(200);
    expect(told(await call(await open(client(foreign)), bound, WHOAMI))).toBe('key-forbidden');
  });

  it('are followed also where they change amid a handshake', async () => {
    replace(root.trust + foreign.trust);
    const stranger = client(foreign);
    await expect.poll(async () => told(await call(await open(stranger), bound, WHOAMI))).toBe(200);
    const other = await open(stranger);
    const way = await HeldHandshake.to(gateway.port);
    const opening = open(stranger, gateway, way.port);
    await way.held;
    replace(root.trust);
    await other.closed;
    log.clear();
    way.release();
    await (await opening).closed;
    const whys = log.lines.flatMap(({ why }) => (why === undefined ? [] : [why]));
    expect(whys).toEqual(['the trusted roots were changed amid its handshake']);
  });
});
