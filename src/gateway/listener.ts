/**
 * The HTTP server around the pipeline: its limits, what Node's parser refuses, and a stop that finishes what is
 * in flight.
 * @module
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { CountersignError } from '../errors.ts';
import { PROBLEM_TYPE, type Problem, toProblem } from './refusals.ts';

export type Handler = (req: IncomingMessage, res: ServerResponse) => void;

const MOST_HEADER_BYTES = 16 * 1024;
/** Milliseconds for a peer that stalls: until the header section is there, and until the whole request is. */
const HEADERS_TIMEOUT = 10_000;
const REQUEST_TIMEOUT = 60_000;
const KEEP_ALIVE_TIMEOUT = 65_000;
const CHECK_INTERVAL = 1000;
/** Milliseconds that a stop waits for what is in flight, and between two looks for idle connections. */
const LONGEST_STOP = 35_000;
const STOP_INTERVAL = 25;

const adminSockets = new WeakSet<Socket>();

/** Whether the request came in through the admin port. */
export function isAdminSocket(socket: Socket): boolean {
  return adminSockets.has(socket);
}

export interface ListenerOptions {
  readonly host: string;
  readonly port: number;
  readonly admin?: boolean;
}

export class Listener {
  private readonly server: Server;
  private stopping = false;

  constructor(handle: Handler) {
    this.server = createServer(
      {
        maxHeaderSize: MOST_HEADER_BYTES,
        headersTimeout: HEADERS_TIMEOUT,
        requestTimeout: REQUEST_TIMEOUT,
        keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
        connectionsCheckingInterval: CHECK_INTERVAL,
        insecureHTTPParser: false,
        // Answered by our own stage, so that it is a problem document too.
        requireHostHeader: false,
      },
      (req, res) => {
        if (this.stopping) res.shouldKeepAlive = false;
        handle(req, res);
      },
    );
    // Node drops the fields above its limit in silence; without one, the stage read-message counts them itself.
    this.server.maxHeadersCount = 0;
    this.server.on('checkContinue', (req, res) => this.server.emit('request', req, res));
    this.server.on('checkExpectation', (_req, res: ServerResponse) =>
      refuse(res.socket, malformed('Expect')),
    );
    this.server.on('clientError', refuseUnparsed);
    this.server.on('connect', (_req, socket) => refuse(socket as Socket, malformed('CONNECT')));
  }

  /** @returns the port, which differs from the one asked for where that was 0. `listen-failed`. */
  async listen({ host, port, admin = false }: ListenerOptions): Promise<number> {
    if (admin) this.server.on('connection', (socket) => adminSockets.add(socket));
    this.server.listen({ host: host.replace(/^\[|\]$/g, ''), port });
    try {
      await once(this.server, 'listening');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const why =
        code === 'EADDRINUSE' ? 'something else listens there; stop it, or set COUNTERSIGN_PORT' : code;
      throw new CountersignError('listen-failed', `Can't listen on ${host}:${port}: ${why}.`, {
        cause: error,
      });
    }
    return (this.server.address() as AddressInfo).port;
  }

  /** Refuses new connections, lets what is in flight end, and ends what takes too long. */
  async close(): Promise<void> {
    this.stopping = true;
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    const idle = setInterval(() => this.server.closeIdleConnections(), STOP_INTERVAL);
    const late = setTimeout(() => this.server.closeAllConnections(), LONGEST_STOP);
    await closed;
    clearInterval(idle);
    clearTimeout(late);
  }
}

/** What Node's parser refused has no request and no response: the problem is written onto the socket. */
function refuseUnparsed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'HPE_HEADER_OVERFLOW') {
    const detail = `The header section is larger than ${MOST_HEADER_BYTES} bytes; send less.`;
    refuse(socket, new CountersignError('headers-too-large', detail));
  } else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    refuse(
      socket,
      new CountersignError('request-malformed', 'The request did not arrive in time; send it faster.'),
    );
  } else {
    refuse(
      socket,
      new CountersignError(
        'request-malformed',
        'This is not an HTTP request that can be read in one way only.',
      ),
    );
  }
}

function malformed(what: string): CountersignError {
  return new CountersignError('request-malformed', `${what} is not served here.`);
}

function refuse(socket: Socket | null, error: CountersignError): void {
  if (!socket) return;
  // As Node's own handler does: with an answer under way on this socket, ours would be read as a part of it.
  const answering = (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage;
  if (!socket.writable || answering) socket.destroy();
  else socket.end(rawAnswer(toProblem(error)), () => socket.destroy());
}

function rawAnswer({ status, code, body }: Problem): string {
  return [
    `HTTP/1.1 ${status} ${code}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `Countersign-Refusal: ${code}`,
    'Cache-Control: no-store, no-transform',
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}
