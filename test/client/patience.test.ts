/** How long the client waits, how much it reads, and over what it speaks. */

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  createTransport,
  draftRequest,
  exchange,
  isLoopback,
  prepareRequest,
  signingKey,
} from '../../src/client/index.ts';
import { clientOf, echo, KEYID, rejection, SECRET, startPeer } from './peer.ts';

/** A server that answers every connection with these bytes, and ends it. */
async function startWire(bytes: string): Promise<{ url: string }> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(bytes));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe('a call ends', () => {
  it('with "timeout" when no whole answer comes in time', async () => {
    const peer = await startPeer(() => 'silent');
    const error = await rejection(clientOf(peer, { timeout: 500 })('/orders'));
    expect(error).toMatchObject({ code: 'timeout', message: expect.stringContaining('500 ms') });
    expect(peer.calls).toHaveLength(1);
  });

  it('with "timeout" when the body never comes to its end', async () => {
    const server = createServer(
      (socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await rejection(clientOf({ url }, { timeout: 50 })('/orders'))).toMatchObject({ code: 'timeout' });
  });

  it('with "timeout" during the wait for another try', async () => {
    const peer = await startPeer(() => ({ status: 503 }));
    const wait = (_: number, signal: AbortSignal) =>
      new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    expect(await rejection(clientOf(peer, { timeout: 1000, wait })('/orders'))).toMatchObject({
      code: 'timeout',
    });
    expect(peer.calls).toHaveLength(1);
  });

  it('with the reason of its own signal, as fetch', async () => {
    const peer = await startPeer(() => 'silent');
    const controller = new AbortController();
    const call = rejection(clientOf(peer)('/orders', { signal: controller.signal }));
    await peer.nextCall();
    controller.abort(new Error('enough'));
    expect(await call).toMatchObject({ message: 'enough' });
  });

  it('before anything is sent where the signal has aborted before', async () => {
    const peer = await startPeer();
    const error = await rejection(clientOf(peer)('/orders', { signal: AbortSignal.abort() }));
    expect([(error as Error).name, peer.calls.length]).toEqual(['AbortError', 0]);
  });

  it('with the signal of its Request, unless another is given', async () => {
    const peer = await startPeer();
    const signal = AbortSignal.abort();
    const request = () => new Request(`${peer.url}/orders`, { signal });
    expect(await rejection(clientOf(peer)(request()))).toMatchObject({ name: 'AbortError' });
    expect((await clientOf(peer)(request(), { signal: null })).status).toBe(200);
  });

  it('and lets go of a signal that lives on', async () => {
    const peer = await startPeer();
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...rest: Parameters<typeof add>) => {
      listeners++;
      add(...rest);
    };
    signal.removeEventListener = (...rest: Parameters<typeof remove>) => {
      listeners--;
      remove(...rest);
    };
    await clientOf(peer)('/orders', { signal });
    expect(listeners).toBe(0);
  });
});

describe('an answer that can not be read is refused', () => {
  it.each([
    ['no HTTP', 'SSH-2.0-OpenSSH_9.6\r\n\r\n', 'response-invalid'],
    [
      'two lengths',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
      'response-invalid',
    ],
    ['a head without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`, 'response-invalid'],
    ['an answer that ends with its connection', 'HTTP/1.1 200 OK\r\n\r\nabc', 'response-unsigned'],
    ['no answer', '', 'connection-lost'],
    ['an answer cut short', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc', 'connection-lost'],
    [
      'switched protocols',
      'HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
      'response-invalid',
    ],
  ])('%s', async (_, bytes, code) => {
    const error = await rejection(clientOf(await startWire(bytes), { retries: 0 })('/orders'));
    expect(error).toMatchObject({ name: 'CountersignError', code });
  });

  it('more bytes than allowed', async () => {
    const peer = await startPeer(() => ({ body: Buffer.alloc(1001) }));
    expect(await rejection(clientOf(peer, { maxResponseBody: 1000 })('/orders'))).toMatchObject({
      code: 'response-invalid',
      verified: false,
      message: expect.stringMatching(/1000 bytes.*maxResponseBody/),
    });
    expect((await clientOf(peer, { maxResponseBody: 1001 })('/orders')).status).toBe(200);
  });

  it('no connection at all says so, and that nothing was sent', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.close();
    await once(server, 'close');
    const client = clientOf({ url });
    expect(await rejection(client('/orders'))).toMatchObject({
      code: 'connection-lost',
      message: expect.stringMatching(/ECONNREFUSED.*Nothing was sent/),
    });
    expect(client.waits).toHaveLength(2);
  });
});

describe('connections', () => {
  it('are kept open between calls', async () => {
    const peer = await startPeer();
    const client = clientOf(peer);
    for (let i = 0; i < 5; i++) await (await client('/orders')).text();
    expect(new Set(peer.calls.map(({ connection }) => connection)).size).toBe(1);
  });

  it('are many where calls are many at once, and none takes another’s answer', async () => {
    const peer = await startPeer();
    const client = clientOf(peer);
    const targets = Array.from({ length: 50 }, (_, i) => `/orders/${i}`);
    const answers = await Promise.all(targets.map(async (target) => (await client(target)).json()));
    expect(answers.map((answer) => (answer as { target: string }).target)).toEqual(targets);
  });
});

describe('plain http', () => {
  /** 0.0.0.0 reaches this machine, and isn't a loopback address. */
  const elsewhere = ({ url }: { url: string }) => ({ url: url.replace('127.0.0.1', '0.0.0.0') });

  it('to another host is warned of once', async () => {
    const peer = elsewhere(await startPeer());
    const warnings: (Error & { code?: string })[] = [];
    const note = (warning: Error) => void warnings.push(warning);
    process.on('warning', note);
    onTestFinished(() => void process.off('warning', note));
    await clientOf(peer)('/orders');
    await clientOf(peer)('/orders');
    expect(warnings.map(({ name, code }) => [name, code])).toEqual([
      ['CountersignWarning', 'COUNTERSIGN_PLAIN_HTTP'],
    ]);
    expect(warnings[0]?.message).toContain(new URL(peer.url).host);
  });

  it('to another host is refused with requireTls', async () => {
    const peer = await startPeer();
    expect(await rejection(clientOf(elsewhere(peer), { requireTls: true })('/orders'))).toMatchObject({
      code: 'tls-required',
    });
    expect(peer.calls).toHaveLength(0);
  });

  it('to this machine is let be', async () => {
    const peer = await startPeer();
    expect((await clientOf(peer, { requireTls: true })('/orders')).status).toBe(200);
  });

  it.each<[string, boolean]>([
    ['localhost', true],
    ['a.localhost', true],
    ['127.0.0.1', true],
    ['127.9.9.9', true],
    ['[::1]', true],
    ['0.0.0.0', false],
    ['10.0.0.1', false],
    ['127.0.0.1.example', false],
    ['localhost.example', false],
    ['notlocalhost', false],
    ['[::2]', false],
  ])('%s is loopback: %s', (host, expected) => {
    expect(isLoopback(new URL(`http://${host}`).hostname)).toBe(expected);
  });
});

describe('an exchange', () => {
  const key = signingKey({ keyid: KEYID, secret: SECRET });
  const options = () => {
    const transport = createTransport();
    onTestFinished(() => transport.close());
    return { transport, signal: new AbortController().signal, maxResponseBody: 10_000 };
  };
  const prepare = (url: string) =>
    prepareRequest(draftRequest({ method: 'POST', origin: url, target: '/orders', body: '{}' }), key, {
      created: Math.floor(Date.now() / 1000),
    });

  it('shows what was sent, what came, and both signature bases', async () => {
    const peer = await startPeer(echo);
    const made = await exchange(prepare(peer.url), options());
    expect(made.sent.lines[0]).toEqual(['host', new URL(peer.url).host]);
    expect(made.sent.body.toString()).toBe('{}');
    expect(made.prepared.base).toContain(`"@target-uri": ${peer.url}/orders\n`);
    expect(made.responseBase).toMatch(/^"@status": 200\n.*^"@method";req: POST\n/ms);
    expect(made.received).toMatchObject({ status: 200, reason: 'OK' });
    expect([made.error, made.verified?.status]).toEqual([undefined, 200]);
  });

  it('can be made again with the same bytes, which the gateway refuses', async () => {
    const peer = await startPeer();
    const prepared = prepare(peer.url);
    const shared = options();
    await exchange(prepared, shared);
    expect((await exchange(prepared, shared)).error).toMatchObject({
      code: 'nonce-replayed',
      verified: true,
    });
  });

  it('can be made with another body than was signed, which the gateway refuses', async () => {
    const peer = await startPeer();
    const made = await exchange({ ...prepare(peer.url), body: Buffer.from('{"evil":1}') }, options());
    expect(made.error).toMatchObject({ code: 'digest-mismatch' });
  });

  it('gives what is wrong with an answer as a value, with its signature base', async () => {
    const peer = await startPeer(() => ({ tampered: (answer) => ({ ...answer, status: 201 }) }));
    const made = await exchange(prepare(peer.url), options());
    expect(made.error).toMatchObject({ code: 'response-invalid', status: 201 });
    expect([made.verified, made.responseBase?.split('\n')[0]]).toEqual([undefined, '"@status": 201']);
  });
});
