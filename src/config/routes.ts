/**
 * The route table's entries: which path prefix goes to which upstream, and who may call it.
 * @module
 */
import { z } from 'zod';
import { CountersignError } from '../errors.ts';
import { checkTarget } from '../signatures/target.ts';
import { closest } from './faults.ts';
import { originText, readOrigin } from './origins.ts';
import { flag, group, list, quantity, text } from './setting-types.ts';

export type UpstreamIdempotency = 'none' | 'nonce' | 'key' | 'upstream';

/** What a route makes of callers' certificates. Those of `optional` are asked for, for keys that are bound to one. */
export type ClientCertificateDemand = 'none' | 'optional' | 'required';

export interface UpstreamRoute {
  /** `/orders` stands for itself and everything under `/orders/`, case-sensitively. */
  readonly path: string;
  /** The upstream's origin, such as `http://127.0.0.1:9000`. */
  readonly upstream: string;
  /** The role that a caller needs; `any` means whoever is authenticated. */
  readonly role: string;
  /**
   * `nonce`, `key`: the gateway records each call before it forwards it, and what came of it. `upstream`: an
   * Idempotency-Key is passed on, and is the upstream's promise.
   */
  readonly idempotency: UpstreamIdempotency;
  /** For the whole exchange with the upstream, in milliseconds. */
  readonly timeoutMs: number;
  /** Whether a target under this path may hold `%2F`. */
  readonly encodedSlash: boolean;
  readonly clientCertificate: ClientCertificateDemand;
  /** Names of the cookies that the upstream may set. */
  readonly setCookie: readonly string[];
  /** Sent in place of `sandbox; default-src 'none'`. */
  readonly contentSecurityPolicy: string | undefined;
}

/** The gateway answers these itself, and everything under them. */
const RESERVED = ['/v1', '/healthz', '/readyz', '/metrics', '/openapi.json', '/docs', '/console'];

/** Whether no upstream may ever get this path, not even the one behind a route for `/`. */
export function isReservedPath(path: string): boolean {
  return RESERVED.some(
    (name) => path.startsWith(name) && (path.length === name.length || path[name.length] === '/'),
  );
}

const ROLE = /^[a-z0-9-]+(:[a-z0-9-]+)*$/;
const COOKIE_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const PRINTABLE = /^[\x20-\x7e]+$/;
const DEFAULT_TIMEOUT = 30;

/** A role as accounts, keys and routes name it. `any` is a word of the route table, so it can't be one. */
function readRole(name: string): string {
  if (name.length <= 128 && ROLE.test(name) && name !== 'any') return name;
  throw invalid(
    name === 'any'
      ? 'is no role: in a route it means whoever is authenticated'
      : 'must be a role such as orders or orders:read: lower-case letters, digits and hyphens, with colons between the parts',
  );
}

/** A role under `roles:`. */
export interface ListedRole {
  readonly name: string;
  /** Whether a consumer may have it for the asking; otherwise an operator decides. */
  readonly grantable: boolean;
  /** Whoever holds one of these roles, or more, may have it for the asking as well. */
  readonly grantableTo: readonly string[];
}

const roleName = text('a role, or { name, grantable }', readRole).transform(
  (name): ListedRole => ({ name, grantable: false, grantableTo: [] }),
);
const roleSetting = group('{ name: reports:read, grantable: true }', {
  name: text('a role', readRole),
  grantable: flag().optional(),
  grantableTo: list('roles, such as [developer]', text('a role', readRole)).optional(),
})
  .refine(({ name, grantable }) => !(grantable && isOperators(name)), {
    path: ['grantable'],
    error: "can't be true for what operators do; an operator hands that out",
  })
  .refine(({ name, grantableTo }) => !(grantableTo && isOperators(name)), {
    path: ['grantableTo'],
    error: "can't be set for what operators do; an operator hands that out",
  })
  .transform(
    ({ name, grantable, grantableTo }): ListedRole => ({
      name,
      grantable: grantable ?? false,
      grantableTo: grantableTo ?? [],
    }),
  );

function isOperators(role: string): boolean {
  return /^operator(:|$)/.test(role);
}

export const roleSettings: readonly string[] = ['name', 'grantable', 'grantableTo'];

/** The schema of one entry: written short, or as settings. The faults are those of the form that was chosen. */
const listedRole = z.unknown().transform((value, context): ListedRole => {
  const isSettings = typeof value === 'object' && value !== null && !Array.isArray(value);
  const parsed = (isSettings ? roleSetting : roleName).safeParse(value);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) {
    const { path, message } = issue;
    if (issue.code === 'unrecognized_keys') {
      context.issues.push({
        code: issue.code,
        keys: issue.keys,
        path,
        message,
        input: value as Record<string, unknown>,
      });
    } else context.issues.push({ code: 'custom', path, message, input: value });
  }
  return z.NEVER;
});

/** The schema of `roles:`. */
export const roles = list('roles, such as [orders, reports:read]', listedRole);

/** A role that the `roles:` section, if there is one, grants: `orders` grants `orders:read`. */
function readListedRole(name: string, listed: readonly string[] | undefined): string {
  const role = readRole(name);
  if (!listed || listed.some((each) => role === each || role.startsWith(`${each}:`))) return role;
  const meant = closest(role, listed);
  throw invalid(`is granted by nothing under roles:; ${meant ? `did you mean ${meant}?` : 'add it there'}`);
}

function readRoutePath(path: string): string {
  if (!path.startsWith('/')) throw invalid('must begin with a slash, such as /orders');
  if (path.includes('?')) throw invalid('must be a path alone; leave out the query');
  if (path !== '/' && path.endsWith('/')) {
    throw invalid(
      `write it without the slash at the end; ${path.replace(/\/+$/, '') || '/'} covers what is under it`,
    );
  }
  try {
    checkTarget(path);
  } catch (error) {
    throw invalid(error instanceof CountersignError ? error.message : 'is no path');
  }
  // Raw targets are matched, so a path with two spellings would guard only one of them.
  if (/[%;]/.test(path)) throw invalid('must do without % and ;, which upstreams read in different ways');
  if (isReservedPath(path)) throw invalid('belongs to the gateway itself; choose another path');
  return path;
}

function readCookieName(name: string): string {
  if (!COOKIE_NAME.test(name) || name === '*')
    throw invalid("must be one cookie's name; there are no wildcards");
  if (/^(__(host|secure)-)?countersign/i.test(name)) {
    throw invalid("belongs to the gateway's own console; let the upstream use another name");
  }
  return name;
}

function readPolicy(policy: string): string {
  if (PRINTABLE.test(policy.trim())) return policy.trim();
  throw invalid("must be one line of printable ASCII, such as default-src 'self'");
}

const IDEMPOTENCY_CLASSES: readonly UpstreamIdempotency[] = ['none', 'nonce', 'key', 'upstream'];

function readIdempotency(name: string): UpstreamIdempotency {
  const found = IDEMPOTENCY_CLASSES.find((each) => each === name);
  if (found) return found;
  throw invalid('must be none, nonce, key or upstream');
}

const CERTIFICATE_DEMANDS: readonly ClientCertificateDemand[] = ['none', 'optional', 'required'];

function readClientCertificate(name: string): ClientCertificateDemand {
  const found = CERTIFICATE_DEMANDS.find((each) => each === name);
  if (found) return found;
  throw invalid('must be none, optional or required');
}

/** The schema of one route. @param listed the `roles:` section, or undefined where there is none and every role goes. */
function route(listed: readonly string[] | undefined) {
  return group('{ path, upstream, role }', {
    path: text('a path such as /orders', readRoutePath),
    upstream: text('the origin of the upstream, such as http://127.0.0.1:9000', (value) =>
      originText(readOrigin(value)),
    ),
    role: text('the role that a caller needs, or any for whoever is authenticated', (value) =>
      value === 'any' ? value : readListedRole(value, listed),
    ),
    idempotency: text(IDEMPOTENCY_CLASSES.join(', '), readIdempotency).optional(),
    timeout: quantity({ least: 0.001, most: 3600, what: 'a number of seconds', whole: false }).optional(),
    encodedSlash: flag().optional(),
    clientCertificate: text(CERTIFICATE_DEMANDS.join(', '), readClientCertificate).optional(),
    setCookie: list('cookie names, such as [theme]', text("a cookie's name", readCookieName)).optional(),
    contentSecurityPolicy: text('a policy', readPolicy).optional(),
  });
}

export const routeSettings = Object.keys(route(undefined).shape);

/** The schema of `routes:`. */
export function routes(listed: readonly string[] | undefined) {
  const entry = route(listed).transform(
    ({ path, upstream, role, timeout, ...optional }): UpstreamRoute => ({
      path,
      upstream,
      role,
      idempotency: optional.idempotency ?? 'none',
      timeoutMs: Math.max(1, Math.round((timeout ?? DEFAULT_TIMEOUT) * 1000)),
      encodedSlash: optional.encodedSlash ?? false,
      clientCertificate: optional.clientCertificate ?? 'none',
      setCookie: optional.setCookie ?? [],
      contentSecurityPolicy: optional.contentSecurityPolicy,
    }),
  );
  return list('routes: [{ path, upstream, role }]', entry);
}

/** Paths that stand more than once, told beside whatever else is wrong with their routes. */
export function* repeatedPaths(
  entries: unknown,
): Iterable<{ readonly index: number; readonly earlier: number }> {
  if (!Array.isArray(entries)) return;
  const seen = new Map<string, number>();
  for (const [index, entry] of entries.entries()) {
    const path: unknown = entry?.path;
    if (typeof path !== 'string') continue;
    const earlier = seen.get(path);
    if (earlier === undefined) seen.set(path, index);
    else yield { index, earlier };
  }
}

function invalid(detail: string): CountersignError {
  return new CountersignError('config-invalid', detail);
}
