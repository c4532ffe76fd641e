/** Client certificates over real TLS: what counts on each request, and connections that end with their certificate. */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { epochSeconds } from '../../../src/clock.ts';
import type { IssuedKey } from '../../../src/consumers/registration.ts';
import { SqliteStore } from '../../../src/storage/sqlite/store.ts';
import { loopTime } from '../../own-time.ts';
import { type Answer, bytesOf, problem, send, sign } from '../wire.ts';
import { HeldHandshake } from './held-handshake.ts';
import { MutualTls, type OpenConnection, SHOP } from './mutual-tls.ts';
import { type Identity, OpensslRoot } from './openssl-certificates.ts';

const DAY = 86_400;
const ENDS = 'a connection ends with its client certificate';

let scene: MutualTls;
let foreign: OpensslRoot;
let shop: Identity;
let bank: Identity;
let bound: IssuedKey;
let free: IssuedKey;

beforeAll(async () => {
  scene = await MutualTls.start();
  foreign = new OpensslRoot();
  [shop, bank] = [scene.client(), scene.client('URI:spiffe://example.com/bank')];
  [bound, free] = [await scene.issue(SHOP), await scene.issue()];
});
afterAll(async () => {
  await scene.close();
  foreign.remove();
});

const told = (answer: Answer) =>
  answer.status < 300 ? answer.status : `${answer.status} ${problem(answer).code}`;
const FORBIDDEN = '403 key-forbidden';
const serialOf = ({ chain }: Identity) => new X509Certificate(chain).serialNumber;

/** With a URI name that openssl takes only in a section of its own. */
function strange(uri: string): Identity {
  const identity = scene.client('@names', { usage: `clientAuth\n[names]\nURI.1=${uri}\n[more]` });
  expect(new X509Certificate(identity.chain).subjectAltName).toContain('URI:"spiffe://');
  return identity;
}

/** What counts for nothing, with what it is. */
const worthless: readonly (readonly [string, () => Identity | undefined])[] = [
  ['no certificate', () => undefined],
  ['one of a foreign root', () => foreign.leaf(`URI:${SHOP}`, { usage: 'clientAuth' })],
  ['one for servers', () => scene.client(`URI:${SHOP}`, { usage: 'serverAuth' })],
  ["one that is an issuer's own", () => scene.client(`URI:${SHOP}`, { ca: true })],
  ['one that has ended', () => scene.client(`URI:${SHOP}`, { days: 0 })],
  ['one with two URI names', () => scene.client(`URI:${SHOP},URI:spiffe://example.com/bank`)],
  ['one with the same URI name twice', () => scene.client(`URI:${SHOP},URI:${SHOP}`)],
  ['one without a URI name', () => scene.client('DNS:shop.example.com')],
  ['one whose URI name holds a quote', () => strange(`${SHOP}\\"`)],
  ['one whose URI name holds a comma', () => strange(`${SHOP},x`)],
  ['one whose URI name holds another', () => strange(`spiffe://example.com/bank, URI:${SHOP}`)],
];

describe('a key that is bound to a certificate', () => {
  it.each(['/open', '/optional', '/required'])('may be used beside it, at %s', async (target) => {
    const connection = await scene.open(shop);
    expect(told(await connection.get(bound, target))).toBe(200);
    expect(told(await connection.get(bound, target))).toBe(200);
  });

  it.each([...worthless, ['the one of another name', () => bank] as const])(
    'is refused beside %s, with a signed answer that uses up the nonce',
    async (_what, identity) => {
      const connection = await scene.open(identity());
      const request = connection.sign(bound, '/open');
      const answer = await connection.send(bound, request);
      expect(told(answer)).toBe(FORBIDDEN);
      expect(problem(answer).detail).toContain(SHOP);
      const better = await scene.open(shop);
      expect(told(await better.send(bound, request))).toBe('401 nonce-replayed');
    },
  );

  it('is refused where the certificate is right and the key is not, and the other way round', async () => {
    const other = await scene.issue('spiffe://example.com/bank');
    const [byShop, byBank] = [await scene.open(shop), await scene.open(bank)];
    expect(told(await byShop.get(other, '/open'))).toBe(FORBIDDEN);
    expect(told(await byBank.get(bound, '/open'))).toBe(FORBIDDEN);
    expect(told(await byBank.get(other, '/open'))).toBe(200);
  });

  it('needs its MAC all the same', async () => {
    const stranger = { ...bound, secret: free.secret };
    const connection = await scene.open(shop);
    connection.wire.write(bytesOf(connection.sign(stranger, '/open')));
    expect(told((await connection.wire.next()) as Answer)).toBe('401 signature-invalid');
  });

  it('gets no stored result without it either', async () => {
    const [connection, without] = [await scene.open(shop), await scene.open()];
    const draft = { method: 'POST', body: '{}', headers: [['Idempotency-Key', '"tea"']] } as const;
    const first = await connection.get(bound, '/counter', draft);
    expect(told(first)).toBe(201);
    expect(told(await without.get(bound, '/counter', draft))).toBe(FORBIDDEN);
    const again = await connection.get(bound, '/counter', draft);
    expect([told(again), again.headers.get('idempotent-replayed'), again.body]).toEqual([
      201,
      'true',
      first.body,
    ]);
  });

  it('gets no stored result for the same bytes either', async () => {
    const [connection, without] = [await scene.open(shop), await scene.open()];
    const request = connection.sign(bound, '/counter', { method: 'POST', body: '{}' });
    const first = await connection.send(bound, request);
    expect(told(first)).toBe(201);
    expect(told(await without.send(bound, request))).toBe('401 nonce-replayed');
    const again = await connection.send(bound, request);
    expect([told(again), again.headers.get('idempotent-replayed'), again.body]).toEqual([
      201,
      'true',
      first.body,
    ]);
  });

  it('is refused over plain http', async () => {
    const { gateway } = scene;
    const answer = await send(gateway, sign(gateway, bound, { method: 'GET', target: '/v1/whoami' }));
    expect(told(answer)).toBe(FORBIDDEN);
  });
});

describe('a route that requires a certificate', () => {
  it.each([
    ['its own key', () => bound],
    ['a key that is bound to none', () => free],
  ])('is open to a caller with one and %s', async (_which, key) => {
    const connection = await scene.open(shop);
    expect(told(await connection.get(key(), '/required'))).toBe(200);
  });

  it.each(worthless)('is closed to a caller with %s', async (_what, identity) => {
    const connection = await scene.open(identity());
    const answer = await connection.get(free, '/required');
    expect(told(answer)).toBe(FORBIDDEN);
    expect(problem(answer).detail).toContain('client certificate');
    // The same key on the same connection goes elsewhere.
    expect(told(await connection.get(free, '/optional'))).toBe(200);
  });

  it('does nothing for a caller without one, and its message is used up', async () => {
    const [without, connection] = [await scene.open(), await scene.open(shop)];
    const before = await scene.gateway.store.commitGroup.run('look', (tx) => tx.state.get('counters', 'tea'));
    const request = without.sign(free, '/required-counter', { method: 'POST', body: '{}' });
    expect(told(await without.send(free, request))).toBe(FORBIDDEN);
    expect(told(await connection.send(free, request))).toBe('401 nonce-replayed');
    const after = await scene.gateway.store.commitGroup.run('look', (tx) => tx.state.get('counters', 'tea'));
    expect(after).toEqual(before);
  });

  it('asks for a signature first', async () => {
    const { wire } = await scene.open(shop);
    wire.write(`GET /required HTTP/1.1\r\nHost: 127.0.0.1:${scene.pipeline.port}\r\n\r\n`);
    expect(told((await wire.next()) as Answer)).toBe('401 signature-missing');
  });
});

describe('what a trusted proxy says of a certificate', () => {
  it.each([
    ['Client-Cert', ':MIIB:'],
    ['X-Client-Cert', 'MIIB'],
    ['X-SSL-Client-S-DN', `URI=${SHOP}`],
    ['X-SSL-Client-Verify', 'SUCCESS'],
    ['X-Forwarded-Client-Cert', `Hash=00;URI=${SHOP}`],
  ])('is not believed, signed or not: %s', async (name, value) => {
    const connection = await scene.open();
    const field = [name, value] as const;
    const cover = ['@method', '@target-uri', name.toLowerCase()];
    for (const draft of [{ headers: [field] }, { headers: [field], cover }]) {
      expect(told(await connection.get(bound, '/open', draft))).toBe(FORBIDDEN);
      expect(told(await connection.get(free, '/required', draft))).toBe(FORBIDDEN);
    }
  });
});

describe('a trusted proxy that shows a certificate of its own', () => {
  it.each([
    ['X-Forwarded-For', '203.0.113.7'],
    ['X-Forwarded-For', 'unknown'],
    ['Via', '1.1 proxy'],
  ])('lends it to nobody for whom it calls: %s: %s', async (name, value) => {
    const connection = await scene.open(shop);
    expect(told(await connection.get(bound, '/required'))).toBe(200);
    const draft = { headers: [[name, value] as const] };
    expect(told(await connection.get(bound, '/open', draft))).toBe(FORBIDDEN);
    expect(told(await connection.get(free, '/required', draft))).toBe(FORBIDDEN);
  });
});

describe('TLS', () => {
  it.each(['TLSv1.2', 'TLSv1.3'] as const)('%s resumes no session', async (maxVersion) => {
    const first = await scene.open(shop, { maxVersion });
    let session: Buffer | undefined;
    first.socket.on('session', (ticket) => {
      session = ticket;
    });
    expect(told(await first.get(bound, '/open'))).toBe(200);
    const second = await scene.open(shop, { maxVersion, session: session ?? first.socket.getSession() });
    expect(second.socket.isSessionReused()).toBe(false);
    // With a session alone, and no key to prove that the certificate is ours.
    const third = await scene.open(undefined, { maxVersion, session: session ?? first.socket.getSession() });
    expect(told(await third.get(bound, '/open'))).toBe(FORBIDDEN);
  });

  it('shows no other certificate by a renegotiation', async () => {
    const { socket } = await scene.open(bank, { maxVersion: 'TLSv1.2' });
    const failure = await new Promise((resolve) => {
      socket.once('error', resolve);
      socket.renegotiate({ rejectUnauthorized: false }, resolve);
    });
    expect(failure).toBeInstanceOf(Error);
  });
});

describe('on a kept-alive connection', () => {
  // Nothing is closed meanwhile, so that the requests themselves are what is judged.
  beforeEach(() => scene.pipeline.certificates.stop());
  afterEach(() => scene.pipeline.certificates.start());

  it('a certificate that has ended is as if absent from its last second on', async () => {
    const connection = await scene.open(shop);
    const { clock } = scene.gateway;
    const before = clock.now();
    const end = Date.parse(new X509Certificate(shop.chain).validTo);
    const seen: (string | number)[] = [];
    for (const at of [before, end - 1000, end, end + DAY * 1000, before]) {
      clock.set(at);
      seen.push(told(await connection.get(bound, '/open')), told(await connection.get(free, '/required')));
    }
    expect(seen).toEqual([200, 200, 200, 200, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, 200, 200]);
  });

  it('a certificate is as if absent as soon as another process has denied it', async () => {
    const denied = scene.client();
    const connection = await scene.open(denied);
    expect(told(await connection.get(bound, '/open'))).toBe(200);
    await denyElsewhere(denied);
    expect(told(await connection.get(bound, '/open'))).toBe(FORBIDDEN);
    expect(told(await connection.get(free, '/required'))).toBe(FORBIDDEN);
    // Nor does a new handshake help.
    expect(told(await (await scene.open(denied)).get(bound, '/open'))).toBe(FORBIDDEN);
  });
});

/** As a command of another process does it. */
async function denyElsewhere(identity: Identity): Promise<void> {
  const { clock, folder } = scene.gateway;
  const store = new SqliteStore({ folder: `${folder}/data`, clock, skew: 30, masterKey: undefined });
  const at = epochSeconds(clock);
  await store.commitGroup.run('deny', (tx) =>
    tx.deniedCertificates.deny({ serial: serialOf(identity), deniedAt: at, keptUntil: at + DAY }),
  );
  store.close();
}

/** Milliseconds of the event loop until all of them are closed; the gateway sweeps in the same loop. */
function untilClosed(connections: readonly OpenConnection[]): Promise<number> {
  return loopTime(Promise.all(connections.map(({ wire }) => wire.closed)));
}

describe('a connection is closed', () => {
  it('within a second of the denial of its certificate, be there 32 of them and all idle', async () => {
    const denied = scene.client();
    const idle = await Promise.all(Array.from({ length: 32 }, () => scene.open(denied)));
    const others = [await scene.open(shop), await scene.open()];
    for (const connection of [...idle.slice(0, 16), ...others]) {
      expect(told(await connection.get(free, '/open'))).toBe(200);
    }
    await denyElsewhere(denied);
    expect(await untilClosed(idle)).toBeLessThan(1000);
    for (const connection of others) expect(told(await connection.get(free, '/open'))).toBe(200);
    const lines = scene.pipeline.log.lines.filter(
      ({ msg, serial }) => msg === ENDS && serial === serialOf(denied),
    );
    expect(lines).toHaveLength(32);
    expect(lines[0]).toMatchObject({ uri: SHOP, why: 'it was denied' });
  });

  it('when its certificate ends, though the clock jumps there', async () => {
    const { clock } = scene.gateway;
    const before = clock.now();
    const [ending, other] = [await scene.open(shop), await scene.open()];
    clock.advance(2 * DAY);
    expect(await untilClosed([ending])).toBeLessThan(1000);
    clock.set(before);
    expect(told(await other.get(free, '/open'))).toBe(200);
  });

  it('when the trusted roots change, also where its certificate counted for nothing', async () => {
    const stranger = foreign.leaf(`URI:${SHOP}`, { usage: 'clientAuth' });
    const showing = [await scene.open(shop), await scene.open(bank), await scene.open(stranger)];
    const other = await scene.open();
    for (const connection of showing) expect(told(await connection.get(free, '/open'))).toBe(200);
    scene.pipeline.certificates.trustChanged();
    await untilClosed(showing);
    expect(told(await other.get(free, '/open'))).toBe(200);
  });

  it('whose handshake began with a root that was taken out before its end, and no other', async () => {
    const { log } = scene.pipeline;
    log.clear();
    await untilClosed([await openAcross(foreign.trust)]);
    // One that says nothing is closed after a while anyway.
    expect(log.lines.filter(({ msg }) => msg === ENDS)).toHaveLength(1);
    const kept = await openAcross(foreign.trust + scene.root.trust);
    expect(told(await kept.get(bound, '/required'))).toBe(200);
  });

  /** The server judges by the roots with which the handshake began. @param roots that are trusted amid it. */
  async function openAcross(roots: string): Promise<OpenConnection> {
    const { certificates, port } = scene.pipeline;
    const way = await HeldHandshake.to(port);
    const opening = scene.open(shop, { port: way.port });
    await way.held;
    certificates.judgeBy(roots);
    certificates.trustChanged();
    way.release();
    return opening;
  }

  it('after what is in flight on it, and takes nothing more', async () => {
    const denied = scene.client();
    const [busy, idle] = [await scene.open(denied), await scene.open(denied)];
    const requests = [busy.sign(free, '/slow'), busy.sign(free, '/open')];
    busy.wire.write(Buffer.concat(requests.map(bytesOf)));
    await scene.slowCalls(1);
    await denyElsewhere(denied);
    await untilClosed([idle]);
    expect(busy.isClosed).toBe(false);
    scene.release();
    const answer = await busy.wire.next();
    expect([answer?.status, answer?.body, answer?.headers.get('connection')]).toEqual([
      200,
      'at last',
      'close',
    ]);
    expect(await busy.wire.next()).toBeUndefined();
  });

  it('once, however long its last answer takes', async () => {
    const denied = scene.client();
    const busy = await scene.open(denied);
    busy.wire.write(bytesOf(busy.sign(free, '/slow')));
    await scene.slowCalls(1);
    scene.pipeline.log.clear();
    await denyElsewhere(denied);
    await scene.pipeline.log.until(ENDS, 1);
    // Closed by a later sweep.
    await untilClosed([await scene.open(denied)]);
    scene.release();
    await once(busy.socket, 'close');
    expect(scene.pipeline.log.lines.filter(({ msg }) => msg === ENDS)).toHaveLength(2);
  });
});
