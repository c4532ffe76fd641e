/**
 * Quotas: how many calls are allowed at once, in an hour, in a day, and what is left of them.
 *
 * Pure, and the port through which uses are counted. rate-limiter-flexible was looked at and left: it reads the
 * time by itself, keeps a table and a transaction of its own beside the turn's one commit, counts what it refuses,
 * and charges several limits one after the other.
 * @module
 */

/** One limit on one counter. */
export interface Quota {
  /** In the RateLimit fields, such as `consumer-hour`. */
  readonly name: string;
  /** What is counted; the same counter in every process on the store. */
  readonly counter: string;
  /** Whole calls. */
  readonly calls: number;
  /** Milliseconds: of a window from its first call to its end; of a bucket from empty to full. */
  readonly period: number;
  /** `window`: full again at its end. `bucket`: refilled evenly. */
  readonly refill: 'window' | 'bucket';
}

/** What a counter holds. */
export interface QuotaUse {
  /** Milliseconds since the epoch: when the window began, or up to when the bucket was refilled. */
  readonly since: number;
  /** Calls; of a bucket perhaps a fraction. */
  readonly used: number;
}

export interface QuotaStanding {
  readonly quota: Quota;
  /** Whole calls that are left. */
  readonly left: number;
  /** Whole seconds until there is one more where none is left, and otherwise until all are there again. */
  readonly reset: number;
}

export interface QuotaVerdict {
  /** Whole seconds after which a call is allowed again; 0 where this one is. */
  readonly wait: number;
  readonly standings: readonly QuotaStanding[];
}

/** Inside a unit of work. What was charged stays, like the nonce, also where the work fails. */
export interface QuotaCharges {
  /** Charges every quota by one call, or, where one of them has no room, none. */
  charge(quotas: readonly Quota[]): QuotaVerdict | Promise<QuotaVerdict>;
  /** Forgets the counters of a subject: what stands behind the first space of their names, or the beginning of it. */
  forget(subject: string): void | Promise<void>;
}

/**
 * Counts exactly, for any number of processes: no more calls are let through than the quota allows, and what was let
 * through is counted before it is answered. A kill forgets nothing; a power loss may forget the last moments' calls.
 */
export interface QuotaStore {
  /** As `QuotaCharges.charge`, by itself. Rejects with `store-unavailable`: nothing is served then. */
  charge(quotas: readonly Quota[]): Promise<QuotaVerdict>;
  /** Looks without charging: `wait` is that of the next call. */
  look(quotas: readonly Quota[]): QuotaVerdict | Promise<QuotaVerdict>;
}

/** Of a call: fractions of a bucket are sums of floating-point numbers. */
const TOLERANCE = 1e-6;

/** What the counter holds at this moment. @param now milliseconds since the epoch. */
export function usedBy(quota: Quota, use: QuotaUse | undefined, now: number): QuotaUse {
  if (!use) return { since: now, used: 0 };
  const { since, used } = use;
  const { period, calls, refill } = quota;
  if (refill === 'window') {
    // A clock that steps back forgives nothing, and the window ends a whole period later at most.
    return now >= since + period ? { since: now, used: 0 } : { since: Math.min(since, now), used };
  }
  const refilled = (Math.max(0, now - since) * calls) / period;
  // What a clock that steps back by a little had refilled is not refilled again.
  return { since: Math.min(Math.max(since, now), now + period), used: Math.max(0, used - refilled) };
}

/** The same with one call more; undefined where there is no room for it. */
export function withOneMore({ calls }: Quota, { since, used }: QuotaUse): QuotaUse | undefined {
  return used + 1 <= calls + TOLERANCE ? { since, used: used + 1 } : undefined;
}

/** @param use from `usedBy` of the same moment. */
export function standingOf(quota: Quota, use: QuotaUse, now: number): QuotaStanding {
  const left = Math.max(0, Math.floor(quota.calls - use.used + TOLERANCE));
  return { quota, left, reset: Math.ceil(millisecondsLeft(quota, use, now, left) / 1000) };
}

function millisecondsLeft({ refill, calls, period }: Quota, use: QuotaUse, now: number, left: number) {
  if (refill === 'window') return use.since + period - now;
  const missing = left > 0 ? use.used : Math.max(0, use.used + 1 - calls - TOLERANCE);
  return use.since - now + (missing * period) / calls;
}

/** The longest of the waits of those that have no room. */
export function waitOf(standings: readonly QuotaStanding[]): number {
  return Math.max(0, ...standings.map(({ left, reset }) => (left > 0 ? 0 : Math.max(1, reset))));
}

/** Milliseconds since the epoch from which on the counter is as good as new. */
export function endOf({ refill, calls, period }: Quota, { since, used }: QuotaUse): number {
  return refill === 'window' ? since + period : since + (used * period) / calls;
}
