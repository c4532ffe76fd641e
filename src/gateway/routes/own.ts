/**
 * The gateway's own endpoints: for probes, for whoever watches it, and for callers who try it out.
 * @module
 */
import { type Context, callerOf, type Route } from '../call.ts';
import { readJsonText } from '../json-body.ts';
import type { Metrics } from '../metrics.ts';
import type { OwnRoutes } from './routes.ts';

/** The checks by name; the gateway is ready where none holds a reason. */
export type Readiness = () => Readonly<Record<string, string | undefined>>;

export interface OwnRouteParts {
  readonly readiness: Readiness;
  readonly metrics: Metrics;
}

/** Answered whatever the Host. */
export const PROBES: ReadonlySet<string> = new Set(['/healthz', '/readyz']);
/** There for callers on the same machine, and on the admin port. */
export const LOCAL_PATHS: ReadonlySet<string> = new Set(['/metrics']);

const OPEN = {
  credential: 'none',
  role: 'any',
  idempotency: 'none',
  conditions: false,
  encodedSlash: false,
} as const;
const FOR_CALLERS = { ...OPEN, credential: 'signature', conditions: true } as const;

export function ownRoutes({ readiness, metrics }: OwnRouteParts): OwnRoutes {
  const healthz: Route = {
    ...OPEN,
    name: 'healthz',
    probe: true,
    answer: (ctx) => sendJson(ctx, { status: 'ok' }),
  };
  const readyz: Route = {
    ...OPEN,
    name: 'readyz',
    probe: true,
    answer: (ctx) => answerReadiness(ctx, readiness()),
  };
  const metricsPage: Route = {
    ...OPEN,
    name: 'metrics',
    async answer(ctx) {
      ctx.set('Content-Type', metrics.contentType);
      ctx.body = await metrics.text();
    },
  };
  return {
    '/healthz': { GET: healthz },
    '/readyz': { GET: readyz },
    '/metrics': { GET: metricsPage },
    '/v1/ping': { GET: ping },
    '/v1/whoami': { GET: whoami },
    '/v1/echo': { POST: echo },
  };
}

const ping: Route = {
  ...OPEN,
  name: 'ping',
  conditions: true,
  answer: (ctx) => sendJson(ctx, { message: 'pong' }),
};

const whoami: Route = {
  ...FOR_CALLERS,
  name: 'whoami',
  answer(ctx) {
    const { principal, consumer, keyid, roles } = callerOf(ctx);
    sendJson(ctx, { principal, consumer, keyid, roles });
  },
};

const echo: Route = {
  ...FOR_CALLERS,
  name: 'echo',
  answer(ctx) {
    // The text itself, so that what comes back is what was sent: numbers of any size, repeated names, any depth.
    const sent = readJsonText(ctx.state.body);
    sendText(ctx, `{"consumer":${JSON.stringify(callerOf(ctx).consumer)},"echo":${sent}}`);
  },
};

function answerReadiness(ctx: Context, checks: Readonly<Record<string, string | undefined>>): void {
  const ready = Object.values(checks).every((reason) => reason === undefined);
  ctx.status = ready ? 200 : 503;
  const status = ready ? 'ready' : 'not ready';
  if (!ctx.state.local) {
    sendJson(ctx, { status });
    return;
  }
  const details = Object.fromEntries(Object.entries(checks).map(([name, reason]) => [name, reason ?? 'ok']));
  sendJson(ctx, { status, checks: details });
}

export function sendJson(ctx: Context, value: unknown): void {
  sendText(ctx, JSON.stringify(value));
}

function sendText(ctx: Context, json: string): void {
  ctx.set('Content-Type', 'application/json; charset=utf-8');
  ctx.body = json;
}
