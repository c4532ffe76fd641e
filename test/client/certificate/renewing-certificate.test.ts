/** A client that shows a certificate of its own, which changes under it. */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, expect, it } from 'vitest';
import {
  type RenewalEvent,
  type RenewingCertificate,
  renewingCertificate,
} from '../../../src/client/index.ts';
import { createTransport } from '../../../src/client/transport.ts';
import { Fields } from '../../../src/signatures/fields.ts';
import { TestIssuer, testIssuer } from './test-issuer.ts';

const issuer = await testIssuer();
const URI = 'spiffe://example.com/orders';

const ending: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0)) await end();
});

/** A peer that lets in whom our root vouches for, and notes the serials that it was shown. */
async function startPeer() {
  const server = await TestIssuer.make();
  ending.push(() => server.remove());
  const own = await certificateOf(server, { dns: ['localhost'], use: 'server', requester: 'peer' });
  const { key, cert } = own.identity();
  const serials: string[] = [];
  const peer = createServer({ key, cert, ca: issuer.trust, requestCert: true }, ({ socket }, res) => {
    serials.push((socket as TLSSocket).getPeerCertificate().serialNumber);
    // So that each call makes a connection of its own.
    res.shouldKeepAlive = false;
    res.end();
  }).listen(0, '127.0.0.1');
  await once(peer, 'listening');
  ending.push(() => peer.close());
  return { port: (peer.address() as AddressInfo).port, serials, trust: server.trust };
}

interface Asked {
  readonly dns?: string[];
  readonly uris?: string[];
  readonly use: 'server' | 'client';
  readonly requester: string;
  readonly life?: number;
  readonly onRenewed?: () => void;
}

/** Answered at once, for each request. */
async function certificateOf(by: TestIssuer, asked: Asked): Promise<RenewingCertificate> {
  const { life = 3600, onRenewed, ...wanted } = asked;
  const folder = by.newFolder();
  const onEvent = ({ event }: RenewalEvent) => {
    if (event === 'requested') void by.passOf(`${folder}/request.pub.pem`, { life, use: asked.use });
    if (event === 'renewed') onRenewed?.();
  };
  const { inbox, outbox } = by;
  const certificate = await renewingCertificate({
    ...wanted,
    folder,
    inbox,
    outbox,
    onEvent,
    pacing: { poll: 50 },
  });
  ending.push(() => certificate.close());
  return certificate;
}

it('is let in with each certificate in its turn, and shows the newest on a new connection', async () => {
  const { port, serials, trust } = await startPeer();
  let renewals = 0;
  let again = () => {};
  const renewed = new Promise<void>((resolve) => (again = resolve));
  const certificate = await certificateOf(issuer, {
    uris: [URI],
    use: 'client',
    requester: 'orders',
    life: 6,
    onRenewed: () => ++renewals === 2 && again(),
  });
  const transport = createTransport({ ca: trust, certificate });
  ending.push(() => transport.close());
  const call = () => {
    const message = { method: 'GET', scheme: 'https', authority: `localhost:${port}`, target: '/' } as const;
    const options = { signal: AbortSignal.timeout(5000), maxResponseBody: 1000 };
    return transport.send({ ...message, fields: Fields.fromEntries([]) }, Buffer.alloc(0), options);
  };
  expect((await call()).received.status).toBe(200);
  const first = certificate.current()?.leaf;
  await renewed;
  const second = certificate.current()?.leaf;
  expect((await call()).received.status).toBe(200);
  expect(serials).toEqual([first?.serialNumber, second?.serialNumber]);
  expect(new Set(serials).size).toBe(2);
  expect(first?.subjectAltName).toBe(`URI:${URI}`);
});

it('the wait for a first certificate ends with its signal', async () => {
  const stop = new AbortController();
  const waiting = renewingCertificate({
    folder: issuer.newFolder(),
    requester: 'orders',
    uris: [URI],
    inbox: issuer.inbox,
    outbox: issuer.outbox,
    signal: stop.signal,
  });
  stop.abort(new Error('stopped'));
  await expect(waiting).rejects.toThrow('stopped');
});
