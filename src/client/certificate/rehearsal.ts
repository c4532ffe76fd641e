/**
 * A TLS handshake in memory with the real certificate and key, before anybody depends on them: OpenSSL's own path
 * validation has then judged the chain, name constraints included, as every peer will.
 * @module
 */
import { Duplex } from 'node:stream';
import { type ConnectionOptions, connect, createServer } from 'node:tls';
import { CountersignError } from '../../errors.ts';
import type { Certificate, CertificateUse } from './certificate.ts';
import type { CertificateNames } from './certificate-request.ts';

/** Milliseconds. It takes a few; this ends one that hangs. */
const TIMEOUT = 5000;

export interface Rehearsal {
  readonly certificate: Certificate;
  readonly use: CertificateUse;
  readonly names: CertificateNames;
  /** The trusted roots in PEM. */
  readonly trust: string;
}

/** `certificate-invalid` where either side refuses the other. */
export async function rehearse({ certificate, use, names, trust }: Rehearsal): Promise<void> {
  const identity = { key: keyPem(certificate), cert: certificate.leaf.toString() };
  const [near, far] = memoryPair();
  const isCalling = use !== 'server';
  // Only a server can be handed the other end, and only it judges who calls.
  const server = createServer({
    ...identity,
    ca: trust,
    requestCert: isCalling,
    rejectUnauthorized: isCalling,
  });
  const client = connect({
    socket: near,
    ca: trust,
    ...(isCalling && identity),
    ...calledBy(names, use),
  });
  const timer = setTimeout(() => client.destroy(new Error('no answer')), TIMEOUT);
  try {
    await new Promise<void>((resolve, reject) => {
      let secure = 0;
      const count = () => {
        secure++;
        // The server's verdict on the client comes after the client's on the server (TLS 1.3).
        if (secure === 2) resolve();
      };
      client.once('secureConnect', count);
      server.once('secureConnection', count);
      server.on('tlsClientError', reject);
      client.on('error', reject);
      client.on('close', () => reject(new Error('closed')));
      server.emit('connection', far);
    });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = `a handshake with it fails (${code ?? message})`;
    throw new CountersignError('certificate-invalid', `The certificate can't be used: ${why}.`, {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
    client.destroy();
    near.destroy();
    far.destroy();
  }
}

/** How the near end calls, and whether it looks at the far end's certificate: one that only calls can't be called. */
function calledBy({ dns, ip }: CertificateNames, use: CertificateUse): ConnectionOptions {
  if (use === 'client') return { rejectUnauthorized: false };
  // A name is sent to the server and then checked; an address is checked alone.
  if (dns[0] !== undefined) return { servername: dns[0] };
  return ip[0] === undefined ? { checkServerIdentity: () => undefined } : { host: ip[0] };
}

export function keyPem({ key }: Pick<Certificate, 'key'>): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** Two ends of one stream: what is written at the one is read at the other. */
function memoryPair(): [Duplex, Duplex] {
  const end = (other: () => Duplex): Duplex =>
    new Duplex({
      read() {},
      write(chunk, _encoding, done) {
        other().push(chunk);
        done();
      },
      final(done) {
        other().push(null);
        done();
      },
    });
  const near: Duplex = end(() => far);
  const far: Duplex = end(() => near);
  return [near, far];
}
