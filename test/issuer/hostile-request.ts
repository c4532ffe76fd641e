/**
 * Certificate requests as a stranger might write them: every part can be another than it should be.
 * @module
 */
import { generateKeyPairSync, type KeyPairKeyObjectResult, sign } from 'node:crypto';
import {
  bitString,
  contextConstructed,
  contextPrimitive,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  smallInteger,
} from '../../src/client/certificate/der.ts';

export const ECDSA_SHA256 = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
export const ECDSA_SHA1 = sequence(objectIdentifier('1.2.840.10045.4.1'));
export const RSA_SHA256 = sequence(objectIdentifier('1.2.840.113549.1.1.11'), Buffer.of(5, 0));
export const RSA_SHA1 = sequence(objectIdentifier('1.2.840.113549.1.1.5'), Buffer.of(5, 0));
export const ED25519 = sequence(objectIdentifier('1.3.101.112'));

const TRUE = Buffer.of(1, 1, 0xff);

export function p256(): KeyPairKeyObjectResult {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

export interface Parts {
  readonly keys?: KeyPairKeyObjectResult;
  /** Who signs; the key itself unless told. */
  readonly signer?: KeyPairKeyObjectResult;
  /** DER; the public key's own unless told. */
  readonly spki?: Buffer;
  readonly algorithm?: Buffer;
  readonly hash?: string | null;
  /** GeneralNames. */
  readonly names?: readonly Buffer[];
  /** Beside subjectAltName. */
  readonly extensions?: readonly Buffer[];
  /** Beside the extension request. */
  readonly attributes?: readonly Buffer[];
}

export const dns = (name: string): Buffer => contextPrimitive(2, Buffer.from(name, 'utf8'));
export const uri = (name: string): Buffer => contextPrimitive(6, Buffer.from(name, 'utf8'));
export const ip = (...octets: number[]): Buffer => contextPrimitive(7, Buffer.from(octets));
export const email = (name: string): Buffer => contextPrimitive(1, Buffer.from(name));

export function extension(oid: string, value: Buffer, isCritical = false): Buffer {
  return sequence(objectIdentifier(oid), ...(isCritical ? [TRUE] : []), octetString(value));
}

export const altNames = (...names: readonly Buffer[]): Buffer =>
  extension('2.5.29.17', sequence(...names), true);

export const extensionRequest = (...extensions: readonly Buffer[]): Buffer =>
  sequence(objectIdentifier('1.2.840.113549.1.9.14'), setOf(sequence(...extensions)));

export const challengePassword = sequence(
  objectIdentifier('1.2.840.113549.1.9.7'),
  setOf(Buffer.concat([Buffer.of(0x0c, 3), Buffer.from('abc')])),
);

export const asksForAuthority = extension('2.5.29.19', sequence(TRUE), true);
export const keyUsage = extension('2.5.29.15', Buffer.of(3, 2, 7, 0x80), true);

/** A request in DER; good where nothing else is told. */
export function requestDer(parts: Parts = {}): Buffer {
  const { keys = p256(), names = [dns('api.example.org')], extensions = [], attributes = [] } = parts;
  const { signer = keys, algorithm = ECDSA_SHA256, hash = 'sha256' } = parts;
  const spki = parts.spki ?? keys.publicKey.export({ format: 'der', type: 'spki' });
  const info = sequence(
    smallInteger(0),
    sequence(),
    spki,
    contextConstructed(0, extensionRequest(altNames(...names), ...extensions), ...attributes),
  );
  return sequence(info, algorithm, bitString(sign(hash, info, signer.privateKey)));
}

export function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join('\n')}\n-----END CERTIFICATE REQUEST-----\n`;
}

export function requestPem(parts: Parts = {}): string {
  return toPem(requestDer(parts));
}
