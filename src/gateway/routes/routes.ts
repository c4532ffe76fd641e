/**
 * The gateway's own routes by path and method, and behind them the route table. Kept off @koa/router on purpose:
 * this lookup is on the path of every call.
 * @module
 */
import { CountersignError } from '../../errors.ts';
import type { Route } from '../call.ts';

/** The methods of one path. */
export type Methods = Readonly<Record<string, Route>>;
export type OwnRoutes = Readonly<Record<string, Methods>>;

/** Finds the route of a path that isn't the gateway's own. */
export type UpstreamLookup = (path: string) => Route | undefined;

export class Routes {
  private readonly own: ReadonlyMap<string, Methods>;
  private readonly local: ReadonlySet<string>;
  private readonly upstream: UpstreamLookup;

  /** @param local paths that are there for callers on the same machine alone; to others they don't exist. */
  constructor(own: OwnRoutes, local: ReadonlySet<string>, upstream: UpstreamLookup) {
    for (const [path, methods] of Object.entries(own)) {
      for (const route of Object.values(methods)) checkRoute(path, route);
    }
    this.own = new Map(Object.entries(own));
    this.local = local;
    this.upstream = upstream;
  }

  /** Always a route: where there is none, one that answers 404 or 405. */
  find(method: string, path: string, isLocal: boolean): Route {
    const methods = this.own.get(path);
    if (!methods || (!isLocal && this.local.has(path))) return this.upstream(path) ?? NOT_FOUND;
    return methods[method === 'HEAD' ? 'GET' : method] ?? methodNotAllowed(methods);
  }
}

/** A route in code that doesn't say what it demands stops the start-up with its name. */
function checkRoute(path: string, route: Route): void {
  for (const key of ['name', 'credential', 'role', 'idempotency'] as const) {
    if (!route[key]) throw new Error(`the route ${route.name || path} declares no ${key}`);
  }
}

const UNROUTED = {
  credential: 'none',
  role: 'any',
  idempotency: 'upstream',
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

function methodNotAllowed(methods: Methods): Route {
  const allowed = Object.keys(methods).flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
  return {
    ...UNROUTED,
    name: 'method-not-allowed',
    answer() {
      throw new CountersignError('method-not-allowed', `This path answers ${allowed.join(', ')}.`, {
        headers: { Allow: allowed.join(', ') },
      });
    },
  };
}
