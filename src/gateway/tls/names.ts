/**
 * The names of the gateway's certificate, by their kinds.
 * @module
 */
import { isIP } from 'node:net';
import type { CertificateNames } from '../../client/certificate/certificate-request.ts';

/** @param names DNS names and addresses. */
export function splitNames(names: readonly string[], uri: readonly string[]): CertificateNames {
  return {
    dns: names.filter((name) => isIP(name) === 0),
    ip: names.filter((name) => isIP(name) !== 0),
    uri,
  };
}

/** The host of a name such as `spiffe://example.com/gateway`. */
export function hostOf(uri: string): string {
  return uri.split('/')[2] ?? '';
}
