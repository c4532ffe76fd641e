/**
 * The load: raw sockets, every request prepared beforehand, so that the client costs as little as it can.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { contentDigest, Fields, secretKey, signRequest } from '../../src/signatures/index.ts';

export interface Credentials {
  readonly keyid: string;
  readonly secret: string;
}

const TARGET = '/v1/echo';
const BODY = JSON.stringify({ message: 'x'.repeat(200 - '{"message":""}'.length) });

/** Signs requests, each with its own nonce, as the bytes that go over the wire. */
export function prepare(count: number, port: number, { keyid, secret }: Credentials): Buffer[] {
  const authority = `127.0.0.1:${port}`;
  const created = Math.floor(Date.now() / 1000);
  const key = secretKey(secret);
  const plain: [string, string][] = [
    ['Host', authority],
    ['Content-Type', 'application/json'],
    ['Content-Length', String(Buffer.byteLength(BODY))],
    ['Content-Digest', contentDigest(BODY)],
  ];
  const message = {
    method: 'POST',
    scheme: 'http',
    authority,
    target: TARGET,
    fields: Fields.fromEntries(plain),
  } as const;
  return Array.from({ length: count }, () => {
    const nonce = randomBytes(18).toString('base64url');
    const signed = signRequest(message, { keyid, secret: key, created, expires: created + 300, nonce });
    const fields = [...plain, ['Signature-Input', signed.signatureInput], ['Signature', signed.signature]];
    const head = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    return Buffer.from(`POST ${TARGET} HTTP/1.1\r\n${head}\r\n${BODY}`);
  });
}

/** Sends every request once over as many connections; throws unless all were answered 200. @returns seconds. */
export async function drive(requests: readonly Buffer[], port: number, connections: number): Promise<number> {
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)));
  let next = 0;
  const started = performance.now();
  await Promise.all(
    sockets.map(async (socket) => {
      for (let i = next++; i < requests.length; i = next++) await exchange(socket, requests[i] as Buffer);
    }),
  );
  const seconds = (performance.now() - started) / 1000;
  for (const socket of sockets) socket.destroy();
  return seconds;
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return socket;
}

const LENGTH = /content-length: (\d+)/i;

function exchange(socket: Socket, request: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = '';
    const fail = () => reject(new Error('the server closed the connection'));
    const read = (chunk: Buffer) => {
      received += chunk.toString('latin1');
      const end = received.indexOf('\r\n\r\n');
      if (end === -1) return;
      const length = Number(LENGTH.exec(received)?.[1]);
      if (received.length < end + 4 + length) return;
      socket.off('data', read).off('close', fail);
      if (received.startsWith('HTTP/1.1 200')) resolve();
      else reject(new Error(`an answer was not 200: ${received}`));
    };
    socket.on('data', read).on('close', fail);
    socket.write(request);
  });
}
