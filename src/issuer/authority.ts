/**
 * The root in the issuer's folder: `root.pem`, the encrypted `root.key`, `profile.yaml`, `ledger.jsonl`.
 * @module
 */
import type { KeyObject, X509Certificate } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { NameConstraints } from './constraints.ts';

export interface Authority {
  readonly dir: string;
  readonly certificate: X509Certificate;
  readonly pem: string;
  readonly key: KeyObject;
  readonly constraints: NameConstraints;
  /** Epoch seconds, both. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SHA-256 of the certificate's DER, lower-case hex. */
  readonly fingerprint: string;
}

export interface AuthorityDraft {
  readonly dir: string;
  readonly name: string;
  readonly constraints: NameConstraints;
  readonly passphrase: string;
  readonly clock: Clock;
  /** Seconds; five years unless told. */
  readonly lifetime?: number;
}

/** Makes the root and its folder. `authority-exists`, `authority-invalid`, `passphrase-invalid`. */
export async function createAuthority(_draft: AuthorityDraft): Promise<Authority> {
  throw new Error('being built');
}

/** `authority-invalid` for a folder or a file that is unfit, `passphrase-invalid` for a wrong passphrase. */
export function openAuthority(_dir: string, _passphrase: string): Authority {
  throw new Error('being built');
}

/** The public half alone, for what needs no passphrase. */
export type PublicAuthority = Omit<Authority, 'key'>;

export function readAuthority(_dir: string): PublicAuthority {
  throw new Error('being built');
}
