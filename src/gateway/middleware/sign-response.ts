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
import type { RecordRefusal } from './audit-refusal.ts';
import { sendProblem } from './render-problem.ts';

/** Statuses whose answers have no content (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5). */
const WITHOUT_CONTENT = new Set([204, 205, 304]);
const NOTHING = '';

export interface SignResponseParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly record: RecordRefusal;
}

export function signResponse({ clock, logger, record }: SignResponseParts): Stage {
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
      // The error itself would blame the caller, who has no part in it.
      sendProblem(ctx, await record(ctx, undefined));
      ctx.set('Cache-Control', 'no-store, no-transform');
      addSignature(ctx, verified, epochSeconds(clock));
    }
  };
}

function addSignature(ctx: Context, verified: VerifiedRequest, now: number): void {
  ctx.set('Content-Digest', contentDigest(bytesSent(ctx)));
  const { signatureInput, signature } = sign(ctx.status, presentFields(ctx), verified, now);
  ctx.set('Signature-Input', signatureInput);
  ctx.set('Signature', signature);
}

/** Stages leave text or bytes, which Koa sends as they are; where they left none, it would write the status in words. */
function bytesSent(ctx: Context): string | Buffer {
  if (WITHOUT_CONTENT.has(ctx.status)) {
    ctx.body = null;
    return NOTHING;
  }
  if (ctx.method === 'HEAD') return NOTHING;
  const { body } = ctx;
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
