/**
 * The time as a parameter, so that tests are exact and take no naps.
 * @module
 */
export interface Clock {
  /** Milliseconds since the epoch, as `Date.now()`. May step in either direction. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

/** Whole seconds since the epoch: the unit of `created` and `expires` (RFC 9421 section 2.3). */
export function epochSeconds(clock: Clock): number {
  return Math.floor(clock.now() / 1000);
}
