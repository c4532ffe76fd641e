/**
 * Signs the answer to every call whose MAC held, over the bytes that are sent (RFC 9421 section 2.4).
 * @module
 */
import type { Logger } from 'pino';
import { type Clock, epochSeconds } from '../../clock.ts';
import { contentDigest } from '../../signatures/content-digest.ts';
import { signResponse as sign } from '../../signatures/sign.ts';
import type { VerifiedRequest } from '../../signatures/verify-request.ts';
import type { Context, Stage } from '../call.ts';
import { sendProblem } from './render-problem.ts';

/** Statuses whose answers have no content (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5). */
const WITHOUT_CONTENT = new Set([204, 205, 304]);
const NOTHING = '';

export function signResponse({ clock, logger }: { clock: Clock; logger: Logger }): Stage {
  return async function signResponse(ctx, next) {
    await next();
    ctx.set('Cache-Control', 'no-store, no-transform');
    const { verified } = ctx.state;
    if (!verified) return;
    try {
      addSignature(ctx, verified, epochSeconds(clock));
    } catch (error) {
      // The answer holds what can't be signed. What is sent in its place says so, and is signed.
      logger.error({ requestId: ctx.state.requestId, err: error }, 'an answer could not be signed');
      for (const name of Object.keys(ctx.response.headers)) ctx.remove(name);
      ctx.set('Countersign-Request-Id', ctx.state.requestId);
      ctx.set('Cache-Control', 'no-store, no-transform');
      sendProblem(ctx, error);
      addSignature(ctx, verified, epochSeconds(clock));
    }
  };
}

function addSignature(ctx: Context, verified: VerifiedRequest, now: number): void {
  if (WITHOUT_CONTENT.has(ctx.status)) ctx.body = null;
  ctx.set('Content-Digest', contentDigest(ctx.method === 'HEAD' ? NOTHING : bytesSent(ctx)));
  const { signatureInput, signature } = sign(ctx.status, presentFields(ctx), verified, now);
  ctx.set('Signature-Input', signatureInput);
  ctx.set('Signature', signature);
}

/** Stages leave text, bytes or nothing; Koa sends them as they are. */
function bytesSent(ctx: Context): string | Buffer {
  const { body } = ctx;
  if (body === null || body === undefined) return NOTHING;
  if (typeof body === 'string' || Buffer.isBuffer(body)) return body;
  throw new TypeError('an answer is neither text nor bytes');
}

function* presentFields(ctx: Context): Iterable<[string, string]> {
  const headers = ctx.res.getHeaders();
  for (const name in headers) {
    const value = headers[name];
    yield [name, Array.isArray(value) ? value.join(', ') : String(value)];
  }
}
