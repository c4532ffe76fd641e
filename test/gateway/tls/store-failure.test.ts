/** Client certificates while the store doesn't answer. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { expect, it, onTestFinished } from 'vitest';
import { ClientCertificates } from '../../../src/gateway/tls/client-certificates.ts';
import { capturedLog } from '../captured-log.ts';
import { opensslRoot } from './openssl-certificates.ts';

const root = opensslRoot();

it('nothing is served for a certificate of which nobody knows whether it is denied, and nothing is closed', async () => {
  const caller = root.leaf('URI:spiffe://example.com/shop', { usage: 'clientAuth' });
  const identity = root.leaf('IP:127.0.0.1');
  const server = createServer({
    key: identity.key,
    cert: identity.chain,
    ca: root.trust,
    requestCert: true,
    rejectUnauthorized: false,
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect({ host: '127.0.0.1', port, ca: root.trust, key: caller.key, cert: caller.chain });
  onTestFinished(() => {
    client.destroy();
    server.close();
  });
  const [socket] = (await once(server, 'secureConnection')) as [TLSSocket];

  const log = capturedLog();
  const broken = () => {
    throw new Error('disk I/O error');
  };
  const ended: unknown[] = [];
  const certificates = new ClientCertificates({
    clock: { now: () => Date.now() },
    logger: log.logger,
    denied: { has: broken, all: broken },
    end: (each) => ended.push(each),
  });
  certificates.take(socket);
  const now = Math.floor(Date.now() / 1000);
  expect(() => certificates.of(socket)(now)).toThrow(
    expect.objectContaining({ code: 'store-unavailable', members: { outcome: 'unknown' } }),
  );
  // Its dates are known all the same.
  expect(certificates.of(socket)(now + 30 * 86_400)).toBeUndefined();
  certificates.start();
  await log.until('denied certificates could not be read', 1);
  certificates.stop();
  expect(ended).toEqual([]);
});
