/**
 * A Koa middleware for services that are called by signed requests themselves, without a gateway before them. It
 * needs nothing of Koa but the shape of its context.
 * @module
 */
import type { IncomingMessage } from 'node:http';
import { CountersignError, type ErrorCode } from '../errors.ts';
import { verifyContentDigest } from './content-digest.ts';
import { Fields } from './fields.ts';
import { signMessage, type VerifyOptions, verifyUpToMac } from './message.ts';
import { announcesBody } from './request-profile.ts';
import type { VerifiedRequest } from './verify-request.ts';

/** As much of a Koa context as is used here. */
export interface KoaLikeContext {
  readonly req: IncomingMessage;
  readonly method: string;
  status: number;
  body: unknown;
  state: Record<string, unknown>;
  readonly response: { readonly headers: Readonly<Record<string, unknown>> };
  set(name: string, value: string): void;
}

export interface CountersignedOptions extends Omit<VerifyOptions, 'now'> {
  /** The public origin that callers sign, such as `https://orders.example`. */
  readonly origin: string;
  /** Bytes. Default: 1 MiB. */
  readonly maxBody?: number;
  /** Epoch milliseconds. Default: `Date.now`. */
  readonly now?: () => number;
}

/** What later middleware finds as `ctx.state.countersign`. */
export interface CountersignedState {
  readonly keyid: string;
  readonly request: VerifiedRequest;
  /** The bytes that were signed. */
  readonly body: Buffer;
}

/** The HTTP status of each refusal that a signature can meet. */
export const signatureRefusalStatus = {
  'request-malformed': 400,
  'target-ambiguous': 400,
  'signature-missing': 401,
  'signature-malformed': 400,
  'signature-policy': 400,
  'signature-invalid': 401,
  'signature-expired': 401,
  'clock-skew': 401,
  'nonce-replayed': 401,
  'digest-mismatch': 400,
  'body-too-large': 413,
} as const satisfies Partial<Record<ErrorCode, number>>;

/**
 * Refuses what isn't signed, new and whole, with problem details; lets the rest through with `ctx.state.countersign`,
 * and signs its answer, which must be text, bytes or plain JSON, never a stream.
 *
 *     app.use(countersigned({ origin, nonces, keys: (keyid) => secrets.get(keyid) }));
 */
export function countersigned(options: CountersignedOptions) {
  const { origin, maxBody = 1024 * 1024, now: milliseconds = Date.now } = options;
  const { protocol, host } = new URL(origin);
  const scheme = protocol === 'https:' ? 'https' : 'http';

  return async function countersigned(ctx: KoaLikeContext, next: () => Promise<unknown>): Promise<void> {
    const now = Math.floor(milliseconds() / 1000);
    let request: VerifiedRequest | undefined;
    try {
      const { method = '', url: target = '', rawHeaders } = ctx.req;
      const fields = Fields.fromRaw(rawHeaders);
      checkHost(fields, host);
      const message = { method, scheme, authority: host, target, fields } as const;
      const { verified, claim } = await verifyUpToMac(message, { ...options, now });
      request = verified;
      await claim();
      const body = announcesBody(message) ? await readBody(ctx.req, maxBody) : Buffer.alloc(0);
      verifyContentDigest(verified.digests, body);
      ctx.state.countersign = {
        keyid: verified.parameters.keyid,
        request,
        body,
      } satisfies CountersignedState;
      await next();
    } catch (error) {
      if (!(error instanceof CountersignError) || !(error.code in signatureRefusalStatus)) throw error;
      sendProblem(ctx, error);
    }
    if (request) sign(ctx, request, now);
  };
}

function checkHost(fields: Fields, host: string): void {
  const lines = fields.lines('host');
  if (lines.length === 1 && lines[0]?.toLowerCase() === host) return;
  throw new CountersignError('request-malformed', `The request must bear one Host field, "${host}".`);
}

function sendProblem(ctx: KoaLikeContext, { code, message: detail, members }: CountersignError): void {
  ctx.status = signatureRefusalStatus[code as keyof typeof signatureRefusalStatus];
  ctx.set('Content-Type', 'application/problem+json');
  ctx.set('Countersign-Refusal', code);
  ctx.body = JSON.stringify({ type: 'about:blank', status: ctx.status, code, detail, ...members });
}

/** RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5. */
const WITHOUT_CONTENT = new Set([204, 205, 304]);

function sign(ctx: KoaLikeContext, request: VerifiedRequest, created: number): void {
  const { body: given } = ctx;
  if (given !== null && typeof given === 'object' && !Buffer.isBuffer(given)) {
    if ('pipe' in given) throw new TypeError('a stream can not be signed; answer with text, bytes or JSON');
    ctx.set('Content-Type', 'application/json; charset=utf-8');
    ctx.body = JSON.stringify(given);
  }
  if (given === undefined && !WITHOUT_CONTENT.has(ctx.status)) {
    // Koa would send the status in words, which nobody has signed; and a body makes it a 200.
    const { status } = ctx;
    ctx.body = '';
    ctx.status = status;
  }
  const body = ctx.method === 'HEAD' ? '' : ((ctx.body ?? '') as string | Buffer);
  // Numbers among them, such as Content-Length.
  const present = Object.entries(ctx.response.headers);
  const headers = Object.fromEntries(
    present.map(([name, value]) => [name, Array.isArray(value) ? value : String(value)]),
  );
  const signed = signMessage({ status: ctx.status, headers, body }, request, { created });
  for (const [name, value] of Object.entries(signed.headers)) ctx.set(name, value);
}

async function readBody(req: IncomingMessage, maxBody: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBody)
      throw new CountersignError('body-too-large', `The body is larger than ${maxBody} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}
