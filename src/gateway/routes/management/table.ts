/**
 * The management API: every route of it, in one array.
 *
 * Roles: `operator` opens all of it; `operator:consumers`, `operator:keys`, `operator:grants` open one noun, and with
 * `:read` only its reading; `operator:roles:read` and `operator:usage:read` have nothing to change. What a consumer
 * does for itself asks for no role, and is closed to the demo role; it takes a signature alone, and all else a token
 * or a session too.
 * @module
 */
import { OPERATORS, type Route } from '../../call.ts';
import type { PatternRoute } from '../pattern-routes.ts';
import { addConsumer, changeConsumer, listConsumers, removeConsumer, showConsumer } from './consumers.ts';
import { decideGrant, listGrants, showGrant } from './grants.ts';
import { addKey, listKeys, revokeKey, showKey } from './keys.ts';
import { listOwnKeys, rotateKey, rotateOwnKey } from './own-keys.ts';
import type { ManagementParts } from './parts.ts';
import { askForRole } from './role-request.ts';
import { listRoles } from './roles.ts';
import { listUsage } from './usage.ts';

const CONSUMERS = '/v1/consumers';
const CONSUMER = '/v1/consumers/{name}';
const KEYS = '/v1/consumers/{name}/keys';
const KEY = '/v1/consumers/{name}/keys/{keyid}';

/** @param inCode every route that the gateway answers itself, for the list of roles. */
export function managementRoutes(
  parts: ManagementParts,
  inCode: () => readonly PatternRoute[],
): readonly PatternRoute[] {
  return [
    ...operatorRoutes(parts, inCode).map((entry) => ({ ...entry, route: forOperators(entry.route) })),
    { method: 'GET', path: '/v1/keys', route: listOwnKeys(parts) },
    { method: 'POST', path: '/v1/keys/rotate', route: rotateOwnKey(parts) },
    { method: 'POST', path: '/v1/grants', route: askForRole(parts) },
  ];
}

function operatorRoutes(
  parts: ManagementParts,
  inCode: () => readonly PatternRoute[],
): readonly PatternRoute[] {
  return [
    { method: 'GET', path: CONSUMERS, route: listConsumers(parts) },
    { method: 'POST', path: CONSUMERS, route: addConsumer(parts) },
    { method: 'GET', path: CONSUMER, route: showConsumer(parts) },
    { method: 'PATCH', path: CONSUMER, route: changeConsumer(parts) },
    { method: 'DELETE', path: CONSUMER, route: removeConsumer(parts) },
    { method: 'GET', path: KEYS, route: listKeys(parts) },
    { method: 'POST', path: KEYS, route: addKey(parts) },
    { method: 'GET', path: KEY, route: showKey(parts) },
    { method: 'DELETE', path: KEY, route: revokeKey(parts) },
    { method: 'POST', path: `${KEY}/rotate`, route: rotateKey(parts) },
    { method: 'GET', path: '/v1/grants', route: listGrants(parts) },
    { method: 'GET', path: '/v1/grants/{id}', route: showGrant(parts) },
    { method: 'POST', path: '/v1/grants/{id}/decision', route: decideGrant(parts) },
    { method: 'GET', path: '/v1/roles', route: listRoles(parts, inCode) },
    { method: 'GET', path: '/v1/usage', route: listUsage(parts) },
  ];
}

function forOperators(route: Route): Route {
  return { ...route, credential: OPERATORS, reads: 'people' };
}
