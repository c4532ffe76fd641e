/**
 * The outermost stage: gives the call its id, and writes one line about it when it has ended.
 * @module
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { pathOf } from '../../signatures/components.ts';
import { CallState, type Context, type Stage } from '../call.ts';
import type { Metrics } from '../metrics.ts';

const MOST_PATH = 256;
/** Somebody may look for a person by it; a log outlives what is kept about them. */
const EMAIL = /[^/]+(?:@|%40)[^/]*/gi;

export function logRequest({ logger, metrics }: { logger: Logger; metrics: Metrics }): Stage {
  const prefix = randomBytes(6).toString('base64url');
  let count = 0;
  return async function logRequest(ctx, next) {
    const started = performance.now();
    const call = new CallState(`${prefix}-${(++count).toString(36)}`);
    ctx.state = call;
    ctx.set('Countersign-Request-Id', call.requestId);
    await next();
    const milliseconds = performance.now() - started;
    const code = call.refusal ?? 'ok';
    metrics.called(code, milliseconds / 1000);
    if (!call.route?.probe) logger.info(line(ctx, code, milliseconds), 'call');
  };
}

/** A target that is no path may hold an authority, and that a password. */
function pathLogged(target: string): string | undefined {
  if (!target.startsWith('/')) return undefined;
  // Cut before and after: a pattern takes its time over a long path, and an address at the cut is one all the same.
  const path = pathOf(target).slice(0, 2 * MOST_PATH);
  return path.replace(EMAIL, '<e-mail>').slice(0, MOST_PATH);
}

/** What is logged of a call: never a header field, a query or a body, which may hold anything. */
function line(ctx: Context, code: string, milliseconds: number) {
  const { requestId, verified, consumer, person, address } = ctx.state;
  return {
    requestId,
    method: ctx.req.method,
    path: pathLogged(ctx.req.url ?? ''),
    status: ctx.res.statusCode,
    code,
    keyid: verified?.parameters.keyid,
    consumer,
    account: person?.account,
    address,
    ms: Math.round(milliseconds * 1000) / 1000,
  };
}
