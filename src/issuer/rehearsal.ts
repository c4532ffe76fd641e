/**
 * A TLS handshake in memory, before a certificate counts: OpenSSL's own path validation, name constraints included, has
 * judged it as its peers will. No socket is opened: both ends are streams.
 * @module
 */
import { once } from 'node:events';
import { duplexPair } from 'node:stream';
import { checkServerIdentity, connect, createServer, type PeerCertificate, type TLSSocket } from 'node:tls';
import { CountersignError } from '../errors.ts';
import type { CertificateUse, Names } from './names.ts';

/** A certificate with its private key, both PEM. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

export interface Rehearsal {
  readonly twin: Identity;
  readonly use: CertificateUse;
  readonly names: Names;
  /** The root, PEM: all that either side trusts. */
  readonly root: string;
  /** What the server shows where the twin is a client's alone. Nobody trusts it. */
  readonly standIn: Identity;
}

const LONGEST_MS = 10_000;

/** `certificate-invalid` with OpenSSL's own word where either side refuses the twin. */
export async function rehearse({ twin, use, names, root, standIn }: Rehearsal): Promise<void> {
  const [asServer, asClient] = [use !== 'client', use !== 'server'];
  const [near, far] = duplexPair();
  const signal = AbortSignal.timeout(LONGEST_MS);
  const trusted = { ca: root, rejectUnauthorized: false, minVersion: 'TLSv1.3' } as const;
  const server = createServer({ ...trusted, ...(asServer ? twin : standIn), requestCert: asClient });
  const client = connect({
    ...trusted,
    ...(asClient ? twin : {}),
    socket: near,
    // Both are asked below, for every name and not for one alone.
    checkServerIdentity: () => undefined,
  });
  try {
    const accepted = once(server, 'secureConnection', { signal });
    const refused = once(server, 'tlsClientError', { signal });
    const failed = Promise.race([accepted, refused.then(([error]) => Promise.reject(error))]);
    server.emit('connection', far);
    const [[seen]] = (await Promise.all([failed, once(client, 'secureConnect', { signal })])) as [
      [TLSSocket],
      unknown,
    ];
    if (asServer) {
      demand(client, 'a server');
      checkIdentities(names, client.getPeerCertificate());
    }
    if (asClient) demand(seen, 'a client');
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    throw unfit(`its handshake failed: ${(error as Error).message}`, error);
  } finally {
    client.destroy();
    far.destroy();
    server.close();
  }
}

function demand({ authorized, authorizationError }: TLSSocket, as: string): void {
  if (authorized) return;
  // Node has no code of its own for what breaks a name constraint.
  throw unfit(`its peers would refuse it as ${as} (${authorizationError ?? 'no certificate was shown'})`);
}

/** As a client does that knows the server by any one of its names. */
function checkIdentities({ dns, ip }: Names, shown: PeerCertificate): void {
  for (const name of [...dns, ...ip]) {
    const error = checkServerIdentity(name, shown);
    if (error) throw unfit(`a client that calls ${name} would refuse it`, error);
  }
}

function unfit(why: string, cause?: unknown): CountersignError {
  return new CountersignError(
    'certificate-invalid',
    `The certificate is unfit, and was not issued: ${why}.`,
    {
      cause,
    },
  );
}
