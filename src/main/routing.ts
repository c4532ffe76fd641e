/**
 * Every route, joined to what answers it: the gateway's own, people's, the host's, and those to upstreams.
 * @module
 */
import type { Config } from '../config/config.ts';
import type { PublicDemoParts } from '../consumers/public-demo.ts';
import { currentDemoKey } from '../gateway/demo-keys.ts';
import { checkHostPaths, type HostEndpoint, hostRoutes } from '../gateway/routes/host-endpoints.ts';
import { apiPages } from '../gateway/routes/management/docs.ts';
import { apiDocument } from '../gateway/routes/management/openapi.ts';
import { managementRoutes } from '../gateway/routes/management/table.ts';
import { operationRoute } from '../gateway/routes/operations.ts';
import { LOCAL_PATHS, ownRoutes } from '../gateway/routes/own.ts';
import { accountRoutes } from '../gateway/routes/people/account-table.ts';
import { peopleRoutes, wellKnownRoutes } from '../gateway/routes/people/table.ts';
import { Routes } from '../gateway/routes/routes.ts';
import { upstreamLookup } from '../gateway/routes/upstream.ts';
import type { GatewayCertificate } from '../gateway/tls/gateway-certificate.ts';
import type { Keeping } from './keeping.ts';
import type { RoutesOf, Settings } from './settings.ts';
import type { Start } from './start.ts';
import type { Work } from './work.ts';

export interface RoutingParts extends Start {
  readonly certificate: GatewayCertificate | undefined;
  readonly keeping: Keeping;
  readonly settings: Settings;
  readonly work: Work;
  readonly demo: PublicDemoParts;
  readonly endpoints: readonly HostEndpoint[];
}

/** What makes the routes of a configuration: throws where one of the host's endpoints is in the way of another. */
export function routing(parts: RoutingParts): RoutesOf {
  const { config, clock, certificate, keeping, settings, work, demo, endpoints } = parts;
  const { store, keys, metrics } = keeping;
  const { shared, people, accounts, operations, upstreams } = work;
  const { commitGroup, done } = store;
  const inCode = () => settings.routes.inCode;
  const own = {
    ...ownRoutes({
      readiness: () => ({ store: failureOf(() => store.ping()) }),
      metrics,
      document: apiPages(() => apiDocument(inCode())),
      ...(certificate && { trustBundle: () => certificate.trustBundle() }),
      ...(config.publicDemo && { demoKey: () => currentDemoKey(store, demo, clock) }),
    }),
    ...wellKnownRoutes(people),
  };
  const management = [
    ...managementRoutes(shared, inCode),
    ...peopleRoutes(people),
    ...accountRoutes(accounts.parts),
    operationRoute({ clock, operations, done }),
  ];
  const host = hostRoutes(endpoints, shared);
  return function routesOf({ routes: table }: Config): Routes {
    const upstream = upstreamLookup(table, { upstreams, operations, commitGroup, keys, clock });
    const ours = { own, local: LOCAL_PATHS, management, upstream };
    checkHostPaths(host, new Routes(ours).inCode, table);
    return new Routes({ ...ours, host });
  };
}

function failureOf(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
