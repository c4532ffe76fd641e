/**
 * A certificate request (PKCS#10, RFC 2986) for a P-256 key: an empty subject, and the names that are asked for as the
 * one extension (RFC 2985 section 5.4.2, RFC 5280 section 4.2.1.6).
 * @module
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';
import * as der from './der.ts';

/** What a certificate is asked to name; at least one name in all. */
export interface CertificateNames {
  /** In lower case, without a wildcard. */
  readonly dns: readonly string[];
  /** IPv4 or IPv6. */
  readonly ip: readonly string[];
  /** Such as `spiffe://example.com/orders`. */
  readonly uri: readonly string[];
}

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14';
const SUBJECT_ALT_NAME = '2.5.29.17';
/** The tags of GeneralName. */
const DNS = 2;
const URI = 6;
const IP = 7;

/** A new P-256 key. */
export function newCertificateKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

/** @param key a P-256 private key. @returns the request in PEM. */
export function certificateRequest(key: KeyObject, names: CertificateNames): string {
  const altNames = der.sequence(
    ...names.dns.map((name) => der.contextPrimitive(DNS, Buffer.from(name, 'latin1'))),
    ...names.ip.map((name) => der.contextPrimitive(IP, addressBytes(name))),
    ...names.uri.map((name) => der.contextPrimitive(URI, Buffer.from(name, 'latin1'))),
  );
  const extension = der.sequence(der.objectIdentifier(SUBJECT_ALT_NAME), der.octetString(altNames));
  const attribute = der.sequence(der.objectIdentifier(EXTENSION_REQUEST), der.setOf(der.sequence(extension)));
  const info = der.sequence(
    der.smallInteger(0),
    der.sequence(),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    der.contextConstructed(0, attribute),
  );
  const algorithm = der.sequence(der.objectIdentifier(ECDSA_WITH_SHA256));
  const request = der.sequence(info, algorithm, der.bitString(sign('sha256', info, key)));
  const lines = request.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE REQUEST-----', ...lines, '-----END CERTIFICATE REQUEST-----', ''].join(
    '\n',
  );
}

/** 4 or 16 bytes, in the order of the network. */
function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  return Buffer.from(
    ipv6Groups(address)
      .map((group) => group.padStart(4, '0'))
      .join(''),
    'hex',
  );
}

/** The eight groups of an IPv6 address, in lower-case hex without leading zeros. */
export function ipv6Groups(address: string): string[] {
  // The URL parser writes an address in one form, with at most one "::" and no dotted part.
  const plain = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [left = [], right = []] = plain
    .split('::')
    .map((part) => part.split(':').filter((group) => group !== ''));
  return [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
}
