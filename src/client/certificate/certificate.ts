/**
 * A certificate with its key and the root that vouches for it, checked before it is used: that it is for this key and
 * these names, good now, and issued by a root that is trusted.
 * @module
 */
import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { CountersignError } from '../../errors.ts';
import { type CertificateNames, ipv6Groups } from './certificate-request.ts';

/** What a certificate is for: to be called, to call, or both. */
export type CertificateUse = 'server' | 'client' | 'both';

export interface Certificate {
  readonly key: KeyObject;
  readonly leaf: X509Certificate;
  /** The trusted root that issued it. */
  readonly root: X509Certificate;
  /** Milliseconds since the epoch, both. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface Expectation {
  readonly key: KeyObject;
  /** Roots in PEM. */
  readonly trust: string;
  readonly use: CertificateUse;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;
const USAGES = { server: ['1.3.6.1.5.5.7.3.1'], client: ['1.3.6.1.5.5.7.3.2'] };
const USAGE_OF = { ...USAGES, both: [...USAGES.server, ...USAGES.client] };

/** The certificates of a PEM text, in their order. `certificate-invalid` where one can't be parsed. */
export function parseCertificates(pem: string): X509Certificate[] {
  return (pem.match(CERTIFICATE) ?? []).map((block) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new CountersignError('certificate-invalid', 'A certificate in it cannot be parsed.', {
        cause: error,
      });
    }
  });
}

/**
 * @param chain PEM, the leaf first; what follows is for tools to show.
 * @throws `certificate-invalid`, with what is wrong.
 */
export function readCertificate(chain: string, { key, trust, use, now }: Expectation): Certificate {
  const [leaf] = parseCertificates(chain);
  if (!leaf) throw unfit('there is no certificate in it');
  if (leaf.ca) throw unfit('it is that of an issuer');
  if (!leaf.publicKey.equals(createPublicKey(key))) throw unfit('it is for another key');
  const usages: readonly string[] = leaf.keyUsage ?? [];
  if (USAGE_OF[use].some((usage) => !usages.includes(usage))) throw unfit(`it is not for the use "${use}"`);
  const [notBefore, notAfter] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
  if (!(notBefore <= now)) throw unfit(`it begins at ${leaf.validFrom}, which lies ahead of this clock`);
  if (!(now < notAfter)) throw unfit(`it ended at ${leaf.validTo}`);
  const root = parseCertificates(trust).find((each) => leaf.checkIssued(each) && leaf.verify(each.publicKey));
  if (!root) throw unfit('none of the trusted roots has issued it');
  if (!(Date.parse(root.validFrom) <= now && now < Date.parse(root.validTo))) {
    throw unfit('its root is outside its own dates');
  }
  return { key, leaf, root, notBefore, notAfter };
}

/** `certificate-invalid` unless it bears exactly these names. */
export function checkNames({ leaf }: Certificate, names: CertificateNames): void {
  const found = (leaf.subjectAltName ?? '').split(', ').filter((name) => name !== '');
  const wanted = [
    ...names.dns.map((name) => `DNS:${name}`),
    ...names.uri.map((name) => `URI:${name}`),
    ...names.ip.map((name) => `IP Address:${asShown(name)}`),
  ];
  const missing = wanted.find((name) => !found.includes(name));
  if (missing !== undefined) throw unfit(`it doesn't name ${missing}`);
  const extra = found.find((name) => !wanted.includes(name));
  if (extra !== undefined) throw unfit(`it names ${extra}, which nobody asked for`);
}

/** OpenSSL shows an IPv6 address in full: eight groups, in upper case. */
function asShown(address: string): string {
  return isIPv6(address) ? ipv6Groups(address).join(':').toUpperCase() : address;
}

/** The share of its life that is left, from 1 to 0 and below. */
export function shareLeft({ notBefore, notAfter }: Certificate, now: number): number {
  return (notAfter - now) / (notAfter - notBefore);
}

function unfit(why: string): CountersignError {
  return new CountersignError('certificate-invalid', `The certificate can't be used: ${why}.`);
}
