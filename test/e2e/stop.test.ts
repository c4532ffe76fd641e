/**
 * A stop on request: what is in flight is finished, nothing new is taken on, and the database is closed.
 */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bytesOf, send, sign, verifyAnswer } from '../gateway/wire.ts';
import { endAll, type GatewayProcess, serve, temporaryFolder } from './processes.ts';

/** Well below the 65 s for which an idle connection is kept, and the 35 s after which a stop ends what still runs. */
const PROMPTLY = 30_000;

let upstream: Server;
let gateway: GatewayProcess;
const sockets: Socket[] = [];

beforeEach(async () => {
  upstream = createServer().listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const { port } = upstream.address() as AddressInfo;
  const routes = [{ path: '/slow', upstream: `http://127.0.0.1:${port}`, role: 'any' }];
  gateway = await serve(join(temporaryFolder(), 'data'), { settings: { routes } });
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  upstream.closeAllConnections();
  upstream.close();
  await endAll();
});

async function connected(): Promise<Socket> {
  const socket = connect(gateway.port, '127.0.0.1');
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

/** Waits until a connection is refused. Those that stood in the system's queue at that moment are reset. */
async function refusal(): Promise<void> {
  for (let code: unknown; code !== 'ECONNREFUSED'; ) {
    try {
      (await connected()).destroy();
    } catch (error) {
      code = (error as NodeJS.ErrnoException).code;
      expect(code).toMatch(/^ECONN(REFUSED|RESET)$/);
    }
  }
}

/** A call that waits at the upstream until it is let go. */
async function callInFlight() {
  const key = gateway.credentials;
  const request = sign(gateway, key, { method: 'GET', target: '/slow' });
  const answer = send(gateway, request);
  // Where a test fails, it ends without one.
  answer.catch(() => {});
  const [, held] = (await once(upstream, 'request')) as [unknown, ServerResponse];
  return {
    async finish() {
      held.writeHead(200, { 'Content-Type': 'text/plain' }).end('at last');
      const received = await answer;
      verifyAnswer(received, request, key);
      return received;
    },
  };
}

async function askedToStop(): Promise<void> {
  gateway.child.signal('SIGTERM');
  await gateway.child.written(/"msg":"stopping"/, 'stdout');
}

describe('a stop', () => {
  it('finishes a call that is in flight, with a signed answer, and exits with 0', async () => {
    const call = await callInFlight();
    await askedToStop();
    expect(await call.finish()).toMatchObject({ status: 200, body: 'at last' });
    const { code, stdout, stderr } = await gateway.child.ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/"msg":"call"}\n.*"msg":"audit head"}\n.*"msg":"stopped"}\n$/);
    expect(stderr.split('\n').at(-2)).toBe('');
  });

  it('refuses new connections while it waits', async () => {
    const call = await callInFlight();
    await askedToStop();
    await refusal();
    await call.finish();
    expect((await gateway.child.ended).code).toBe(0);
  });

  it('leaves a database without a journal, which knows what was done', async () => {
    const request = sign(gateway, gateway.credentials);
    expect((await send(gateway, request)).status).toBe(200);
    await gateway.child.stop();
    expect(readdirSync(gateway.data).sort()).toEqual(['countersign.db', 'demo.json', 'master.key']);
    const variables = { COUNTERSIGN_PORT: String(gateway.port) };
    const again = await serve(gateway.data, { variables });
    expect(await send(again, request)).toMatchObject({
      status: 401,
      body: expect.stringContaining('nonce-replayed'),
    });
  });

  it('that is asked for twice in a breath, as npm does on Ctrl-C, is asked for once', async () => {
    const call = await callInFlight();
    await askedToStop();
    gateway.child.signal('SIGINT');
    expect(await call.finish()).toMatchObject({ status: 200 });
    expect((await gateway.child.ended).code).toBe(0);
  });
});

describe('a stop is not held up', { timeout: PROMPTLY }, () => {
  it('by connections that are kept open after a call', async () => {
    const socket = await connected();
    socket.write(bytesOf(sign(gateway, gateway.credentials)));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 .*\nConnection: keep-alive\r\n/is);
    const closed = once(socket, 'close');
    expect((await gateway.child.stop()).code).toBe(0);
    await closed;
  });

  it('by the kept connection of a call that was in flight', async () => {
    const socket = await connected();
    socket.write(bytesOf(sign(gateway, gateway.credentials, { method: 'GET', target: '/slow' })));
    const [, held] = (await once(upstream, 'request')) as [unknown, ServerResponse];
    await askedToStop();
    held.end('at last');
    const closed = once(socket, 'close');
    socket.resume();
    await closed;
    expect((await gateway.child.ended).code).toBe(0);
  });

  it('by connections that have never said anything', async () => {
    const socket = await connected();
    // Answered on another connection, so the gateway knows of this one by now.
    await send(gateway, sign(gateway, gateway.credentials));
    const closed = once(socket, 'close');
    expect((await gateway.child.stop()).code).toBe(0);
    await closed;
  });
});
