/**
 * The gateway's own endpoints: for probes, for whoever watches it, and for callers who try it out.
 * @module
 */
import { z } from 'zod';
import type { PublicDemoKey } from '../../consumers/public-demo.ts';
import { CountersignError } from '../../errors.ts';
import { ANYONE, type Context, callerOf, type Route, SIGNED } from '../call.ts';
import { readJsonText } from '../json-body.ts';
import type { Metrics } from '../metrics.ts';
import type { OwnRoutes } from './routes.ts';
import { trustBundleRoute } from './trust-bundle.ts';

/** The checks by name; the gateway is ready where none holds a reason. */
export type Readiness = () => Readonly<Record<string, string | undefined>>;

export interface ApiPages {
  json(): string;
  page(): { readonly html: string; readonly contentSecurityPolicy: string };
}

export interface OwnRouteParts {
  readonly readiness: Readiness;
  readonly metrics: Metrics;
  /** The document of the API, as JSON and as a page. */
  readonly document: ApiPages;
  /** The public demo key, where there is one at this moment; left out where the gateway has none. */
  readonly demoKey?: () => Promise<PublicDemoKey | undefined>;
  /** The trust bundle as the issuer made it; left out where no TLS is served. */
  readonly trustBundle?: () => string | undefined;
}

/** Answered whatever the Host. */
export const PROBES: ReadonlySet<string> = new Set(['/healthz', '/readyz']);
/** There for callers on the same machine, and on the admin port. */
export const LOCAL_PATHS: ReadonlySet<string> = new Set(['/metrics']);

const OPEN = {
  credential: 'none',
  role: 'any',
  idempotency: 'none',
  schema: null,
  conditions: false,
  encodedSlash: false,
} as const;
const FOR_CALLERS = { ...OPEN, credential: SIGNED, conditions: true } as const;

export function ownRoutes({ readiness, metrics, document, demoKey, trustBundle }: OwnRouteParts): OwnRoutes {
  const healthz: Route = {
    ...OPEN,
    name: 'healthz',
    probe: true,
    description: {
      summary: 'Whether the process is alive',
      answers: { 200: { description: 'It is.', schema: z.strictObject({ status: z.literal('ok') }) } },
    },
    answer: (ctx) => sendJson(ctx, { status: 'ok' }),
  };
  const readyz: Route = {
    ...OPEN,
    name: 'readyz',
    probe: true,
    description: {
      summary: 'Whether the gateway can serve',
      details: 'On the same machine and the admin port with each check by name.',
      answers: {
        200: { description: 'It can.', schema: readinessAnswer },
        503: { description: "It can't.", schema: readinessAnswer },
      },
    },
    answer: (ctx) => answerReadiness(ctx, readiness()),
  };
  const metricsPage: Route = {
    ...OPEN,
    name: 'metrics',
    description: {
      summary: 'Metrics in the form of Prometheus',
      details: 'On the same machine and the admin port; to others it is not there.',
      answers: { 200: { description: 'As text.', contentType: 'text/plain' } },
    },
    async answer(ctx) {
      ctx.set('Content-Type', metrics.contentType);
      ctx.body = await metrics.text();
    },
  };
  return {
    '/healthz': { GET: healthz },
    '/readyz': { GET: readyz },
    '/metrics': { GET: metricsPage },
    '/openapi.json': { GET: documentRoute(document) },
    '/docs': { GET: pageRoute(document) },
    '/v1/ping': { GET: ping },
    '/v1/whoami': { GET: whoami },
    '/v1/echo': { POST: echo },
    ...(demoKey && { '/v1/demo-key': { GET: demoKeyRoute(demoKey) } }),
    ...(trustBundle && { '/v1/trust-bundle': { GET: trustBundleRoute(trustBundle) } }),
  };
}

const readinessAnswer = z.strictObject({
  status: z.enum(['ready', 'not ready']),
  checks: z.record(z.string(), z.string()).optional(),
});

const ping: Route = {
  ...OPEN,
  name: 'ping',
  conditions: true,
  description: {
    summary: 'Try the connection out',
    answers: { 200: { description: 'It holds.', schema: z.strictObject({ message: z.literal('pong') }) } },
  },
  answer: (ctx) => sendJson(ctx, { message: 'pong' }),
};

const whoami: Route = {
  ...FOR_CALLERS,
  credential: ANYONE,
  name: 'whoami',
  description: {
    summary: 'Who the gateway takes the caller for',
    answers: {
      200: {
        description: 'The caller, with the roles of this call.',
        schema: z.strictObject({
          principal: z.string(),
          account: z.string().optional(),
          consumer: z.string().optional(),
          keyid: z.string().optional(),
          roles: z.array(z.string()),
          csrf: z
            .string()
            .optional()
            .meta({ description: 'Of a session: what its page sends with changes.' }),
        }),
      },
    },
  },
  answer(ctx) {
    const { principal, account, consumer, keyid, roles } = callerOf(ctx);
    // A page that was loaded anew has lost what the login answered; no other origin can read this.
    sendJson(ctx, { principal, account, consumer, keyid, roles, csrf: ctx.state.person?.csrf });
  },
};

const echo: Route = {
  ...FOR_CALLERS,
  name: 'echo',
  changesNothing: true,
  schema: { body: z.unknown().meta({ description: 'Any JSON.' }) },
  description: {
    summary: 'Get back the JSON that was sent',
    answers: {
      200: {
        description: 'What was sent, and by whom.',
        schema: z.strictObject({ consumer: z.string().optional(), echo: z.unknown() }),
      },
    },
  },
  answer(ctx) {
    // The text itself, so that what comes back is what was sent: numbers of any size, repeated names, any depth.
    const sent = readJsonText(ctx.state.body);
    sendText(ctx, `{"consumer":${JSON.stringify(callerOf(ctx).consumer)},"echo":${sent}}`);
  },
};

/** Not signed, since who asks has no key yet: TLS vouches for it. */
function demoKeyRoute(demoKey: NonNullable<OwnRouteParts['demoKey']>): Route {
  return {
    ...OPEN,
    name: 'demo-key',
    conditions: true,
    description: {
      summary: 'Fetch the public demo key',
      details: 'It reads alone, and is limited by the hour and the day.',
      answers: {
        200: {
          description: 'The credentials, which anybody may have.',
          schema: z.strictObject({ keyid: z.string(), secret: z.string() }),
        },
      },
    },
    async answer(ctx) {
      const key = await demoKey();
      if (!key)
        throw new CountersignError('not-found', 'The public demo is closed; ask an operator for a key.');
      sendJson(ctx, { keyid: key.keyid, secret: key.secret });
    },
  };
}

function documentRoute(document: ApiPages): Route {
  return {
    ...OPEN,
    name: 'openapi',
    description: {
      summary: 'This document',
      answers: { 200: { description: 'OpenAPI 3.1.', schema: z.looseObject({ openapi: z.string() }) } },
    },
    answer: (ctx) => sendText(ctx, document.json()),
  };
}

function pageRoute(document: ApiPages): Route {
  return {
    ...OPEN,
    name: 'docs',
    description: {
      summary: 'This document, to be read by people',
      answers: { 200: { description: 'A page without scripts.', contentType: 'text/html' } },
    },
    answer(ctx) {
      const { html, contentSecurityPolicy } = document.page();
      ctx.set('Content-Type', 'text/html; charset=utf-8');
      ctx.set('Content-Security-Policy', contentSecurityPolicy);
      ctx.set('X-Content-Type-Options', 'nosniff');
      ctx.set('Referrer-Policy', 'no-referrer');
      ctx.body = html;
    },
  };
}

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
