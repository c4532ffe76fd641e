/** HTTP over TLS: what is shaken hands on, what is refused, and a certificate that changes under connections. */
import { once } from 'node:events';
import { connect as connectPlain } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { isAdminSocket, Listener, type Unparsed } from '../../../src/gateway/listener.ts';
import type { TlsServing } from '../../../src/gateway/tls/server-context.ts';
import { opensslRoot } from './openssl-certificates.ts';

const root = opensslRoot();
const first = root.leaf('IP:127.0.0.1');
const second = root.leaf('IP:127.0.0.1');
const caller = root.leaf('URI:spiffe://example.com/orders', { usage: 'clientAuth' });

const listeners: Listener[] = [];
afterEach(async () => {
  for (const listener of listeners.splice(0)) await listener.close();
});

async function start(tls: Partial<TlsServing> = {}, unparsed?: Unparsed) {
  const listener = new Listener(
    ({ socket }, res) => {
      const { authorized } = socket as TLSSocket;
      res.end(JSON.stringify({ authorized, admin: isAdminSocket(socket) }));
    },
    unparsed,
    { identity: first, ...tls },
  );
  listeners.push(listener);
  return { listener, port: await listener.listen({ host: '127.0.0.1', port: 0 }) };
}

async function open(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, ca: root.trust, ...options });
  await once(socket, 'secureConnect');
  return socket;
}

async function ask(socket: TLSSocket): Promise<string> {
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  const [bytes] = await once(socket, 'data');
  return String(bytes);
}

describe('over TLS', () => {
  it('a swap changes the certificate of new connections, and lets the others be', async () => {
    const { listener, port } = await start();
    const before = await open(port);
    expect(await ask(before)).toContain('200 OK');
    const { fingerprint256 } = before.getPeerCertificate();
    listener.useTls({ identity: second });
    expect(await ask(before)).toContain('200 OK');
    const after = await open(port);
    expect(after.getPeerCertificate().fingerprint256).not.toBe(fingerprint256);
    expect(await ask(after)).toContain('200 OK');
    before.destroy();
    after.destroy();
  });

  it('a session of the certificate before is not resumed after a swap', async () => {
    const { listener, port } = await start();
    const before = await open(port);
    const [[session]] = await Promise.all([once(before, 'session'), ask(before)]);
    before.destroy();
    const resumed = await open(port, { session });
    expect(resumed.isSessionReused()).toBe(true);
    resumed.destroy();
    listener.useTls({ identity: second });
    const after = await open(port, { session });
    expect(after.isSessionReused()).toBe(false);
    after.destroy();
  });

  it.each([
    ['TLS 1.1', { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }],
    ['a cipher without forward secrecy', { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' }],
    ['a cipher that authenticates apart', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' }],
  ] as const)('refuses %s, also after a swap', async (_what, options) => {
    const { listener, port } = await start();
    await expect(open(port, options)).rejects.toMatchObject({
      code: expect.stringMatching(/SSL|TLS|ECONNRESET/),
    });
    listener.useTls({ identity: second });
    await expect(open(port, options)).rejects.toMatchObject({
      code: expect.stringMatching(/SSL|TLS|ECONNRESET/),
    });
  });

  it('serves TLS 1.2 with an ephemeral key', async () => {
    const { port } = await start();
    const socket = await open(port, { maxVersion: 'TLSv1.2' });
    expect(socket.getCipher().standardName).toBe('TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256');
    socket.destroy();
  });

  it('asked for a certificate, a caller may have none, and is not resumed', async () => {
    const { port } = await start({ clientRoots: root.trust });
    const without = await open(port);
    expect(await ask(without)).toContain('"authorized":false');
    without.destroy();
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const options = { key: caller.key, cert: caller.chain, maxVersion: version };
      const socket = await open(port, options);
      let session: Buffer | undefined;
      socket.on('session', (ticket) => (session = ticket));
      expect(await ask(socket)).toContain('"authorized":true');
      socket.destroy();
      const again = await open(port, { ...options, ...(session && { session }) });
      expect(again.isSessionReused()).toBe(false);
      again.destroy();
    }
  });

  it.each([
    ['plain HTTP is told which scheme to write', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', true],
    ['what else is no TLS is closed without a word', '\x16\x03\x01 nonsense, and more of it', false],
  ])('%s', async (_what, bytes, isTold) => {
    const refused: string[] = [];
    const { port } = await start({}, (code) => refused.push(code));
    const plain = connectPlain(port, '127.0.0.1');
    let answer = '';
    plain.on('data', (bytes) => (answer += bytes)).on('error', () => {});
    plain.write(Buffer.from(bytes, 'latin1'));
    await once(plain, 'close');
    expect([/^HTTP\/1\.1 400 [\s\S]*write https:/.test(answer), refused]).toEqual([
      isTold,
      isTold ? ['request-malformed'] : [],
    ]);
  });

  it('what is TLS and no HTTP gets a problem document', async () => {
    const refused: string[] = [];
    const { port } = await start({}, (code) => refused.push(code));
    const socket = await open(port);
    socket.write('NONSENSE\r\n\r\n');
    expect(String((await once(socket, 'data'))[0])).toContain('request-malformed');
    expect(refused).toEqual(['request-malformed']);
  });

  it('knows its admin connections', async () => {
    const { listener } = await start();
    await listener.close();
    const admin = new Listener(({ socket }, res) => res.end(String(isAdminSocket(socket))), undefined, {
      identity: first,
    });
    listeners.push(admin);
    const socket = await open(await admin.listen({ host: '127.0.0.1', port: 0, admin: true }));
    expect(await ask(socket)).toContain('true');
    socket.destroy();
  });

  it('a stop waits neither for a handshake nor for silence, and for what is in flight', async () => {
    const listener = new Listener(
      (_req, res) => {
        void listener.close();
        setTimeout(() => res.end('done'), 1500);
      },
      undefined,
      { identity: first },
    );
    const port = await listener.listen({ host: '127.0.0.1', port: 0 });
    const shaking = connectPlain(port, '127.0.0.1');
    await once(shaking, 'connect');
    const [silent, busy] = [await open(port), await open(port)];
    shaking.on('error', () => {});
    silent.on('error', () => {});
    expect(await ask(busy)).toContain('done');
    await listener.close();
  }, 8000);
});
