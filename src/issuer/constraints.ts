/**
 * Name constraints of a root (RFC 5280 section 4.2.1.10): what it can vouch for at all.
 * @module
 */
import type { Names } from './names.ts';

export interface NameConstraints {
  /** Domains: each permits itself and what lies below it. */
  readonly dns: readonly string[];
  /** Networks in CIDR notation. */
  readonly ip: readonly string[];
  /** Hosts of URI names; OpenSSL compares the host alone, so paths are held by the profile. */
  readonly uri: readonly string[];
}

/** `certificate-request-refused` for the first name that lies outside, and for no name at all. */
export function checkConstraints(_names: Names, _constraints: NameConstraints): void {
  throw new Error('being built');
}
