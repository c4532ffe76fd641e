/**
 * What the gateway's side of TLS is made of: versions, ciphers, its certificate, and whom it trusts as callers.
 * @module
 */
import { constants } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';

export interface ServerIdentity {
  /** The private key, in PEM. */
  readonly key: string | Buffer;
  /** The certificate, perhaps followed by those above it, in PEM. */
  readonly chain: string | Buffer;
}

/** How a listener serves TLS. */
export interface TlsServing {
  readonly identity: ServerIdentity;
  /** The roots of callers' certificates, in PEM; undefined where callers are not asked for one. */
  readonly clientRoots?: string | undefined;
}

/** With an ephemeral key and an authenticated cipher; those of TLS 1.3 are all of that kind. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/**
 * Given to the server at its making and at each swap alike: a swap takes over nothing of the context before it. So a
 * session ticket ends with the certificate that it was made under, since each context has ticket keys of its own.
 */
export function serverContext({ identity, clientRoots }: TlsServing): SecureContextOptions {
  // A resumed session would show the client certificate of the handshake that it began with, as good as it was then.
  const tickets = clientRoots === undefined ? 0 : constants.SSL_OP_NO_TICKET;
  return {
    key: identity.key,
    cert: identity.chain,
    ...(clientRoots !== undefined && { ca: clientRoots }),
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION | tickets,
  };
}
