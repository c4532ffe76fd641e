/**
 * The fields `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): lists of strings, each
 * the name of a quota, with its size and window, and with what is left of it and when there is more.
 * @module
 */
import type { Quota, QuotaStanding } from './quotas.ts';

export interface RateLimitFields {
  readonly 'RateLimit-Policy': string;
  readonly RateLimit: string;
}

export function rateLimitFields(standings: readonly QuotaStanding[]): RateLimitFields {
  return {
    'RateLimit-Policy': standings.map(({ quota }) => policyOf(quota)).join(', '),
    RateLimit: standings.map(({ quota, left, reset }) => `"${quota.name}";r=${left};t=${reset}`).join(', '),
  };
}

function policyOf({ name, calls, period }: Quota): string {
  return `"${name}";q=${calls};w=${Math.max(1, Math.ceil(period / 1000))}`;
}
