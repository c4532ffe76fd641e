/**
 * A certificate request of our own (PKCS#10, RFC 2986): names, and nothing else.
 * @module
 */
import { createPublicKey, type KeyObject, webcrypto } from 'node:crypto';
import { altNamesExtension } from './certificate.ts';
import type { Names } from './names.ts';
import { Pkcs10CertificateRequestGenerator } from './x509.ts';

/** @param key private, P-256. @returns PEM. */
export async function writeRequest(key: KeyObject, names: Names): Promise<string> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const pkcs8 = key.export({ format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const request = await Pkcs10CertificateRequestGenerator.create({
    keys: {
      privateKey: await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']),
      publicKey: await webcrypto.subtle.importKey('spki', spki, algorithm, true, ['verify']),
    },
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [altNamesExtension(names)],
  });
  return `${request.toString('pem').trim()}\n`;
}
