/**
 * Routes of the route table: a call that is let through goes to its upstream, and its answer comes back.
 * @module
 */
import { randomBytes } from 'node:crypto';
import type { UpstreamRoute } from '../../config/config.ts';
import type { VerifiedRequest } from '../../signatures/verify-request.ts';
import { type Context, callerOf, type Route } from '../call.ts';
import type { Upstreams } from '../upstream/forward.ts';
import { fieldsForCaller, fieldsForUpstream } from '../upstream/forwarded-fields.ts';
import { RouteTable } from '../upstream/route-table.ts';
import type { UpstreamLookup } from './routes.ts';

export function upstreamLookup(table: readonly UpstreamRoute[], upstreams: Upstreams): UpstreamLookup {
  const routes = new Map(table.map((each) => [each, toRoute(each, upstreams)]));
  const paths = new RouteTable(table);
  return (path) => {
    const found = paths.find(path);
    return found && routes.get(found);
  };
}

function toRoute(route: UpstreamRoute, upstreams: Upstreams): Route {
  const { path, role, idempotency, encodedSlash } = route;
  return {
    name: path,
    credential: 'signature',
    role,
    idempotency,
    conditions: false,
    encodedSlash,
    answer: (ctx) => forward(ctx, route, upstreams),
  };
}

async function forward(ctx: Context, route: UpstreamRoute, upstreams: Upstreams): Promise<void> {
  const { message, verified, body, requestId } = ctx.state;
  const { consumer = '', keyid = '', roles } = callerOf(ctx);
  const identity = { consumer, keyid, roles, requestId, traceparent: newTrace() };
  const { covered } = verified as VerifiedRequest;
  const gone = new AbortController();
  const abort = () => gone.abort();
  ctx.res.once('close', abort);
  try {
    const answer = await upstreams.forward(route, {
      method: message.method,
      target: message.target,
      headers: fieldsForUpstream(message.fields, covered, identity, new URL(route.upstream).host),
      body,
      signal: gone.signal,
    });
    ctx.status = answer.status;
    for (const [name, value] of fieldsForCaller(route, answer.headers)) ctx.append(name, value);
    setBody(ctx, answer.body);
  } finally {
    ctx.res.off('close', abort);
  }
}

/** After the fields, since Koa gives a body a type where it has none; bytes that aren't there need none. */
function setBody(ctx: Context, body: Buffer): void {
  // Content-Length speaks of the GET that wasn't asked.
  if (ctx.method === 'HEAD') return;
  const isTyped = body.length > 0 || ctx.res.hasHeader('Content-Type');
  ctx.body = body;
  if (!isTyped) ctx.remove('Content-Type');
}

/** A new trace (W3C Trace Context, section 3.2): the caller's own isn't believed. */
function newTrace(): string {
  const bytes = randomBytes(24).toString('hex');
  return `00-${bytes.slice(0, 32)}-${bytes.slice(32)}-01`;
}
