/**
 * The gateway's own routes by path and method, and behind them the route table. Fixed paths and upstreams are kept
 * off @koa/router on purpose: this lookup is on the path of every call. Only the management API goes through it.
 * @module
 */
import { CountersignError } from '../../errors.ts';
import type { Route } from '../call.ts';
import { type PatternRoute, PatternRoutes } from './pattern-routes.ts';

/** The methods of one path. */
export type Methods = Readonly<Record<string, Route>>;
export type OwnRoutes = Readonly<Record<string, Methods>>;

/** Finds the route of a path that isn't the gateway's own. */
export type UpstreamLookup = (path: string) => Route | undefined;

export interface FoundRoute {
  readonly route: Route;
  /** What stands in the variable parts of its path, decoded. */
  readonly params: Readonly<Record<string, string>>;
}

export interface RouteGroups {
  readonly own: OwnRoutes;
  /** Paths of them that are there for callers on the same machine alone; to others they don't exist. */
  readonly local: ReadonlySet<string>;
  readonly management: readonly PatternRoute[];
  /** Endpoints of a host program, at any path; none by default. */
  readonly host?: readonly PatternRoute[];
  readonly upstream: UpstreamLookup;
}

const MANAGEMENT = '/v1/';
const NO_PARAMS: FoundRoute['params'] = {};

export class Routes {
  private readonly own: ReadonlyMap<string, Methods>;
  private readonly local: ReadonlySet<string>;
  private readonly management: PatternRoutes;
  private readonly host: PatternRoutes | undefined;
  private readonly upstream: UpstreamLookup;
  /** Every route in code, with its path. */
  readonly inCode: readonly PatternRoute[];

  constructor({ own, local, management, host = [], upstream }: RouteGroups) {
    this.inCode = [...listed(own), ...management, ...host];
    for (const { method, path, route } of this.inCode) checkRoute(`${method} ${path}`, route);
    this.own = new Map(Object.entries(own));
    this.local = local;
    this.management = new PatternRoutes(management);
    this.host = host.length > 0 ? new PatternRoutes(host) : undefined;
    this.upstream = upstream;
  }

  /** Always a route: where there is none, one that answers 404 or 405. */
  find(method: string, path: string, isLocal: boolean): FoundRoute {
    const methods = this.own.get(path);
    if (methods && (isLocal || !this.local.has(path))) {
      const route = methods[method === 'HEAD' ? 'GET' : method];
      return { route: route ?? methodNotAllowed(allowedOf(methods)), params: NO_PARAMS };
    }
    const managed =
      (path.startsWith(MANAGEMENT) ? this.management.match(method, path) : undefined) ??
      this.host?.match(method, path);
    if (managed) {
      return { route: managed.route ?? methodNotAllowed(managed.allowed), params: managed.params };
    }
    return { route: this.upstream(path) ?? NOT_FOUND, params: NO_PARAMS };
  }
}

function* listed(own: OwnRoutes): Iterable<PatternRoute> {
  for (const [path, methods] of Object.entries(own)) {
    for (const [method, route] of Object.entries(methods)) {
      yield { method: method as PatternRoute['method'], path, route };
    }
  }
}

/** A route in code that doesn't say what it demands and takes stops the start-up with its name. */
function checkRoute(place: string, route: Route): void {
  for (const key of ['name', 'credential', 'role', 'idempotency'] as const) {
    if (!route[key]) throw new Error(`the route ${route.name || place} declares no ${key}`);
  }
  // Null is a declaration: it takes nothing, or passes on what it takes.
  if (route.schema === undefined) throw new Error(`the route ${route.name} declares no schema`);
}

function allowedOf(methods: Methods): string[] {
  return Object.keys(methods).flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
}

const UNROUTED = {
  unrouted: true,
  credential: 'none',
  role: 'any',
  idempotency: 'upstream',
  schema: null,
  conditions: false,
  encodedSlash: true,
} as const;

const NOT_FOUND: Route = {
  ...UNROUTED,
  name: 'not-found',
  answer() {
    throw new CountersignError(
      'not-found',
      'Nothing is served at this path; check its spelling and its case.',
    );
  },
};

function methodNotAllowed(methods: readonly string[]): Route {
  const allowed = [...new Set(methods)].sort().join(', ');
  return {
    ...UNROUTED,
    name: 'method-not-allowed',
    answer() {
      throw new CountersignError('method-not-allowed', `This path answers ${allowed}.`, {
        headers: { Allow: allowed },
      });
    },
  };
}
