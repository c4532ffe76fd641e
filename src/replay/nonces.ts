/**
 * The port for nonces: each is good once, for any number of processes.
 * @module
 */

/** A nonce of a request whose MAC holds. Times are whole seconds since the epoch. */
export interface Nonce {
  readonly keyid: string;
  readonly value: string;
  readonly created: number;
  readonly expires: number;
}

/**
 * `claimed`: it was fresh, and from now on it is used. `replayed`: somebody used it before. `expired`: it can't be
 * judged any more, since it lies behind the purge's horizon or the fence after a power loss; the message can never
 * become good again.
 */
export type NonceVerdict = 'claimed' | 'replayed' | 'expired';

/** Inside a unit of work. */
export interface NonceClaims {
  claim(nonce: Nonce): NonceVerdict | Promise<NonceVerdict>;
}

/** A bare claim, for calls that change nothing here. Rejects with `store-unavailable`: nothing is served then. */
export interface NonceStore {
  claim(nonce: Nonce): Promise<NonceVerdict>;
}

/** Seconds for which a nonce is kept beyond the moment at which its message stops being acceptable. */
export const KEPT_BEYOND = 60;

/** Nonces whose messages expire at or before this may be forgotten. */
export function forgettable(now: number, skew: number): number {
  return now - skew - KEPT_BEYOND;
}
