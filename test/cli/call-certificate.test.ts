/** `countersign call --cert --key`: a route that demands a certificate, tried from the command line. */
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { epochSeconds } from '../../src/clock.ts';
import { addConsumer } from '../../src/consumers/registration.ts';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import { builtFolder } from '../e2e/built.ts';
import { countersign, endAll, temporaryFolder } from '../e2e/processes.ts';
import { opensslRoot } from '../gateway/tls/openssl-certificates.ts';

const root = opensslRoot();
let upstream: Server;
let gateway: TestGateway;
let folder: string;

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
}

beforeAll(async () => {
  builtFolder();
  folder = temporaryFolder();
  const tls = join(folder, 'data', 'tls');
  mkdirSync(tls, { recursive: true, mode: 0o700 });
  const served = root.leaf('IP:127.0.0.1');
  writeFileSync(join(tls, 'trust.pem'), root.trust);
  writeFileSync(join(tls, 'current.key'), served.key, { mode: 0o600 });
  writeFileSync(join(tls, 'current.pem'), served.chain + root.trust);
  upstream = createServer((_req, res) => res.end('tea')).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  gateway = await startTestGateway({
    folder,
    settings: {
      tls: { names: ['127.0.0.1'] },
      routes: [{ path: '/orders', upstream: url, role: 'any', clientCertificate: 'required' }],
    },
  });
  const { store, clock } = gateway;
  const { keyid, secret } = await store.commitGroup.run('add', (tx) =>
    addConsumer(tx.consumers, store.vault, { name: 'shop', roles: [] }, epochSeconds(clock)),
  );
  const address = `https://127.0.0.1:${gateway.port}`;
  file('shop.json', JSON.stringify({ keyid, secret, url: address }));
  const own = root.leaf('URI:spiffe://example.com/shop', { usage: 'clientAuth' });
  file('shop.pem', own.chain + root.trust);
  file('shop.key', own.key);
  file('other.key', served.key);
  file('tea.txt', 'tea');
});
afterAll(async () => {
  await gateway?.close();
  upstream.close();
  await endAll();
});

function call(...args: string[]) {
  // Its clock stands still; the command signs by the machine's.
  gateway.clock.set(Date.now());
  const variables = { COUNTERSIGN_DATA: join(folder, 'data'), COUNTERSIGN_CREDENTIALS: 'shop.json' };
  return countersign(['call', 'GET', ...args], { cwd: folder, variables }).ended;
}

describe('a route that demands a certificate', () => {
  it('answers a call that shows one, and refuses a call that shows none', async () => {
    expect(await call('/orders', '--cert', 'shop.pem', '--key', 'shop.key')).toEqual({
      code: 0,
      stdout: '200 OK\ntea\nresponse verified\n',
      stderr: '',
    });
    const { code, stderr } = await call('/orders');
    expect([code, stderr]).toEqual([1, expect.stringContaining('(key-forbidden)')]);
  });

  it('is tried by a printed curl command too', async () => {
    const { code, stdout } = await call('/orders', '--cert', 'shop.pem', '--key', 'shop.key', '--print-curl');
    expect([code, stdout]).toEqual([0, expect.stringContaining("--cert 'shop.pem' --key 'shop.key'")]);
  });
});

describe('nothing is sent', () => {
  it.each([
    ['--cert', 'shop.pem'],
    ['--key', 'shop.key'],
  ])('with %s alone, which is misuse', async (...args) => {
    const { code, stderr } = await call('/orders', ...args);
    expect([code, stderr]).toEqual([2, expect.stringContaining('--cert and --key, both or neither')]);
  });

  it.each([
    [
      'of another pair',
      'shop.pem',
      'other.key',
      'other.key is not the key of the first certificate in shop.pem',
    ],
    ['in each other’s place', 'shop.key', 'shop.pem', 'shop.key holds no certificate in PEM'],
    ['of which one is no key', 'shop.pem', 'tea.txt', 'tea.txt holds no private key in PEM'],
    ['of which one is missing', 'none.pem', 'shop.key', "none.pem can't be read"],
  ])('with files %s', async (_what, cert, key, why) => {
    const { code, stdout, stderr } = await call('/orders', '--cert', cert, '--key', key);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain(why);
    expect(stderr).toContain('(certificate-invalid)');
  });

  it('over plain http, where a certificate would go unseen', async () => {
    const { code, stderr } = await call(
      'http://127.0.0.1:1/orders',
      '--cert',
      'shop.pem',
      '--key',
      'shop.key',
    );
    expect([code, stderr]).toEqual([1, expect.stringContaining('(tls-required)')]);
  });
});
