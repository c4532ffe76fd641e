/**
 * What roots, leaves and requests are made of: their signature, their names, their fingerprints, the names of their keys.
 * @module
 */
import { createHash, type KeyObject, webcrypto, type X509Certificate } from 'node:crypto';
import { DER, DerReader } from './der.ts';
import type { Names } from './names.ts';
import { SubjectAlternativeNameExtension } from './x509.ts';

/** A root's key is on P-384, and so is the strength of its hash. */
export const SIGNATURE = { name: 'ECDSA', hash: 'SHA-384' } as const;

/** The key of a root as WebCrypto has it, for one signature. */
export function signingKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const der = key.export({ format: 'der', type: 'pkcs8' });
  const algorithm = { name: 'ECDSA', namedCurve: 'P-384' };
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
}

/** SHA-256 of a certificate's DER, in lower-case hex. */
export function fingerprintOf({ raw }: X509Certificate): string {
  return createHash('sha256').update(raw).digest('hex');
}

/** The key identifier of an SPKI, hex: 160 bits of SHA-256 over the key's bits (RFC 7093 section 2, method 1). */
export function keyIdentifier(spki: Buffer): string {
  const body = new DerReader(spki).enter(DER.sequence);
  body.next(DER.sequence);
  return createHash('sha256').update(body.bits()).digest('hex').slice(0, 40);
}

/** Critical, since the subject is empty (RFC 5280 section 4.1.2.6). */
export function altNamesExtension({ dns, ip, uri }: Names): SubjectAlternativeNameExtension {
  const names = [
    ...dns.map((value) => ({ type: 'dns' as const, value })),
    ...ip.map((value) => ({ type: 'ip' as const, value })),
    ...uri.map((value) => ({ type: 'url' as const, value })),
  ];
  return new SubjectAlternativeNameExtension(names, true);
}
