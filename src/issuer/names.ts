/**
 * The names that a certificate may bear (RFC 5280 section 4.2.1.6), in one strict form each: what isn't written in that
 * form is refused, so that no two readers can take it for different names.
 * @module
 */

/** What a certificate may be used for: a server's, a client's, or both. */
export type CertificateUse = 'server' | 'client' | 'both';

export const certificateUses: readonly CertificateUse[] = ['server', 'client', 'both'];

/** Lower-case DNS names, IP addresses as `node:net` would write them, and `spiffe://host/path`. Sorted, each once. */
export interface Names {
  readonly dns: readonly string[];
  readonly ip: readonly string[];
  readonly uri: readonly string[];
}
