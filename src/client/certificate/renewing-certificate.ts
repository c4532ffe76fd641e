/**
 * A client's own certificate, which renews itself as the gateway's does.
 * @module
 */
import { CountersignError } from '../../errors.ts';
import type { ClientIdentity } from '../transport.ts';
import type { Certificate, CertificateUse } from './certificate.ts';
import { keyPem } from './rehearsal.ts';
import type { RenewerOptions } from './renewal.ts';
import { CertificateRenewer } from './renewer.ts';

export interface RenewingCertificateOptions extends Omit<RenewerOptions, 'use' | 'names'> {
  /** Such as `spiffe://example.com/orders`. */
  readonly uris?: readonly string[];
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
  /** Default: `client`. */
  readonly use?: CertificateUse;
  /** Ends the wait for the first certificate; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface RenewingCertificate extends ClientIdentity {
  /** The certificate in force; undefined after the last one has ended. */
  current(): Certificate | undefined;
  /** Stops renewing. Connections that stand are let be. */
  close(): Promise<void>;
}

/**
 * Waits for a certificate, and keeps it fresh from then on:
 *
 *     const certificate = await renewingCertificate({
 *       folder: '/var/lib/orders/tls',         // with the issuer's root as trust.pem
 *       requester: 'orders',                   // as given to "ca enrol"
 *       uris: ['spiffe://example.com/orders'],
 *       inbox: '/var/lib/orders/inbox',        // what is dropped here is carried to the issuer
 *       outbox: '/var/lib/orders/outbox',      // and what the issuer answers, here
 *       onEvent: (event) => console.log(event),
 *     });
 *     const fetch = signedFetch(credentials, { tls: { certificate } });
 *
 * Its keys are made in `folder`, and never leave it. At the first call `onEvent` tells which files to carry, and which
 * request key the issuer's operator is to enrol.
 * @throws `certificate-invalid` where the folder holds no root.
 */
export async function renewingCertificate(options: RenewingCertificateOptions): Promise<RenewingCertificate> {
  const { uris: uri = [], dns = [], ip = [], use = 'client', signal, ...rest } = options;
  const renewer = new CertificateRenewer({ ...rest, use, names: { dns, ip, uri } }).start();
  try {
    await renewer.first(signal);
  } catch (error) {
    await renewer.close();
    throw error;
  }
  let shown: { readonly of: Certificate; readonly until: number; readonly identity: Identity } | undefined;
  return {
    current: () => renewer.current(),
    identity() {
      const certificate = renewer.current();
      if (!certificate) {
        throw new CountersignError(
          'certificate-invalid',
          `The certificate in ${options.folder} has ended, and no new one has come; see to the issuer.`,
        );
      }
      const now = performance.now();
      if (shown?.of !== certificate || now >= shown.until) {
        const identity = {
          cert: certificate.leaf.toString(),
          key: keyPem(certificate),
          ca: renewer.trust(),
        };
        shown = { of: certificate, until: now + TRUST_HELD, identity };
      }
      return shown.identity;
    },
    close: () => renewer.close(),
  };
}

type Identity = ReturnType<ClientIdentity['identity']>;

/** Milliseconds for which the roots are held in memory: an operator may change the file. */
const TRUST_HELD = 10_000;
