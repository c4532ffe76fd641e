/**
 * A certificate request from outside (PKCS#10, RFC 2986), read strictly: the key first, then the signature, then names.
 * @module
 */
import type { Names } from './names.ts';
import type { KeyType } from './public-key.ts';

export interface CertificateRequest {
  /** DER of the SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  readonly keyType: KeyType;
  readonly names: Names;
  /** SHA-256 of the request's DER, hex: the same request is the same digest, however its PEM is folded. */
  readonly digest: string;
  /** SHA-256 of the SPKI, hex. */
  readonly keyDigest: string;
}

/** The largest file that is read as a request, in bytes. */
export const MAX_REQUEST_BYTES = 64 * 1024;

/** @param pem a PEM block and nothing else. `certificate-request-refused` says what is wrong with it. */
export function readRequest(_pem: string | Buffer): CertificateRequest {
  throw new Error('being built');
}
