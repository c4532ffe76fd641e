/**
 * The other end of a signed call, as small as it can be: it verifies as the gateway does, and signs what a test tells
 * it to answer, or does to an answer what somebody on the way could do.
 * @module
 */
import { once } from 'node:events';
import { createServer as overHttp, type RequestListener } from 'node:http';
import { createServer as overHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { type SignedFetch, type SignedFetchOptions, signedFetch } from '../../src/client/index.ts';
import { CountersignError } from '../../src/errors.ts';
import { hmacSha256 } from '../../src/signatures/hmac.ts';
import {
  component,
  contentDigest,
  coverComponents,
  Fields,
  judgeTimes,
  presentRequest,
  type RequestMessage,
  secretKey,
  signatureBase,
  signResponse,
  type VerifiedRequest,
  verifyContentDigest,
  verifyRequest,
} from '../../src/signatures/index.ts';

export const KEYID = 'shop-2026';
export const SECRET = Buffer.alloc(64, 7);
const LIFE = { maxLife: 300, skew: 30 };

export type Lines = readonly (readonly [name: string, value: string])[];

export interface Answer {
  readonly status: number;
  readonly lines: Lines;
  readonly body: Buffer;
}

/** What a response's signature says, where that differs from what it should say. */
export interface Forgery {
  readonly nonce?: string;
  readonly keyid?: string;
  readonly tag?: string;
  readonly alg?: string;
  readonly secret?: Buffer;
  readonly created?: number;
  readonly expires?: number;
  /** Component identifiers; a function gets those that a right answer covers. */
  readonly covered?: (ids: readonly string[]) => readonly string[];
}

export interface Reaction extends Partial<Answer> {
  /** No signature at all. */
  readonly unsigned?: true;
  /** A signature whose MAC holds, and that says the wrong thing. */
  readonly forged?: Forgery;
  /** What somebody on the way makes of the signed answer. */
  readonly tampered?: (answer: Answer) => Answer;
}

/** A call whose signature held. */
export interface Call {
  readonly request: VerifiedRequest;
  readonly body: Buffer;
  /** From 1: which of the peer's calls this is. */
  readonly number: number;
  /** The port of the client's end: the same for the same connection. */
  readonly connection: number;
}

/** `lost` ends the connection, `silent` never answers. */
export type Behaviour = (call: Call) => Reaction | 'lost' | 'silent';

export interface Peer {
  readonly url: string;
  /** Every call so far. */
  readonly calls: readonly Call[];
  /** Resolves at the next call. */
  nextCall(): Promise<void>;
}

export interface PeerOptions {
  /** Whole seconds since the epoch. */
  readonly now?: () => number;
  /** A key and certificate in PEM: then it speaks https. */
  readonly tls?: { readonly key: Buffer; readonly cert: Buffer };
}

const wallClock = () => Math.floor(Date.now() / 1000);

export const lines = (fields: Record<string, string>): Lines => Object.entries(fields);

/** The gateway's refusal, as it answers. */
export function refusal(
  code: string,
  status: number,
  members: Record<string, unknown> = {},
  fields: Record<string, string> = {},
): Reaction {
  return {
    status,
    lines: lines({ 'Content-Type': 'application/problem+json', 'Countersign-Refusal': code, ...fields }),
    body: Buffer.from(
      JSON.stringify({
        type: `README.md#${code}`,
        title: code,
        status,
        code,
        detail: `${code}!`,
        ...members,
      }),
    ),
  };
}

/** Answers with what it was sent. */
export const echo: Behaviour = ({ request, body }) => ({
  lines: lines({ 'Content-Type': 'application/json' }),
  body: Buffer.from(
    JSON.stringify({
      method: request.message.method,
      target: request.message.target,
      fields: Object.fromEntries(request.message.fields.entries()),
      body: body.toString('base64'),
    }),
  ),
});

/** Starts a peer on a free loopback port, for the length of the test. */
export async function startPeer(
  behave: Behaviour = echo,
  { now = wallClock, tls }: PeerOptions = {},
): Promise<Peer> {
  const calls: Call[] = [];
  const nonces = new Set<string>();
  const scheme = tls ? 'https' : 'http';
  const listener: RequestListener = async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const send = ({ status, lines, body }: Answer) => {
      res.writeHead(status, lines.flat());
      res.end(body);
    };
    let request: VerifiedRequest | undefined;
    try {
      request = verify(
        { scheme, method: req.method as string, target: req.url as string },
        req.rawHeaders,
        now(),
      );
      const { nonce } = request.parameters;
      const untimely = judgeTimes(request.parameters, LIFE, now());
      if (untimely) return send(sign(refusal(untimely.code, 401, untimely.members), request, now()));
      if (nonces.has(nonce)) return send(sign(refusal('nonce-replayed', 401), request, now()));
      nonces.add(nonce);
      verifyContentDigest(request.digests, body);
      if (body.length > 0 && request.digests.size === 0) throw new Error('a body without a digest');
    } catch (error) {
      const code = error instanceof CountersignError ? error.code : String(error);
      const answer = sign(refusal(code, 401), request, now());
      return send(answer);
    }
    const call = { request, body, number: calls.length + 1, connection: req.socket.remotePort as number };
    calls.push(call);
    server.emit('call');
    const reaction = behave(call);
    if (reaction === 'silent') return;
    if (reaction === 'lost') return req.socket.destroy();
    const answer = sign(reaction, request, now());
    send(reaction.tampered ? reaction.tampered(answer) : answer);
  };
  const server = tls ? overHttps(tls, listener) : overHttp(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    url: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    nextCall: async () => void (await once(server, 'call')),
  };
}

function verify(
  line: Pick<RequestMessage, 'scheme' | 'method' | 'target'>,
  rawHeaders: string[],
  now: number,
): VerifiedRequest {
  const fields = Fields.fromRaw(rawHeaders);
  const message = { ...line, authority: fields.get('host') as string, fields };
  const presented = presentRequest(message, LIFE, { conditions: true }, now);
  const known = presented.presented.parameters.keyid === KEYID;
  return verifyRequest(presented, known ? secretKey(SECRET) : undefined);
}

/** Signs a reaction as the gateway would, or as its forgery says. */
export function sign(reaction: Reaction, request: VerifiedRequest | undefined, now: number): Answer {
  const { status = 200, lines: given = [], forged, unsigned } = reaction;
  const bodyless = request?.message.method === 'HEAD' || status === 204 || status === 304;
  const body = bodyless ? Buffer.alloc(0) : (reaction.body ?? Buffer.alloc(0));
  const framing: Lines = bodyless ? [] : [['Content-Length', String(body.length)]];
  const answer = { status, lines: [...given, ['Content-Digest', contentDigest(body)]] as Lines, body };
  if (unsigned || !request) return { ...answer, lines: [...answer.lines, ...framing] };
  const { signatureInput, signature } = forged
    ? forge(answer, request, now, forged)
    : signResponse(status, answer.lines, request, now);
  const signed: Lines = [
    ['Signature-Input', signatureInput],
    ['Signature', signature],
  ];
  return { ...answer, lines: [...answer.lines, ...framing, ...signed] };
}

function forge({ status, lines }: Answer, request: VerifiedRequest, now: number, forgery: Forgery) {
  const right = signResponse(status, lines, request, now).covered.components.map(({ id }) => id);
  const ids = forgery.covered?.(right) ?? right;
  // The core adds ;req to what a request covered; here an identifier is read as it stands.
  const covered = coverComponents(ids.map(component), {
    status,
    fields: Fields.fromEntries(lines),
    request: request.message,
  });
  const {
    nonce = request.parameters.nonce,
    keyid = KEYID,
    tag = 'countersign-response-v1',
    alg = 'hmac-sha256',
    created = now,
    expires = created + 60,
    secret = SECRET,
  } = forgery;
  const parameters = `(${ids.join(' ')});created=${created};expires=${expires};nonce="${nonce}";keyid="${keyid}";alg="${alg}";tag="${tag}"`;
  const mac = hmacSha256(secretKey(secret), signatureBase(covered, parameters)).toString('base64');
  return { signatureInput: `cs=${parameters}`, signature: `cs=:${mac}:` };
}

/** A client of the peer that never waits: what it would have waited stands in `waits`, in milliseconds. */
export function clientOf(
  peer: Pick<Peer, 'url'>,
  options: SignedFetchOptions = {},
): SignedFetch & { waits: number[] } {
  const waits: number[] = [];
  const wait = async (milliseconds: number) => void waits.push(milliseconds);
  const client = signedFetch(
    { keyid: KEYID, secret: SECRET, url: peer.url },
    { wait, random: () => 1, ...options },
  );
  onTestFinished(() => client.close());
  return Object.assign(client, { waits });
}

/** What a promise rejects with; fails where it doesn't. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('The promise was expected to reject, and resolved.');
}
