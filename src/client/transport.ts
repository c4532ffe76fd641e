/**
 * HTTP/1.1 over node:http and node:https, with connections kept open. Not global fetch, which was measured to follow
 * a redirect with the old signature, and to un-gzip a body while its content-encoding stays, so that no digest holds.
 * @module
 */
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as overHttp } from 'node:http';
import { Agent as HttpsAgent, request as overHttps } from 'node:https';
import type { ConnectionOptions } from 'node:tls';
import { CountersignError } from '../errors.ts';
import type { RequestMessage } from '../signatures/components.ts';
import { Fields } from '../signatures/fields.ts';
import { ResponseError } from './response-error.ts';

/** Whom to trust and who we are, for https. Peers are always validated. */
export interface TlsOptions
  extends Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'passphrase' | 'servername'> {
  /**
   * A certificate that changes: each new connection shows the one that is in force then. Where `ca` is left out, peers
   * are validated against its trusted roots. `renewingCertificate` makes one.
   */
  readonly certificate?: ClientIdentity | undefined;
}

export interface ClientIdentity {
  /** Certificate, key and roots in PEM. Throws where there is no certificate in force. */
  identity(): { readonly cert: string; readonly key: string; readonly ca: string };
}

/** A message as it went over the wire, for showing. `lines` are field names and values in their order. */
export interface SentRequest {
  readonly method: string;
  readonly target: string;
  readonly lines: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

export interface ReceivedResponse {
  readonly status: number;
  /** The reason phrase. No signature covers it. */
  readonly reason: string;
  readonly lines: readonly (readonly [name: string, value: string])[];
  readonly fields: Fields;
  readonly body: Buffer;
  /** Milliseconds from sending until the header fields were read, by a clock that never steps. */
  readonly waited: number;
}

export interface SendOptions {
  /** Ends the exchange; it then rejects with the signal's reason. */
  readonly signal: AbortSignal;
  /** Bytes. */
  readonly maxResponseBody: number;
  /** Header lines to send as they stand, in place of the message's own: a recorded request has all of its own. */
  readonly lines?: SentRequest['lines'];
  /** Where to connect, where that isn't the message's authority. Host stays as it is. */
  readonly to?: URL;
}

export interface Transport {
  /**
   * Sends one message and reads its answer to the end. No redirect is followed.
   * @throws `connection-lost`, or `response-invalid` for what isn't HTTP or exceeds a limit.
   */
  send(
    message: RequestMessage,
    body: Buffer,
    options: SendOptions,
  ): Promise<{ sent: SentRequest; received: ReceivedResponse }>;
  /** Closes the connections that are kept open. */
  close(): void;
}

/**
 * Milliseconds for which an unused connection is kept: less than the 5 s after which a Node server closes it, since a
 * request that meets the closing is lost, and only some may be sent again.
 */
const IDLE = 4000;
/** A response repeats the request's components, and bears upstream fields besides. */
const MOST_RESPONSE_HEAD = 32 * 1024;

export function createTransport({ certificate, ...tls }: TlsOptions = {}): Transport {
  const http = new HttpAgent({ keepAlive: true, timeout: IDLE });
  const https = new HttpsAgent({ ...tls, keepAlive: true, timeout: IDLE });
  return {
    async send(message, body, options) {
      const { method, target } = message;
      const sent = options.lines ? { method, target, lines: options.lines, body } : asSent(message, body);
      const to = options.to ?? new URL(`${message.scheme}://${message.authority}`);
      const { hostname, port } = to;
      const isTls = to.protocol === 'https:';
      const request = (isTls ? overHttps : overHttp)({
        agent: isTls ? https : http,
        // The agent keeps connections of another identity apart, and what it was made with comes before this.
        ...(isTls && certificate?.identity()),
        host: hostname.replace(/^\[|\]$/g, ''),
        ...(port && { port }),
        method,
        path: target,
        // A flat list, which Node writes as it stands.
        headers: sent.lines.flat(),
        setHost: false,
        maxHeaderSize: MOST_RESPONSE_HEAD,
        insecureHTTPParser: false,
      });
      const received = await readAnswer(request, sent, to.host, options);
      return { sent, received };
    },
    close() {
      http.destroy();
      https.destroy();
    },
  };
}

function asSent({ method, target, authority, fields }: RequestMessage, body: Buffer): SentRequest {
  const lines: [string, string][] = [['host', authority], ...fields.entries()];
  if (body.length > 0 || !WITHOUT_BODY.has(method)) lines.push(['content-length', String(body.length)]);
  lines.push(['connection', 'keep-alive']);
  return { method, target, lines, body };
}

/** Methods that say by themselves that there is no body, so that no length is needed (RFC 9110 section 8.6). */
const WITHOUT_BODY = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS']);

function readAnswer(
  request: ClientRequest,
  sent: SentRequest,
  authority: string,
  { signal, maxResponseBody }: SendOptions,
): Promise<ReceivedResponse> {
  const start = performance.now();
  let isConnected = false;
  return new Promise((resolve, reject) => {
    let hasAnswer = false;
    let isSettled = false;
    const abort = () => fail(signal.reason);
    function fail(error: unknown): void {
      if (isSettled) return;
      isSettled = true;
      signal.removeEventListener('abort', abort);
      reject(error);
      request.destroy();
    }
    // The error listeners stay: a destroyed socket may report an error yet, which nobody waits for any more.
    const failWith = (error: Error) => fail(asFailure(error, authority, isConnected));
    request.on('error', failWith);
    // With an answer begun, it is the answer that tells of its end: this event may come before its last bytes are read.
    request.on('close', () => {
      if (!hasAnswer) failWith(new Error('closed without an answer'));
    });
    request.on('upgrade', ({ statusCode }: IncomingMessage, socket) => {
      socket.destroy();
      fail(unasked(statusCode));
    });
    request.on('socket', (socket) => {
      if (request.reusedSocket) isConnected = true;
      else socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => (isConnected = true));
    });
    request.on('response', (response) => {
      hasAnswer = true;
      const waited = performance.now() - start;
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('error', failWith);
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > maxResponseBody) fail(tooLong(response, maxResponseBody));
        else chunks.push(chunk);
      });
      response.on('end', () => {
        if (isSettled) return;
        isSettled = true;
        signal.removeEventListener('abort', abort);
        resolve(asReceived(response, Buffer.concat(chunks, length), waited));
      });
    });
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort, { once: true });
    request.end(sent.body);
  });
}

function asReceived(
  { statusCode, statusMessage, rawHeaders }: IncomingMessage,
  body: Buffer,
  waited: number,
): ReceivedResponse {
  const lines: [string, string][] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    lines.push([rawHeaders[i] as string, rawHeaders[i + 1] as string]);
  }
  const fields = Fields.fromRaw(rawHeaders);
  return { status: statusCode as number, reason: statusMessage ?? '', lines, fields, body, waited };
}

function unasked(status: number | undefined): ResponseError {
  return new ResponseError('response-invalid', 'The answer switches protocols, which nobody asked for.', {
    ...(status && { status }),
    verified: false,
  });
}

function tooLong({ statusCode }: IncomingMessage, limit: number): ResponseError {
  return new ResponseError(
    'response-invalid',
    `The answer exceeds ${limit} bytes; raise maxResponseBody, or ask for less.`,
    { status: statusCode as number, verified: false },
  );
}

/** What llhttp finds wrong with the bytes of an answer, as against a connection that ends. */
const PARSE_ERROR = /^HPE_/;

function asFailure(error: NodeJS.ErrnoException, authority: string, isConnected: boolean): CountersignError {
  const code = error.code ?? error.message;
  if (PARSE_ERROR.test(code)) {
    return new ResponseError(
      'response-invalid',
      `The answer can't be read as HTTP (${code}); is it a gateway that listens at ${authority}?`,
      { verified: false, cause: error },
    );
  }
  const detail = isConnected
    ? `The connection to ${authority} ended before the whole answer was read (${code}). The request may have been carried out.`
    : `No connection to ${authority} could be made (${code}). Nothing was sent.`;
  return new CountersignError('connection-lost', detail, { cause: error });
}

/** Failures of the network, which may pass. Others, such as a certificate that isn't trusted, stay. */
const MAY_PASS = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'EPIPE',
  'ETIMEDOUT',
]);

/** Whether another try could fare better than this failure of `send`. */
export function mayPass(error: unknown): boolean {
  return (
    error instanceof CountersignError &&
    error.code === 'connection-lost' &&
    MAY_PASS.has((error.cause as NodeJS.ErrnoException | undefined)?.code ?? '')
  );
}
