/**
 * Client certificates that count for nothing any more, by their serial number: the port through which they are kept.
 * @module
 */

/** Times are whole seconds since the epoch. */
export interface DeniedCertificate {
  /** As `serialOf` writes it. */
  readonly serial: string;
  readonly deniedAt: number;
  /** Forgotten after this; the certificate must have ended by then. */
  readonly keptUntil: number;
}

/** What is committed, by whichever process. */
export interface DeniedCertificateReader {
  has(serial: string): boolean;
  /** The same set again, unless something was committed since: for looking at many certificates, often. */
  all(): ReadonlySet<string>;
}

/** Changes, inside a unit of work. */
export interface DeniedCertificateChanges {
  /** Denying twice keeps the first time, and the later end. */
  deny(certificate: DeniedCertificate): void | Promise<void>;
}

/** In words of the issuer's ledger, `openssl x509 -serial` and `-text`: hex, perhaps with colons. */
const SERIAL = /^(?:[0-9a-f]{1,64}|[0-9a-f]{2}(?::[0-9a-f]{2}){0,31})$/i;

/** The one spelling of a serial number, which is that of `X509Certificate`; undefined where the text is none. */
export function serialOf(text: string): string | undefined {
  if (!SERIAL.test(text)) return undefined;
  const digits = text.replaceAll(':', '').toUpperCase().replace(/^0+/, '');
  if (digits === '') return undefined;
  return digits.length % 2 === 0 ? digits : `0${digits}`;
}
