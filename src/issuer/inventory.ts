/**
 * What is shown somewhere, held against the ledger: a certificate that isn't in it was not issued here, whatever it says
 * of itself.
 * @module
 */
import { X509Certificate } from 'node:crypto';
import { fingerprintOf } from './certificate.ts';
import type { History } from './history.ts';

/** A certificate as it was found. */
export interface Shown {
  /** A file, or `HOST:PORT`. */
  readonly where: string;
  readonly certificate: X509Certificate;
}

export interface Stranger {
  readonly where: string;
  readonly serial: string;
  /** SHA-256 of its DER: `3F:A4:…`. */
  readonly fingerprint: string;
  readonly names: string;
  readonly why: string;
}

export interface Inventory {
  /** Certificates that are in the ledger, its roots among them. */
  readonly known: number;
  /** Of these, the ones that have ended. */
  readonly ended: number;
  readonly strangers: readonly Stranger[];
}

/** @param now epoch seconds. */
export function takeInventory(shown: Iterable<Shown>, history: History, now: number): Inventory {
  const serials = new Set([...history.leaves()].map(({ serial }) => serial));
  let known = 0;
  let ended = 0;
  const strangers: Stranger[] = [];
  for (const { where, certificate } of shown) {
    const fingerprint = fingerprintOf(certificate);
    const leaf = history.leaf(fingerprint);
    if (leaf || history.roots.has(fingerprint)) {
      known++;
      if (leaf && leaf.notAfter <= now) ended++;
      continue;
    }
    const serial = certificate.serialNumber;
    // Whoever has the key could do so; nobody else could make both hold.
    const why = serials.has(serial)
      ? 'the ledger has this serial number with another certificate'
      : 'it is not in the ledger';
    const { fingerprint256 } = certificate;
    strangers.push({ where, serial, fingerprint: fingerprint256, names: namesIn(certificate), why });
  }
  return { known, ended, strangers };
}

function namesIn({ subject, subjectAltName }: X509Certificate): string {
  return subjectAltName ?? subject?.replaceAll('\n', ', ') ?? 'no names';
}

/** Found by their first line, so that nothing within a block, such as a header, hides it. OpenSSL reads all three. */
const BLOCK = /^(?=-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----\s*$)/m;

/** A SEQUENCE that begins with another; a private key, or a PKCS#12 bundle, begins with a number. */
const DER = /^\x30(?:\x81.|\x82..|\x83...)\x30/s;

/**
 * The certificates in a file: PEM blocks, or one in DER. What begins as a certificate and isn't one throws the error of
 * X509Certificate.
 */
export function certificatesIn(content: Buffer): X509Certificate[] {
  const text = content.toString('latin1');
  const blocks = text.split(BLOCK).filter((block) => BLOCK.test(block));
  if (blocks.length > 0) return blocks.map((block) => new X509Certificate(block));
  return DER.test(text) ? [new X509Certificate(content)] : [];
}
