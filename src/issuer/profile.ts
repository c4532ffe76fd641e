/**
 * `profile.yaml` in the issuer's folder: which requester may have which names, for which use, for how long.
 * @module
 */
import type { CertificateUse, Names } from './names.ts';

/** The longest life of a leaf, in seconds. */
export const MAX_LIFETIME = 12 * 3600;

/** What one requester may have: exactly these names, or some of them. */
export interface ProfileEntry extends Names {
  readonly use: CertificateUse;
  /** Seconds, 12 hours at most. */
  readonly lifetime: number;
}

export interface Profile {
  readonly requesters: ReadonlyMap<string, ProfileEntry>;
}

/** @param dir the issuer's folder. `profile-invalid` with every fault and its line. */
export function readProfile(_dir: string): Profile {
  throw new Error('being built');
}

/** `certificate-request-refused` for the first name, or the use, that the entry doesn't grant. */
export function checkProfile(_request: { names: Names; use: CertificateUse }, _entry: ProfileEntry): void {
  throw new Error('being built');
}
