/**
 * The routes for people: every one of them below `/v1/`, in one array.
 * @module
 */
import type { PatternRoute } from '../pattern-routes.ts';
import type { OwnRoutes } from '../routes.ts';
import { logIn } from './login.ts';
import type { PeopleParts } from './parts.ts';
import { confirmSecondFactor, enrolSecondFactor, handOverSecondFactor } from './second-factor.ts';
import { keySet, logOut, refreshToken } from './tokens.ts';

export function peopleRoutes(parts: PeopleParts): readonly PatternRoute[] {
  return [
    { method: 'POST', path: '/v1/login', route: logIn(parts) },
    { method: 'POST', path: '/v1/token/refresh', route: refreshToken(parts) },
    { method: 'POST', path: '/v1/logout', route: logOut(parts) },
    { method: 'POST', path: '/v1/account/totp', route: enrolSecondFactor(parts) },
    { method: 'POST', path: '/v1/account/totp/confirm', route: confirmSecondFactor(parts) },
    { method: 'POST', path: '/v1/accounts/{id}/second-factor', route: handOverSecondFactor(parts) },
  ];
}

/** Where others look for it (RFC 8615). */
export function wellKnownRoutes(parts: PeopleParts): OwnRoutes {
  return { '/.well-known/jwks.json': { GET: keySet(parts) } };
}
