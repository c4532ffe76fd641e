/**
 * Leaves: built, rehearsed with a twin in a TLS handshake, signed, looked at again.
 * @module
 */
import type { Clock } from '../clock.ts';
import type { Authority } from './authority.ts';
import type { CertificateUse, Names } from './names.ts';

/** Seconds that a leaf begins before now. */
export const BACKDATE = 60;

export interface LeafDraft {
  /** DER; from `readRequest`, which has checked it. */
  readonly spki: Buffer;
  readonly names: Names;
  readonly use: CertificateUse;
  /** Seconds from now; 12 hours at most, and by default. */
  readonly lifetime?: number;
}

export interface Leaf {
  readonly leafPem: string;
  /** The leaf and then the root, so that tools can show both. */
  readonly chainPem: string;
  /** As `X509Certificate.serialNumber` and a peer's certificate show it: upper-case hex. */
  readonly serial: string;
  /** SHA-256 of the leaf's DER, lower-case hex. */
  readonly fingerprint: string;
  /** Epoch seconds, both. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** `certificate-invalid` where the twin's handshake or the look at the leaf fails: then nothing was signed or is given. */
export async function issueLeaf(_authority: Authority, _draft: LeafDraft, _clock: Clock): Promise<Leaf> {
  throw new Error('being built');
}
