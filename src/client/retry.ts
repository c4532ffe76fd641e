/**
 * When a call is made again, and after how long. Each try is signed afresh, with a new nonce; a call that could be
 * done twice by that is never repeated.
 * @module
 */
import type { RequestMessage } from '../signatures/components.ts';
import type { Exchange } from './exchange.ts';

/** RFC 9110 section 9.2.2, but for TRACE, which is never sent. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

/** Whether doing it twice has the effect of doing it once. */
export function mayRepeat({ method, fields }: RequestMessage): boolean {
  return IDEMPOTENT.has(method) || fields.has('idempotency-key');
}

const PASSING = new Set([429, 502, 503, 504]);

/**
 * Whether the same call could be answered otherwise a little later. Only a verified answer counts: acting upon any
 * other would let whoever stands between make us send at will. `idempotency-in-flight` is the answer to a try whose
 * first message is still at work, so that waiting gets its result.
 */
export function isPassing({ verified, error }: Exchange): boolean {
  if (!verified) return false;
  return PASSING.has(verified.status) || String(error?.code) === 'idempotency-in-flight';
}

const BASE_DELAY = 100;
const MOST_DELAY = 5000;
/** The longest that a Node timer can wait; a longer one would end at once. */
const MOST_WAIT = 2 ** 31 - 1;

/**
 * Milliseconds to wait after the nth try: doubling, with full jitter so that clients that failed together don't come
 * back together, and never less than `Retry-After`.
 * @param attempt from 1.
 * @param retryAfter seconds or an HTTP date (RFC 9110 section 10.2.3).
 * @param now milliseconds since the epoch.
 * @param random from 0 to 1.
 */
export function retryDelay(
  attempt: number,
  retryAfter: string | undefined,
  now: number,
  random: number,
): number {
  const backoff = random * Math.min(MOST_DELAY, BASE_DELAY * 2 ** attempt);
  return Math.min(MOST_WAIT, Math.max(backoff, readRetryAfter(retryAfter, now)));
}

function readRetryAfter(value: string | undefined, now: number): number {
  if (value === undefined) return 0;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? 0 : date - now;
}
