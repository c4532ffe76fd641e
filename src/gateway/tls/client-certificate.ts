/**
 * What counts as a caller's certificate. TLS alone validates it, once, at the handshake; its dates and its denial are
 * judged anew on every request, since a connection outlives them (measured: a certificate that ended goes on to be
 * `authorized` on a kept-alive connection, and one of a foreign root shows its names with `authorized: false`).
 * @module
 */
import type { X509Certificate } from 'node:crypto';
import { isCertificateUri } from '../../consumers/certificate-uri.ts';
import { serialOf } from '../../consumers/denied-certificates.ts';

export interface ClientCertificate {
  /** Its one URI name, `spiffe://host/path`. */
  readonly uri: string;
  /** In the spelling of `serialOf`. */
  readonly serial: string;
  /** Epoch seconds. */
  readonly notAfter: number;
}

/** As the handshake showed it, whatever has become of it since. */
export interface ShownCertificate extends ClientCertificate {
  readonly notBefore: number;
}

/** The certificate that a request comes with, at a second; undefined where there is none that counts. */
export type CertificateAt = (now: number) => ClientCertificate | undefined;

export const NO_CERTIFICATE: CertificateAt = () => undefined;

/** What is known of a connection at the end of its handshake. */
export interface Handshake {
  /** Whether OpenSSL validated the certificate up to a trusted root, for the use of clients. */
  readonly authorized: boolean;
  /** A resumed session bears the judgement of an earlier handshake, so it shows no certificate. */
  readonly resumed: boolean;
  readonly certificate: X509Certificate | undefined;
}

/** Undefined where it counts for nothing whatever the time: not authorized, an issuer's, or not with one URI name. */
export function shownBy({ authorized, resumed, certificate }: Handshake): ShownCertificate | undefined {
  // OpenSSL lets an issuer's own certificate call, where that doesn't say what its key is for.
  if (!authorized || resumed || !certificate || certificate.ca) return undefined;
  const uri = uriNameOf(certificate.subjectAltName);
  const serial = serialOf(certificate.serialNumber);
  const notBefore = Math.floor(Date.parse(certificate.validFrom) / 1000);
  const notAfter = Math.floor(Date.parse(certificate.validTo) / 1000);
  if (uri === undefined || serial === undefined || Number.isNaN(notBefore) || Number.isNaN(notAfter)) {
    return undefined;
  }
  return { uri, serial, notBefore, notAfter };
}

/** @param now epoch seconds. */
export function certificateAt(
  shown: ShownCertificate,
  now: number,
  isDenied: (serial: string) => boolean,
): ClientCertificate | undefined {
  const isInForce = now >= shown.notBefore && now < shown.notAfter && !isDenied(shown.serial);
  return isInForce ? shown : undefined;
}

/**
 * The one URI name in the text that Node makes of a SubjectAltName. In it, names are joined by ", ", and one that holds
 * a comma, a quote, a backslash or anything beyond printable ASCII is put in double quotes (since CVE-2021-44532). So
 * where there is no double quote, the joints are where they seem to be; where there is one, nothing is believed.
 */
export function uriNameOf(subjectAltName: string | undefined): string | undefined {
  if (subjectAltName === undefined || subjectAltName.includes('"')) return undefined;
  const [uri, ...more] = subjectAltName
    .split(', ')
    .filter((name) => name.startsWith('URI:'))
    .map((name) => name.slice('URI:'.length));
  return uri !== undefined && more.length === 0 && isCertificateUri(uri) ? uri : undefined;
}
