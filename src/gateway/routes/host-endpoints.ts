/**
 * Endpoints that a program adds which runs the gateway as a library.
 * @module
 */
import { isReservedPath } from '../../config/config.ts';
import { CountersignError } from '../../errors.ts';
import type { CredentialKind, RouteDescription, RouteSchema } from '../call.ts';
import { type Endpoint, type EndpointParts, endpointRoute } from './endpoint-route.ts';
import type { PatternRoute } from './pattern-routes.ts';

/** An endpoint and its place. */
export interface HostEndpoint {
  readonly method: PatternRoute['method'];
  /** With variable parts in braces, one segment each: `/counters/{name}`. */
  readonly path: string;
  readonly endpoint: Endpoint<unknown, unknown, unknown, string>;
  /** Who is let in; services alone where it isn't said. People's calls need an Idempotency-Key. */
  readonly credential?: readonly CredentialKind[];
  /** For the document of the API. */
  readonly schema?: RouteSchema;
  /** For the document of the API. */
  readonly description?: RouteDescription;
}

export function hostRoutes(table: readonly HostEndpoint[], parts: EndpointParts): readonly PatternRoute[] {
  return table.map(({ method, path, endpoint, credential, schema = null, description }) => {
    const told = { schema, description: description ?? plainDescription(endpoint.name) };
    const place = { ...told, ...(credential && { credential }) };
    return { method, path, route: endpointRoute(endpoint, place, parts) };
  });
}

function plainDescription(name: string): RouteDescription {
  return { summary: name, answers: { 200: { description: 'What the endpoint answers.' } } };
}

const SEGMENTS = /^(?:\/(?:[A-Za-z0-9._~-]+|\{\w+\}))+$/;

/**
 * Refuses endpoints whose path could also be another's: the start stops with their names.
 * @param own what the gateway answers itself.
 * @param upstreams the paths of the route table; an endpoint may lie under one, and goes before it.
 * @throws config-invalid
 */
export function checkHostPaths(
  host: readonly PatternRoute[],
  own: readonly PatternRoute[],
  upstreams: readonly { readonly path: string }[],
): void {
  for (const { method, path, route } of host) {
    const refuse = (why: string): never => {
      throw new CountersignError('config-invalid', `The endpoint ${route.name} (${method} ${path}) ${why}.`);
    };
    if (!SEGMENTS.test(path)) refuse('has a path that is none; write such as /counters/{name}');
    const met = own.find((each) => overlap(each.path, path));
    if (met) refuse(`lies at ${met.path}, which is the gateway's own (${met.route.name})`);
    if (isReservedPath(path) && !path.startsWith('/v1/')) refuse("lies where the gateway's own pages are");
    if (upstreams.some((each) => each.path === path)) refuse('has the path of a route to an upstream');
  }
  host.forEach((one, i) => {
    const other = host.slice(0, i).find((each) => each.method === one.method && overlap(each.path, one.path));
    if (!other) return;
    throw new CountersignError(
      'config-invalid',
      `The endpoints ${other.route.name} and ${one.route.name} could both answer ${one.method} ${one.path}.`,
    );
  });
}

/** Whether there is a path that both mean. */
function overlap(one: string, other: string): boolean {
  const [parts, others] = [one.split('/'), other.split('/')];
  return (
    parts.length === others.length &&
    parts.every((part, i) => part === others[i] || isVariable(part) || isVariable(others[i] as string))
  );
}

const isVariable = (segment: string) => segment.startsWith('{');
