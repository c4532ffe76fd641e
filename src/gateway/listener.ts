/**
 * The HTTP server around the pipeline, plain or over TLS: its limits, what Node's parser refuses, and a stop that
 * finishes what is in flight.
 * @module
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { CountersignError, type RefusalCode } from '../errors.ts';
import { PROBLEM_TYPE, type Problem, toProblem } from './refusals.ts';
import { serverContext, type TlsServing } from './tls/server-context.ts';

export type Handler = (req: IncomingMessage, res: ServerResponse) => void;
/** Told of what was refused before there was a request that a stage could see. */
export type Unparsed = (code: RefusalCode, address: string | undefined) => void;

const MOST_HEADER_BYTES = 16 * 1024;
/** Milliseconds for a peer that stalls: until the header section is there, and until the whole request is. */
const HEADERS_TIMEOUT = 10_000;
const REQUEST_TIMEOUT = 60_000;
const KEEP_ALIVE_TIMEOUT = 65_000;
/** Milliseconds for a TLS handshake. */
const HANDSHAKE_TIMEOUT = 10_000;
const CHECK_INTERVAL = 1000;
/**
 * Milliseconds that a stop waits for what is in flight, for requests of which not even the header section is there,
 * and between two looks.
 */
const LONGEST_STOP = 35_000;
const LONGEST_SILENCE = 1000;
const STOP_INTERVAL = 25;

const adminSockets = new WeakSet<Socket>();
/** Those that take no request more. */
const endingSockets = new WeakSet<Socket>();

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
  private readonly tlsServer: TlsServer | undefined;
  /** Those over which requests come: over TLS, once the handshake is done. */
  private readonly sockets = new Set<Socket>();
  /** Connections in their handshake, by the peer's address and port. */
  private readonly handshakes = new Map<string, Socket>();
  private readonly unparsed: Unparsed;
  private stopped: Promise<void> | undefined;

  /** @param tls given where TLS is served. */
  constructor(handle: Handler, unparsed: Unparsed = () => {}, tls?: TlsServing) {
    this.unparsed = unparsed;
    const limits = {
      maxHeaderSize: MOST_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT,
      requestTimeout: REQUEST_TIMEOUT,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
      connectionsCheckingInterval: CHECK_INTERVAL,
      insecureHTTPParser: false,
      // Answered by our own stage, so that it is a problem document too.
      requireHostHeader: false,
    };
    const onRequest: Handler = (req, res) => {
      if (this.stopped || endingSockets.has(req.socket)) res.shouldKeepAlive = false;
      handle(req, res);
    };
    this.tlsServer =
      tls && createTlsServer({ ...limits, ...tlsLimits(tls), ...serverContext(tls) }, onRequest);
    this.server = this.tlsServer ?? createServer(limits, onRequest);
    // Node drops the fields above its limit in silence; without one, the stage read-message counts them itself.
    this.server.maxHeadersCount = 0;
    // Whatever is expected, the pipeline answers it: the stage read-message knows 100-continue alone.
    for (const event of ['checkContinue', 'checkExpectation']) {
      this.server.on(event, (req, res) => this.server.emit('request', req, res));
    }
    this.server.on('clientError', (error, socket) => this.refuseUnparsed(error, socket as Socket));
    this.server.on('connect', (_req, socket) => this.refuseTunnel(socket as Socket));
    if (this.tlsServer) this.server.on('connection', (socket) => this.followHandshake(socket));
    this.onSocket((socket) => {
      this.handshakes.delete(peerOf(socket));
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
  }

  /** New connections see this certificate; those that stand, keep on. */
  useTls(tls: TlsServing): void {
    this.tlsServer?.setSecureContext(serverContext(tls));
  }

  /** Tells of each connection over which requests will come: over TLS a `TLSSocket`, after its handshake. */
  onSocket(listen: (socket: Socket) => void): void {
    this.server.on(this.tlsServer ? 'secureConnection' : 'connection', listen);
  }

  private followHandshake(socket: Socket): void {
    const peer = peerOf(socket);
    this.handshakes.set(peer, socket);
    socket.once('close', () => {
      if (this.handshakes.get(peer) === socket) this.handshakes.delete(peer);
    });
  }

  /** @returns the port, which differs from the one asked for where that was 0. `listen-failed`. */
  async listen({ host, port, admin = false }: ListenerOptions): Promise<number> {
    if (admin) this.onSocket((socket) => adminSockets.add(socket));
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

  /** Refuses new connections, lets what is in flight end, and ends what takes too long. May be called again. */
  close(): Promise<void> {
    this.stopped ??= this.stop();
    return this.stopped;
  }

  private async stop(): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    const started = performance.now();
    const idle = setInterval(() => {
      this.server.closeIdleConnections();
      // Node counts a connection as busy that has said nothing yet, and has stopped to time header sections.
      if (performance.now() - started > LONGEST_SILENCE) this.closeSilentConnections();
    }, STOP_INTERVAL);
    const late = setTimeout(() => this.server.closeAllConnections(), LONGEST_STOP);
    await closed;
    clearInterval(idle);
    clearTimeout(late);
  }

  private closeSilentConnections(): void {
    for (const socket of this.handshakes.values()) socket.destroy();
    for (const socket of this.sockets) {
      if (!isAnswering(socket)) socket.destroy();
    }
  }

  /** What Node's parser refused has no request and no response. */
  private refuseUnparsed(error: NodeJS.ErrnoException, socket: Socket): void {
    const shaking = this.handshakes.get(peerOf(socket));
    // Beneath TLS, the connection can still answer who speaks plain HTTP to it.
    if (error.code === 'ERR_SSL_HTTP_REQUEST' && shaking) {
      this.refuse(shaking, new CountersignError('request-malformed', PLAIN_HTTP));
      return;
    }
    // The peer is gone, has had its answer, or never got through the handshake.
    if (!socket.writable || error.code === 'ECONNRESET' || !this.sockets.has(socket)) socket.destroy();
    else this.refuse(socket, new CountersignError(...(UNPARSED[error.code ?? ''] ?? NOT_HTTP)));
  }

  private refuseTunnel(socket: Socket): void {
    // Node has handed the socket over with no listener left: without one, a reset would end the process.
    socket.on('error', () => socket.destroy());
    this.refuse(socket, new CountersignError('request-malformed', 'CONNECT is not served here.'));
  }

  /** Writes the problem straight onto the socket. */
  private refuse(socket: Socket, error: CountersignError): void {
    // As Node's own handler does: with an answer under way on this socket, ours would be read as a part of it.
    if (isAnswering(socket)) {
      socket.destroy();
      return;
    }
    const problem = toProblem(error);
    this.unparsed(problem.code, socket.remoteAddress);
    socket.end(rawAnswer(problem), () => socket.destroy());
  }
}

/** Callers' certificates are judged by the routes, on each request: a handshake is not refused for want of one. */
function tlsLimits({ clientRoots }: TlsServing) {
  const requestCert = clientRoots !== undefined;
  return { handshakeTimeout: HANDSHAKE_TIMEOUT, requestCert, rejectUnauthorized: false };
}

/** One peer's address and port stand for one connection at a time. */
const peerOf = ({ remoteAddress, remotePort }: Socket) => `${remoteAddress} ${remotePort}`;

const PLAIN_HTTP = 'This port speaks TLS: write https:// in place of http://.';

type Refusal = readonly [code: RefusalCode, detail: string];

const NOT_HTTP: Refusal = [
  'request-malformed',
  'This is not an HTTP request that can be read in one way only.',
];
/** By the code of Node's error. */
const UNPARSED: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: [
    'headers-too-large',
    `The header section is larger than ${MOST_HEADER_BYTES} bytes; send less.`,
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ['request-malformed', 'The request did not arrive in time; send it faster.'],
};

/** Whether a request was read from this socket whose answer hasn't ended. */
function isAnswering(socket: Socket): boolean {
  return answerUnderWay(socket) !== undefined;
}

/** Node has no public name for it. */
function answerUnderWay(socket: Socket): ServerResponse | undefined {
  return (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined;
}

/** Ends a connection as soon as nothing is in flight on it. */
export function endConnection(socket: Socket): void {
  const answer = answerUnderWay(socket);
  if (!answer) {
    socket.destroySoon();
    return;
  }
  endingSockets.add(socket);
  if (!answer.headersSent) answer.shouldKeepAlive = false;
  // By then the next request of a pipeline has its answer under way, if there is one.
  answer.once('close', () => endConnection(socket));
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
