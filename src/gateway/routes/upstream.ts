/**
 * Routes of the route table: a call that is let through goes to its upstream, and its answer comes back. In the
 * classes `nonce` and `key` it is recorded before it is forwarded, and its outcome after.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { type Clock, epochSeconds } from '../../clock.ts';
import type { UpstreamRoute } from '../../config/config.ts';
import type { KeyDirectory } from '../../consumers/key-directory.ts';
import { CountersignError } from '../../errors.ts';
import type { Attempt, OperationAnswer, Operations } from '../../idempotency/operations.ts';
import type { VerifiedRequest } from '../../signatures/verify-request.ts';
import type { CommitGroup } from '../../storage/unit-of-work.ts';
import { type Context, callerOf, type Route, SIGNED } from '../call.ts';
import { claimingUnitOfWork, fingerprint, identityOf, KEY_EXPIRES } from '../idempotent-call.ts';
import { permit } from '../middleware/authorize-call.ts';
import { activeKey } from '../middleware/claim-nonce.ts';
import type { UpstreamAnswer, UpstreamRequest, Upstreams } from '../upstream/forward.ts';
import { fieldsForCaller, fieldsForUpstream, passesToUpstream } from '../upstream/forwarded-fields.ts';
import { RouteTable } from '../upstream/route-table.ts';
import type { UpstreamLookup } from './routes.ts';

export interface UpstreamParts {
  readonly upstreams: Upstreams;
  readonly operations: Operations;
  readonly commitGroup: CommitGroup;
  readonly keys: KeyDirectory;
  readonly clock: Clock;
}

export function upstreamLookup(table: readonly UpstreamRoute[], parts: UpstreamParts): UpstreamLookup {
  const routes = new Map(table.map((each) => [each, toRoute(each, parts)]));
  const paths = new RouteTable(table);
  return (path) => {
    const found = paths.find(path);
    return found && routes.get(found);
  };
}

function toRoute(route: UpstreamRoute, parts: UpstreamParts): Route {
  const { path, role, idempotency, encodedSlash, clientCertificate } = route;
  return {
    name: path,
    credential: SIGNED,
    role,
    idempotency,
    schema: null,
    conditions: false,
    encodedSlash,
    ...(clientCertificate !== 'none' && { clientCertificate }),
    answer: (ctx) => answer(ctx, route, parts),
  };
}

async function answer(ctx: Context, route: UpstreamRoute, parts: UpstreamParts): Promise<void> {
  const { idempotency } = route;
  if (idempotency === 'nonce' || idempotency === 'key') {
    const identity = identityOf(ctx, idempotency);
    if (identity.by !== 'once') return answerOnce(ctx, route, parts, identity);
  }
  const gone = new AbortController();
  const abort = () => gone.abort();
  ctx.res.once('close', abort);
  try {
    const given = await parts.upstreams.forward(route, { ...requestOf(ctx, route), signal: gone.signal });
    send(ctx, answerFor(route, given));
  } finally {
    ctx.res.off('close', abort);
  }
}

/** Goes on where the caller goes away: whoever asks again gets what came of it. */
async function answerOnce(
  ctx: Context,
  route: UpstreamRoute,
  parts: UpstreamParts,
  identity: Parameters<Operations['begin']>[1]['identity'],
): Promise<void> {
  const { operations, commitGroup, keys, clock } = parts;
  const { state } = ctx;
  const { method } = state.message;
  const { keyid } = (state.verified as VerifiedRequest).parameters;
  const call = {
    identity,
    fingerprint: fingerprint(ctx, passesToUpstream),
    method,
    actor: state.actor,
    timeoutMs: route.timeoutMs,
    authorize() {
      const key = activeKey(keys, keyid, epochSeconds(clock), state);
      state.context = permit(key.context, state, route.role);
    },
  };
  const beginning = await operations.begin(claimingUnitOfWork(state, commitGroup), call);
  const isFirst = 'begun' in beginning;
  const { keptUntil } = isFirst ? beginning.begun : beginning;
  send(ctx, isFirst ? await carryOut(ctx, route, parts, beginning.begun) : beginning.first);
  if (!isFirst) ctx.set('Idempotent-Replayed', 'true');
  if (identity.by === 'key') ctx.set(KEY_EXPIRES, String(keptUntil));
}

async function carryOut(
  ctx: Context,
  route: UpstreamRoute,
  { upstreams, operations, commitGroup }: UpstreamParts,
  attempt: Attempt,
): Promise<OperationAnswer> {
  let isSent = false;
  let answer: OperationAnswer;
  try {
    const onSending = () => {
      isSent = true;
    };
    const given = await upstreams.forward(route, { ...requestOf(ctx, route), onSending });
    if (!given.delimited) {
      throw new CountersignError(
        'upstream-invalid',
        "The upstream's answer doesn't say how long it is, so that nobody can tell whether it is whole: it must send Content-Length, or chunks. Whether it acted upon the request is unknown.",
      );
    }
    answer = answerFor(route, given);
  } catch (error) {
    // What became of the call is what the caller should hear. Where this can't be stored, the record stays as it
    // began, and its outcome is as unknown.
    const ending = isSent ? operations.leave(commitGroup, attempt) : operations.forget(commitGroup, attempt);
    await ending.catch(() => {});
    throw error;
  }
  await operations.finish(commitGroup, attempt, answer);
  return answer;
}

function requestOf(ctx: Context, route: UpstreamRoute): UpstreamRequest {
  const { message, verified, body, requestId } = ctx.state;
  const { consumer = '', keyid = '', roles } = callerOf(ctx);
  const identity = { consumer, keyid, roles, requestId, traceparent: newTrace() };
  const { covered } = verified as VerifiedRequest;
  return {
    method: message.method,
    target: message.target,
    headers: fieldsForUpstream(message.fields, covered, identity, new URL(route.upstream).host),
    body,
  };
}

function answerFor(route: UpstreamRoute, { status, headers, body }: UpstreamAnswer): OperationAnswer {
  return { status, headers: fieldsForCaller(route, headers), body };
}

/** The body after the fields, since Koa gives a body a type where it has none; bytes that aren't there need none. */
function send(ctx: Context, { status, headers, body }: OperationAnswer): void {
  ctx.status = status;
  for (const [name, value] of headers) ctx.append(name, value);
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
