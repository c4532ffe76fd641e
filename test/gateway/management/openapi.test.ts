/** The document of the API, held against the routes and against what they really answer. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Route } from '../../../src/gateway/call.ts';
import { type ApiDocument, apiDocument } from '../../../src/gateway/routes/management/openapi.ts';
import { Routes } from '../../../src/gateway/routes/routes.ts';
import { faultsOf } from '../api-document.ts';
import { signedRoute } from '../pipeline-under-test.ts';
import { type Api, type Caller, startApi } from './api.ts';

let api: Api;
let operator: Caller;
let document: ApiDocument;

beforeAll(async () => {
  api = await startApi({
    settings: {
      roles: ['orders', { name: 'reports', grantable: true }],
      publicDemo: true,
      accounts: { registration: 'open' },
    },
  });
  operator = await api.register('ops', 'operator');
  document = (await (await fetch(`${api.gateway.url}/openapi.json`)).json()) as ApiDocument;
});
afterAll(() => api.close());

interface Call {
  readonly method: string;
  /** As the document names it. */
  readonly path: string;
  readonly target?: string;
  readonly body?: unknown;
  readonly as?: Caller;
  readonly headers?: readonly (readonly [string, string])[];
}

/** Routes for people: their answers are held against the document wherever a test calls them (people/people-scene.ts). */
const FOR_PEOPLE = /^\/(\.well-known|v1\/(login|logout|token|register|password|invitations|accounts?))(\/|$)/;

describe('/openapi.json', () => {
  it('is OpenAPI 3.1, and says how to sign', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(document.components).toMatchObject({
      securitySchemes: {
        signature: { type: 'apiKey', in: 'header', name: 'Signature' },
        bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
        cookie: { type: 'apiKey', in: 'cookie', name: '__Host-countersign' },
        basic: { type: 'http', scheme: 'basic' },
      },
    });
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const operation of Object.values(methods)) {
        const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
        const told = operation.parameters.filter((each) => each.in === 'path').map(({ name }) => name);
        expect(told).toEqual(names);
        expect(operation.summary.length).toBeGreaterThan(3);
      }
    }
  });

  it('says of each route who is let in, each kind as an alternative', () => {
    const security = (path: string, method: string) => document.paths[path]?.[method]?.security;
    expect(security('/v1/ping', 'get')).toEqual([]);
    expect(security('/v1/echo', 'post')).toEqual([{ signature: [] }]);
    expect(security('/v1/consumers', 'post')).toEqual([{ signature: [] }, { bearer: [] }, { cookie: [] }]);
    expect(security('/v1/whoami', 'get')).toEqual([
      { signature: [] },
      { bearer: [] },
      { cookie: [] },
      { basic: [] },
    ]);
    const named = (path: string, method: string) =>
      document.paths[path]?.[method]?.parameters.map(({ name }) => name);
    expect(named('/v1/consumers', 'post')).toContain('Countersign-Csrf');
    expect(named('/v1/consumers', 'get')).not.toContain('Countersign-Csrf');
    expect(named('/v1/echo', 'post')).not.toContain('Countersign-Csrf');
  });

  it('names each operation once', () => {
    const ids = Object.values(document.paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('has every route that answers, and none that does not', async () => {
    // What isn't there is answered with 404 or 405 whatever the signature, so an unsigned call tells.
    const known = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const answering: string[] = [];
    for (const path of Object.keys(document.paths)) {
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {
        const reply = await fetch(`${api.gateway.url}${path.replace(/\{\w+\}/g, 'x')}`, { method });
        const code = reply.headers.get('countersign-refusal');
        await reply.arrayBuffer();
        if (code !== 'method-not-allowed' && code !== 'not-found') answering.push(`${method} ${path}`);
      }
    }
    expect(answering.sort()).toEqual(known.sort());
  });

  it('has every path that the issue names', () => {
    expect(Object.keys(document.paths)).toEqual(
      expect.arrayContaining([
        '/healthz',
        '/readyz',
        '/metrics',
        '/openapi.json',
        '/docs',
        '/v1/ping',
        '/v1/whoami',
        '/v1/echo',
        '/v1/consumers',
        '/v1/consumers/{name}',
        '/v1/consumers/{name}/keys',
        '/v1/consumers/{name}/keys/{keyid}',
        '/v1/keys',
        '/v1/keys/rotate',
        '/v1/grants',
        '/v1/roles',
        '/v1/usage',
      ]),
    );
  });

  it('is told of every route in code', () => {
    const route = signedRoute(() => {}, { description: { summary: 'Under test', answers: {} } });
    const routes = [
      { method: 'GET', path: '/v1/things/{id}', route },
      { method: 'DELETE', path: '/v1/things/{id}', route },
    ] as const;
    expect(Object.keys(apiDocument(routes).paths['/v1/things/{id}'] ?? {})).toEqual(['get', 'delete']);
  });

  it('is never made of a route that says nothing of itself', () => {
    const routes = [
      { method: 'GET', path: '/v1/silent', route: signedRoute(() => {}, { name: 'silent' }) },
    ] as const;
    expect(() => apiDocument(routes)).toThrow('the route silent has no description');
  });
});

describe('what the routes answer', () => {
  it('is what the document says, of each of them, refusals too', async () => {
    const shop = await api.register('shop', 'orders');
    const clerk = await api.register('clerk', 'orders');
    const added = await operator.post('/v1/consumers', { name: 'made', roles: ['orders'] });
    const keyed = await operator.post('/v1/consumers/made/keys', { label: 'a', allow: ['127.0.0.1'] });
    const asked = await clerk.post('/v1/grants', { role: 'orders:x:y' }).catch(() => undefined);
    expect(asked?.status).toBe(409);
    const waiting = await api.register('waiting');
    const grant = await waiting.post('/v1/grants', { role: 'orders' });
    const one = { name: 'made', keyid: keyed.json.keyid };
    const key = `/v1/consumers/made/keys/${one.keyid}`;
    const etag = (await operator.get('/v1/consumers/made')).headers.get('etag') as string;
    const calls: Call[] = [
      { method: 'GET', path: '/v1/ping' },
      { method: 'GET', path: '/v1/whoami' },
      { method: 'POST', path: '/v1/echo', body: { tea: [2] } },
      { method: 'GET', path: '/openapi.json' },
      { method: 'GET', path: '/v1/consumers' },
      { method: 'GET', path: '/v1/consumers', target: '/v1/consumers?limit=1' },
      { method: 'GET', path: '/v1/consumers', target: '/v1/consumers?limit=x' },
      { method: 'POST', path: '/v1/consumers', body: { name: 'second' } },
      { method: 'POST', path: '/v1/consumers', body: { name: 'Second' } },
      { method: 'POST', path: '/v1/consumers', body: '{' },
      { method: 'POST', path: '/v1/consumers', body: { name: 'third' }, as: shop },
      { method: 'GET', path: '/v1/consumers/{name}', target: '/v1/consumers/made' },
      { method: 'GET', path: '/v1/consumers/{name}', target: '/v1/consumers/nobody' },
      {
        method: 'GET',
        path: '/v1/consumers/{name}',
        target: '/v1/consumers/made',
        headers: [['If-None-Match', etag]],
      },
      {
        method: 'PATCH',
        path: '/v1/consumers/{name}',
        target: '/v1/consumers/made',
        body: { disabled: true },
      },
      { method: 'PATCH', path: '/v1/consumers/{name}', target: '/v1/consumers/made', body: {} },
      { method: 'GET', path: '/v1/consumers/{name}/keys', target: '/v1/consumers/made/keys' },
      { method: 'POST', path: '/v1/consumers/{name}/keys', target: '/v1/consumers/made/keys', body: {} },
      { method: 'GET', path: '/v1/consumers/{name}/keys/{keyid}', target: key },
      { method: 'POST', path: '/v1/consumers/{name}/keys/{keyid}/rotate', target: `${key}/rotate` },
      { method: 'DELETE', path: '/v1/consumers/{name}/keys/{keyid}', target: key },
      { method: 'GET', path: '/v1/keys', as: shop },
      { method: 'POST', path: '/v1/keys/rotate', as: shop, body: { overlap: 60 } },
      { method: 'POST', path: '/v1/keys/rotate', as: shop },
      { method: 'GET', path: '/v1/grants' },
      { method: 'GET', path: '/v1/grants', target: '/v1/grants?status=requested' },
      { method: 'POST', path: '/v1/grants', body: { role: 'reports' }, as: waiting },
      { method: 'GET', path: '/v1/grants/{id}', target: `/v1/grants/${grant.json.id}` },
      {
        method: 'POST',
        path: '/v1/grants/{id}/decision',
        target: `/v1/grants/${grant.json.id}/decision`,
        body: { decision: 'grant' },
      },
      { method: 'GET', path: '/v1/roles' },
      { method: 'GET', path: '/v1/usage' },
      {
        method: 'POST',
        path: '/v1/grants',
        body: { role: 'orders' },
        as: shop,
        headers: [['Idempotency-Key', '"a"']],
      },
      {
        method: 'POST',
        path: '/v1/consumers',
        body: { name: 'kept' },
        headers: [['Idempotency-Key', '"made-under-a-key"']],
      },
      { method: 'GET', path: '/v1/operations/{key}', target: '/v1/operations/made-under-a-key' },
      { method: 'GET', path: '/v1/operations/{key}', target: '/v1/operations/never' },
      { method: 'DELETE', path: '/v1/consumers/{name}', target: '/v1/consumers/made' },
    ];
    const faults: string[] = [];
    const seen = new Set<string>();
    expect(added.status).toBe(201);
    for (const { method, path, target = path, body, as = operator, headers = [] } of calls) {
      const reply = await as.call(method, target, { body, headers });
      const { status, headers: answered, json } = reply;
      const type = answered.get('content-type');
      const fault = faultsOf(document, { method, path, status, type, body: json });
      if (fault) faults.push(fault);
      if (reply.status < 400) seen.add(`${method} ${path}`);
    }
    for (const path of ['/healthz', '/readyz', '/metrics', '/docs', '/v1/demo-key']) {
      const reply = await fetch(`${api.gateway.url}${path}`);
      const type = reply.headers.get('content-type') ?? '';
      const body = type.startsWith('application/json') ? await reply.json() : await reply.text();
      const answered = { method: 'GET', path, status: reply.status, type, body };
      faults.push(...[faultsOf(document, answered)].filter(Boolean));
      if (reply.status < 400) seen.add(`GET ${path}`);
    }
    expect(faults).toEqual([]);
    const known = Object.entries(document.paths).flatMap(([path, methods]) =>
      FOR_PEOPLE.test(path) ? [] : Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(known.filter((each) => !seen.has(each))).toEqual([]);
  });

  it('is found out where it is something else', () => {
    const item = { name: 'a', id: 'b', roles: [], createdAt: 'yesterday', disabledAt: null };
    const shown = { method: 'GET', path: '/v1/consumers/{name}', status: 200, type: 'application/json' };
    expect(faultsOf(document, { ...shown, body: item })).toContain('date-time');
    const extra = { ...item, createdAt: '2026-01-01T00:00:00.000Z', secret: 'x' };
    expect(faultsOf(document, { ...shown, body: extra })).toContain('additional properties');
    expect(faultsOf(document, { ...shown, body: undefined })).toContain('should have content');
  });
});

describe('/docs', () => {
  it('is one page that names every operation, and runs and loads nothing', async () => {
    const reply = await fetch(`${api.gateway.url}/docs`);
    const html = await reply.text();
    expect(reply.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const policy = reply.headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]+'; /);
    expect(policy).not.toContain('script');
    expect(html).not.toMatch(/<script|<link|<img|<iframe|\son\w+=|https?:\/\//i);
    for (const methods of Object.values(document.paths)) {
      for (const { operationId } of Object.values(methods)) expect(html).toContain(`id="${operationId}"`);
    }
  });
});

describe('a route in code stops the start', () => {
  const start = (route: Route) =>
    new Routes({
      own: {},
      local: new Set(),
      management: [{ method: 'GET', path: '/v1/x/{id}', route }],
      upstream: () => undefined,
    });
  const whole = signedRoute(() => {}, { name: 'x.show' });

  it.each(['role', 'idempotency', 'credential', 'schema'] as const)('where it declares no %s', (key) => {
    const { [key]: _left, ...rest } = whole;
    expect(() => start(rest as Route)).toThrow(`the route x.show declares no ${key}`);
  });

  it('where it stands twice', () => {
    const entry = { method: 'GET', path: '/v1/x', route: whole } as const;
    const parts = { own: {}, local: new Set<string>(), upstream: () => undefined };
    expect(() => new Routes({ ...parts, management: [entry, entry] })).toThrow('stands twice');
  });

  it('not where it takes nothing, and says so', () => {
    expect(start({ ...whole, schema: null }).find('GET', '/v1/x/7', true).params).toEqual({ id: '7' });
  });
});
