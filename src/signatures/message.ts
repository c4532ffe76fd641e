/**
 * Signing and verifying over plain messages, for services and frameworks of any kind: what the gateway and the
 * client do, without either.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { CountersignError } from '../errors.ts';
import type { Component, RequestMessage } from './components.ts';
import { contentDigest, verifyContentDigest } from './content-digest.ts';
import { Fields } from './fields.ts';
import { secretKey } from './hmac.ts';
import { judgeTimes, signatureExpired } from './request-profile.ts';
import { component, type SignedFields, signRequest, signResponse } from './sign.ts';
import type { Tag } from './signature-input.ts';
import { checkTarget } from './target.ts';
import { presentRequest, type VerifiedRequest, verifyRequest } from './verify-request.ts';
import { presentResponse, type VerifiedResponse, verifyResponse } from './verify-response.ts';

/** Header fields as node:http has them; a list stands for a field that is sent several times. */
export type PlainHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface PlainRequest {
  readonly method: string;
  /** Absolute, with the raw path and query as they stand on the wire. */
  readonly url: string;
  readonly headers: PlainHeaders;
  readonly body?: string | Uint8Array;
}

export interface PlainResponse {
  readonly status: number;
  readonly headers: PlainHeaders;
  readonly body?: string | Uint8Array;
}

/** A shared key. `secret` is base64 as it was issued, or bytes; at least 32 of them. */
export interface SharedKey {
  readonly keyid: string;
  readonly secret: string | Uint8Array;
}

export interface SignOptions {
  /** Epoch seconds. Default: now. */
  readonly created?: number;
  /** Epoch seconds. Default: 60 s after `created`. */
  readonly expires?: number;
  /** Default: 24 random bytes. Never use one twice. */
  readonly nonce?: string;
  /** Component identifiers, such as `@path` or `"@query-param";name="id"`. Default: all that the profile demands. */
  readonly components?: readonly string[];
  /** Default: `countersign-request-v1`. */
  readonly tag?: Tag;
}

/** A signed message: the header fields to add to it (names in lower case), and what they were made from. */
export interface SignedMessage {
  readonly headers: Readonly<Record<string, string>>;
  /** The signature base, for showing. */
  readonly signatureBase: string;
}

/** What `verifyMessage` needs to know of a request to judge its answer. */
export interface SignedRequest extends SignedMessage {
  readonly message: RequestMessage;
  readonly key: SharedKey;
  readonly nonce: string;
  readonly components: readonly Component[];
}

const DEFAULT_LIFE = 60;

/** Signs a request: returns `content-digest` (where it has a body), `signature-input` and `signature`. */
export function signMessage(request: PlainRequest, key: SharedKey, options?: SignOptions): SignedRequest;
/** Signs the answer to a verified request, with the same key and nonce. */
export function signMessage(
  response: PlainResponse,
  request: VerifiedRequest,
  options?: Pick<SignOptions, 'created'>,
): SignedMessage;
export function signMessage(
  message: PlainRequest | PlainResponse,
  by: SharedKey | VerifiedRequest,
  options: SignOptions = {},
): SignedRequest | SignedMessage {
  const { created = nowInSeconds() } = options;
  if ('status' in message) {
    const fields = readFields(message.headers);
    fields.set('content-digest', contentDigest(message.body ?? ''));
    const signed = signResponse(message.status, fields.entries(), by as VerifiedRequest, created);
    return toSigned(signed, fields);
  }
  const key = by as SharedKey;
  const plain = readRequest(message);
  if (hasBody(message))
    plain.fields.set('content-digest', contentDigest(message.body as string | Uint8Array));
  const { expires = created + DEFAULT_LIFE, nonce = randomBytes(24).toString('base64url'), tag } = options;
  const components = options.components?.map(component);
  const signed = signRequest(plain, {
    keyid: key.keyid,
    secret: secretKey(key.secret),
    created,
    expires,
    nonce,
    ...(components && { components }),
    ...(tag && { tag }),
  });
  return {
    ...toSigned(signed, plain.fields),
    message: plain,
    key,
    nonce,
    components: signed.covered.components,
  };
}

/** Remembers which nonces were used. See `MemoryNonces` for one process; the gateway's own store keeps to the same. */
export interface NonceGuard {
  claim(nonce: {
    readonly keyid: string;
    readonly value: string;
    readonly created: number;
    readonly expires: number;
  }): 'claimed' | 'replayed' | 'expired' | Promise<'claimed' | 'replayed' | 'expired'>;
}

export interface VerifyOptions {
  /** The secret of a keyid; undefined where there is no such key. */
  readonly keys: (
    keyid: string,
  ) => string | Uint8Array | undefined | Promise<string | Uint8Array | undefined>;
  /** Where nonces are remembered. There is no default: without it, every message could be sent twice. */
  readonly nonces: NonceGuard;
  /** Epoch seconds. Default: now. */
  readonly now?: number;
  /** Seconds, both. Default: 300 and 30. */
  readonly maxLife?: number;
  readonly skew?: number;
  /** Default: `countersign-request-v1`. */
  readonly tag?: Tag;
}

/**
 * Verifies a request in the order of the profile: parse, policy, key, MAC, time, nonce, digest. Throws a
 * `CountersignError` with the refusal's code. Once the MAC holds the nonce is used up, whatever else is wrong.
 */
export function verifyMessage(request: PlainRequest, options: VerifyOptions): Promise<VerifiedRequest>;
/** Verifies the answer to a request that `signMessage` signed; `response-invalid` or `response-unsigned`. */
export function verifyMessage(response: PlainResponse, request: SignedRequest): Promise<VerifiedResponse>;
export async function verifyMessage(
  message: PlainRequest | PlainResponse,
  by: VerifyOptions | SignedRequest,
): Promise<VerifiedRequest | VerifiedResponse> {
  if ('status' in message) {
    const { message: request, key, nonce, components } = by as SignedRequest;
    const response = { status: message.status, fields: readFields(message.headers), request };
    const presented = presentResponse(response, { keyid: key.keyid, nonce, components });
    return verifyResponse(presented, secretKey(key.secret), bytesOf(message.body));
  }
  const { claim, verified } = await verifyUpToMac(readRequest(message), by as VerifyOptions);
  await claim();
  if (hasBody(message) && verified.digests.size === 0) {
    throw new CountersignError('signature-policy', 'The body is not covered by a Content-Digest; sign it.');
  }
  verifyContentDigest(verified.digests, bytesOf(message.body));
  return verified;
}

/** The first half, before a body is read: what is left is to claim the nonce, and to hold the body to its digest. */
export async function verifyUpToMac(
  message: RequestMessage,
  options: VerifyOptions,
): Promise<{ verified: VerifiedRequest; claim: () => Promise<void> }> {
  const { keys, nonces, now = nowInSeconds(), maxLife = 300, skew = 30, tag } = options;
  const life = { maxLife, skew };
  checkTarget(message.target);
  const request = presentRequest(message, life, { conditions: false }, now, tag);
  const { keyid, nonce, created, expires } = request.presented.parameters;
  const secret = await keys(keyid);
  const verified = verifyRequest(request, secret === undefined ? undefined : secretKey(secret));
  return {
    verified,
    async claim() {
      const untimely = judgeTimes(verified.parameters, life, now);
      if (untimely?.code === 'signature-expired') throw untimely;
      const verdict = await nonces.claim({ keyid, value: nonce, created, expires });
      if (verdict === 'expired') throw signatureExpired(now);
      if (verdict === 'replayed') {
        throw new CountersignError(
          'nonce-replayed',
          'This nonce was used before. Sign again with a new one.',
        );
      }
      if (untimely) throw untimely;
    },
  };
}

/**
 * Nonces in the memory of one process, forgotten when it ends: for tests, and for services that can bear a replay
 * across a restart.
 */
export class MemoryNonces implements NonceGuard {
  private readonly used = new Map<string, number>();
  private readonly now: () => number;
  private sweepAt = 0;

  /** @param now epoch seconds. */
  constructor(now: () => number = nowInSeconds) {
    this.now = now;
  }

  claim({
    keyid,
    value,
    expires,
  }: {
    keyid: string;
    value: string;
    expires: number;
  }): 'claimed' | 'replayed' {
    const now = this.now();
    if (now >= this.sweepAt) {
      for (const [key, until] of this.used) if (until < now) this.used.delete(key);
      this.sweepAt = now + SWEEP_EVERY;
    }
    const key = `${keyid}\n${value}`;
    if (this.used.has(key)) return 'replayed';
    this.used.set(key, expires + KEPT_BEYOND);
    return 'claimed';
  }
}

/** Seconds. Longer than any skew that `verifyMessage` is likely to be given, and a minute more. */
const KEPT_BEYOND = 360;
const SWEEP_EVERY = 30;

function nowInSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

const ABSOLUTE = /^(https?):\/\/([^/?#\\@]+)([/?][^#]*)?$/i;
const DEFAULT_PORT = { http: /:80$/, https: /:443$/ };

function readRequest({ method, url, headers }: PlainRequest): RequestMessage {
  const [, scheme, authority = '', rest = '/'] = ABSOLUTE.exec(url) ?? [];
  if (scheme === undefined) {
    throw new CountersignError(
      'request-malformed',
      'The url must be absolute (http or https), without a fragment.',
    );
  }
  const lower = scheme.toLowerCase() as 'http' | 'https';
  return {
    method,
    scheme: lower,
    authority: authority.toLowerCase().replace(DEFAULT_PORT[lower], ''),
    target: rest.startsWith('/') ? rest : `/${rest}`,
    fields: readFields(headers),
  };
}

function readFields(headers: PlainHeaders): Fields {
  const fields = new Fields();
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === 'string') fields.append(name, value);
    else for (const line of value ?? []) fields.append(name, line);
  }
  return fields;
}

function hasBody({ body }: PlainRequest | PlainResponse): boolean {
  return body !== undefined && body.length > 0;
}

function bytesOf(body: string | Uint8Array | undefined): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body) : (body ?? Buffer.alloc(0));
}

function toSigned({ signatureInput, signature, base }: SignedFields, fields: Fields): SignedMessage {
  const digest = fields.get('content-digest');
  return {
    headers: {
      ...(digest !== undefined && { 'content-digest': digest }),
      'signature-input': signatureInput,
      signature,
    },
    signatureBase: base,
  };
}
