/**
 * What a root and its leaves are signed with, and how a key is named in them.
 * @module
 */
import { createHash, type KeyObject, webcrypto } from 'node:crypto';
import { DER, DerReader } from './der.ts';

/** A root's key is on P-384, and so is the strength of its hash. */
export const SIGNATURE = { name: 'ECDSA', hash: 'SHA-384' } as const;

/** The key of a root as WebCrypto has it, for one signature. */
export function signingKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const der = key.export({ format: 'der', type: 'pkcs8' });
  const algorithm = { name: 'ECDSA', namedCurve: 'P-384' };
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
}

/** The key identifier of an SPKI, hex: 160 bits of SHA-256 over the key's bits (RFC 7093 section 2, method 1). */
export function keyIdentifier(spki: Buffer): string {
  const body = new DerReader(spki).enter(DER.sequence);
  body.next(DER.sequence);
  return createHash('sha256').update(body.bits()).digest('hex').slice(0, 40);
}
