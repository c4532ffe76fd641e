/**
 * A request before it is signed: from fetch's arguments, or from its parts as they stand. What is drafted is what is
 * sent, to the byte.
 * @module
 */
import { CountersignError } from '../errors.ts';
import type { RequestMessage } from '../signatures/components.ts';
import { contentDigest } from '../signatures/content-digest.ts';
import { Fields } from '../signatures/fields.ts';
import { serializeString } from '../signatures/structured-fields.ts';
import { readBody } from './message-body.ts';

export interface RequestDraft {
  readonly message: RequestMessage;
  readonly body: Buffer;
}

/** Fetch's own second argument, and the key under which the gateway does the work once. */
export type SignedInit = RequestInit & {
  /**
   * Sent as `Idempotency-Key`, a structured-field string. Use one key for one piece of work: calls that bear it are
   * tried again after a lost connection, whatever the method.
   */
  idempotencyKey?: string;
};

export interface RequestParts {
  readonly method: string;
  /** Scheme and authority, such as `https://gateway.example:8443`; anything after them is ignored. */
  readonly origin: string | URL;
  /** The raw request target, such as `/orders?since=1`. Neither decoded nor normalised. */
  readonly target: string;
  readonly headers?: Iterable<readonly [name: string, value: string]>;
  readonly body?: string | Uint8Array;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const TARGET = /^[\x21-\x7e]+$/;
const VALUE = /^[\t\x20-\x7e]*$/;
const MOST_KEY = 255;
/** The methods that fetch writes in capitals for its caller. */
const CAPITALS = new Set(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT']);
const NEVER_SENT = new Set(['CONNECT', 'TRACE', 'TRACK']);

/** Fields that belong to the connection or the signature. The client sets them; the caller's are dropped, as by fetch. */
const OURS =
  /^(?:host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|content-length|accept-encoding|content-digest|signature|signature-input)$/;

/**
 * Drafts a request from its parts.
 * @throws `request-invalid`
 */
export function draftRequest({
  method,
  origin,
  target,
  headers = [],
  body = '',
}: RequestParts): RequestDraft {
  const url = new URL(origin);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw invalid(`"${url.protocol}" is not a scheme to call a gateway by; use https`);
  }
  if (!TOKEN.test(method)) throw invalid('the method is not a token');
  if (!TARGET.test(target)) throw invalid('the target is empty, or holds a byte outside 0x21-0x7E');
  const fields = new Fields();
  for (const [name, value] of headers) {
    if (!TOKEN.test(name)) throw invalid(`${JSON.stringify(name)} is not the name of a header field`);
    if (!VALUE.test(value)) throw invalid(`the value of ${name} holds a byte outside printable ASCII`);
    if (!OURS.test(name.toLowerCase())) fields.append(name, value);
  }
  const bytes =
    typeof body === 'string' ? Buffer.from(body) : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (bytes.length > 0) {
    if (!fields.has('content-type')) fields.set('content-type', 'application/octet-stream');
    fields.set('content-digest', contentDigest(bytes));
  }
  if (!fields.has('user-agent')) fields.set('user-agent', 'countersign');
  // What a proxy or a server compresses on the way has another digest than what was signed.
  fields.set('accept-encoding', 'identity');
  return {
    message: {
      method,
      scheme: url.protocol === 'https:' ? 'https' : 'http',
      authority: url.host,
      target,
      fields,
    },
    body: bytes,
  };
}

/** By its shape: the Request of the undici package is another class than the global one. */
export function isRequest(input: string | URL | Request): input is Request {
  return typeof input === 'object' && !(input instanceof URL) && 'url' in input;
}

export interface DraftOptions {
  /** What relative inputs are resolved against. */
  readonly base: URL | undefined;
  /** Bytes of a body that must be buffered. */
  readonly maxRequestBody: number;
  readonly signal: AbortSignal;
}

/**
 * Drafts a request from fetch's arguments. The URL is parsed as fetch parses it; its fragment is dropped, and so is
 * an empty query, which `@query` can't tell from none.
 * @throws `request-invalid`, or whatever a body's stream fails with.
 */
export async function draftFetch(
  input: string | URL | Request,
  init: SignedInit,
  { base, maxRequestBody, signal }: DraftOptions,
): Promise<RequestDraft> {
  const request = isRequest(input) ? input : undefined;
  const url = parseUrl(request ? request.url : String(input), base);
  const method = normalMethod(init.method ?? request?.method ?? 'GET');
  const headers = readHeaders(init.headers ?? request?.headers);
  if (init.idempotencyKey !== undefined) headers.set('idempotency-key', serializeKey(init.idempotencyKey));

  const given = (init.body === undefined ? request?.body : init.body) ?? undefined;
  let bytes: Buffer | undefined;
  if (given !== undefined) {
    if (method === 'GET' || method === 'HEAD') throw invalid(`a ${method} has no body`);
    if (given === request?.body && request.bodyUsed)
      throw invalid('the body of this Request was read before');
    const read = await readBody(given, maxRequestBody, signal);
    bytes = read.bytes;
    if (read.contentType !== undefined && !headers.has('content-type'))
      headers.set('content-type', read.contentType);
  }
  return draftRequest({
    method,
    origin: url,
    target: url.pathname + url.search,
    headers,
    ...(bytes && { body: bytes }),
  });
}

function parseUrl(text: string, base: URL | undefined): URL {
  if (!URL.canParse(text, base?.href)) {
    throw invalid(
      base
        ? `"${text}" is not a URL`
        : `"${text}" is not a whole URL, and the credentials name no "url" to resolve it against`,
    );
  }
  const url = new URL(text, base);
  if (url.username !== '' || url.password !== '') {
    throw invalid('the URL holds a user name or password; a signed call needs neither');
  }
  return url;
}

function normalMethod(method: string): string {
  const capitals = method.toUpperCase();
  if (NEVER_SENT.has(capitals)) throw invalid(`${capitals} is not a method for a gateway`);
  return CAPITALS.has(capitals) ? capitals : method;
}

function readHeaders(init: RequestInit['headers']): Headers {
  try {
    return new Headers(init);
  } catch (error) {
    throw new CountersignError(
      'request-invalid',
      `The header fields can't be sent: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

function serializeKey(key: string): string {
  if (typeof key !== 'string' || key.length === 0 || key.length > MOST_KEY || !/^[\x20-\x7e]+$/.test(key)) {
    throw invalid(`idempotencyKey must have 1 to ${MOST_KEY} characters of printable ASCII`);
  }
  return serializeString(key);
}

function invalid(why: string): CountersignError {
  return new CountersignError('request-invalid', `The request can't be signed: ${why}.`);
}
