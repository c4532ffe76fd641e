/**
 * Who could call what: every route with the role that it asks for, and the consumers that have it now.
 * @module
 */
import { systemClock } from '../clock.ts';
import type { UpstreamRoute } from '../config/config.ts';
import { type ConsumerReader, effectiveRoles } from '../consumers/consumer.ts';
import { takes } from '../gateway/call.ts';
import { isKeptFromDemo } from '../gateway/middleware/authorize-call.ts';
import { managementRoutes } from '../gateway/routes/management/table.ts';
import { operationRoute } from '../gateway/routes/operations.ts';
import { ownRoutes } from '../gateway/routes/own.ts';
import type { PatternRoute } from '../gateway/routes/pattern-routes.ts';
import { accountRoutes } from '../gateway/routes/people/account-table.ts';
import { peopleRoutes, wellKnownRoutes } from '../gateway/routes/people/table.ts';
import { Routes } from '../gateway/routes/routes.ts';
import { DEMO_ROLE } from '../security/demo-role.ts';
import { ANY_ROLE, grants } from '../security/roles.ts';
import { type CommonOptions, print, printJson, printTable } from './command.ts';

export interface MatrixRow {
  /** `*` where every method goes to the upstream. */
  readonly method: string;
  readonly path: string;
  /** Where it goes; null for the gateway's own. */
  readonly upstream: string | null;
  readonly credential: string;
  readonly role: string;
  readonly idempotency: string;
  /** By name, none where only people call; null where nobody needs a credential. */
  readonly consumers: readonly string[] | null;
}

export interface RouteMatrix {
  readonly routes: readonly MatrixRow[];
  /** Held by a consumer, or listed under `roles:`, and asked for by no route. */
  readonly rolesWithoutRoute: readonly string[];
  /** Asked for by a route, and held by nobody who can call now. */
  readonly rolesWithoutConsumer: readonly string[];
}

/** What a consumer can do at this moment: the roles of each of its keys that are good now. */
export interface Caller {
  readonly name: string;
  /** One list of roles a key. */
  readonly keys: readonly (readonly string[])[];
}

/** @param now epoch seconds. */
export function callersOf(reader: Pick<ConsumerReader, 'list' | 'keysOf'>, now: number): Caller[] {
  return reader
    .list()
    .filter(({ disabledAt }) => disabledAt === undefined)
    .map(({ name, roles }) => ({
      name,
      keys: reader
        .keysOf(name)
        .filter((key) => key.revokedAt === undefined && key.notBefore <= now && now < key.notAfter)
        .map((key) => effectiveRoles(roles, key)),
    }));
}

/** The routes that the gateway answers itself. They are listed here, never called, so their parts may be missing. */
export function routesInCode({ publicDemo }: { readonly publicDemo: boolean }): readonly PatternRoute[] {
  const parts = { clock: systemClock, ...(publicDemo && { demoKey: () => undefined }) } as never;
  const own = { ...ownRoutes(parts), ...wellKnownRoutes(parts) };
  const management = [
    ...managementRoutes(parts, () => []),
    ...peopleRoutes(parts),
    ...accountRoutes(parts),
    operationRoute(parts),
  ];
  return new Routes({ own, local: new Set(), management, upstream: () => undefined }).inCode;
}

export function routeMatrix(
  inCode: readonly PatternRoute[],
  table: readonly UpstreamRoute[],
  callers: readonly Caller[],
  listed: readonly string[] = [],
): RouteMatrix {
  const named = (allows: (roles: readonly string[]) => boolean) =>
    callers.filter(({ keys }) => keys.some(allows)).map(({ name }) => name);
  const own = inCode.map(({ method, path, route }): MatrixRow => {
    const { credential, role, idempotency } = route;
    const keptFromDemo = isKeptFromDemo(route);
    const isOpen = credential === 'none';
    const consumers = takes(route, 'signature')
      ? named((roles) => permits(roles, role) && !(keptFromDemo && isDemo(roles)))
      : [];
    return {
      method,
      path,
      upstream: null,
      credential: isOpen ? credential : credential.join(', '),
      role,
      idempotency,
      consumers: isOpen ? null : consumers,
    };
  });
  const forwarded = table.map(({ path, upstream, role, idempotency }): MatrixRow => {
    const consumers = named((roles) => permits(roles, role) && !(idempotency === 'key' && isDemo(roles)));
    return { method: '*', path, upstream, credential: 'signature', role, idempotency, consumers };
  });
  const routes = [...own, ...forwarded];
  const asked = unique(routes.map(({ role }) => role).filter((role) => role !== ANY_ROLE));
  const held = unique(callers.flatMap(({ keys }) => keys.flat()));
  return {
    routes,
    rolesWithoutRoute: unique([...held, ...listed]).filter(
      (role) => !asked.some((each) => grants(role, each)),
    ),
    rolesWithoutConsumer: asked.filter((role) => !permits(held, role)),
  };
}

const permits = (roles: readonly string[], role: string) =>
  role === ANY_ROLE || roles.some((held) => grants(held, role));
const isDemo = (roles: readonly string[]) =>
  roles.length > 0 && roles.every((role) => grants(DEMO_ROLE, role));
const unique = (roles: readonly string[]) => [...new Set(roles)].sort();

export function printMatrix(matrix: RouteMatrix, { json }: CommonOptions): void {
  if (json) {
    printJson(matrix);
    return;
  }
  const { routes, rolesWithoutRoute, rolesWithoutConsumer } = matrix;
  printTable(
    ['METHOD', 'PATH', 'ROLE', 'CONSUMERS', 'UPSTREAM'],
    routes.map(({ method, path, role, consumers, upstream }) => [
      method,
      path,
      consumers === null ? '' : role,
      consumers === null ? '(anybody)' : consumers.join(', ') || '(nobody)',
      upstream ?? '',
    ]),
  );
  const listed = (roles: readonly string[]) => roles.join(', ') || '(none)';
  print(`\nRoles that no route asks for: ${listed(rolesWithoutRoute)}`);
  print(`Roles that nobody holds: ${listed(rolesWithoutConsumer)}`);
}
