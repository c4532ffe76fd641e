/** Over TLS: the peer is always validated, and a call that can't be private is not made. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { signedFetch } from '../../src/client/index.ts';
import { clientOf, KEYID, rejection, SECRET, startPeer } from './peer.ts';

let folder: string;
const pem = (name: string) => readFileSync(join(folder, name));

/** Made afresh, since no private key is ever committed. */
function selfSign(name: string, subjectAltName: string): void {
  const key = join(folder, `${name}.key`);
  const cert = join(folder, `${name}.pem`);
  const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${subjectAltName}`];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  execFileSync('openssl', ['req', '-x509', ...curve, '-days', '1', '-keyout', key, '-out', cert, ...names], {
    stdio: 'pipe',
  });
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-tls-'));
  selfSign('here', 'IP:127.0.0.1');
  selfSign('elsewhere', 'DNS:elsewhere.example');
});
afterAll(() => rmSync(folder, { recursive: true }));

it('a trusted peer is called, with requireTls too, over one connection', async () => {
  const peer = await startPeer(undefined, { tls: { key: pem('here.key'), cert: pem('here.pem') } });
  const client = clientOf(peer, { tls: { ca: pem('here.pem') }, requireTls: true });
  for (const body of ['one', 'two']) {
    expect((await client('/orders', { method: 'POST', body })).status).toBe(200);
  }
  expect(peer.calls[0]?.request.message.scheme).toBe('https');
  expect(new Set(peer.calls.map(({ connection }) => connection)).size).toBe(1);
});

it('a peer is called that the credentials tell to trust, and what the options say wins', async () => {
  const peer = await startPeer(undefined, { tls: { key: pem('here.key'), cert: pem('here.pem') } });
  const ca = pem('here.pem').toString();
  const credentials = { keyid: KEYID, secret: SECRET, url: peer.url, ca };
  const client = signedFetch(credentials);
  expect((await client('/orders')).status).toBe(200);
  client.close();
  const other = signedFetch(credentials, { tls: { ca: pem('elsewhere.pem') }, retries: 0 });
  expect(await rejection(other('/orders'))).toMatchObject({ code: 'connection-lost' });
  other.close();
});

it.each([
  ['that nobody vouches for', 'here', false, /SELF_SIGNED/],
  ['whose certificate names another host', 'elsewhere', true, /ALTNAME/],
])('a peer %s is sent nothing, and is not tried again', async (_, name, trusted, reason) => {
  const peer = await startPeer(undefined, { tls: { key: pem(`${name}.key`), cert: pem(`${name}.pem`) } });
  const client = clientOf(peer, trusted ? { tls: { ca: pem(`${name}.pem`) } } : {});
  expect(await rejection(client('/orders'))).toMatchObject({
    code: 'connection-lost',
    message: expect.stringMatching(/Nothing was sent/),
  });
  expect(String(((await rejection(client('/orders'))) as Error).message)).toMatch(reason);
  expect([peer.calls.length, client.waits.length]).toEqual([0, 0]);
});
