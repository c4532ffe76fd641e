/**
 * The keys that may be certified: type and size are read from the SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) before
 * anything else is, and before OpenSSL sees the key.
 * @module
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { DER, DerReader } from './der.ts';
import { refused } from './names.ts';

export type KeyType = 'p-256' | 'p-384' | 'ed25519' | 'rsa';

export interface PublicKey {
  readonly type: KeyType;
  readonly key: KeyObject;
}

const LEAST_RSA_BITS = 2048;
/** The twin of a leaf has a key of the same size, and one of 8,192 bits takes half a minute to make. */
const MOST_RSA_BITS = 4096;
const ALLOWED = 'P-256, P-384, Ed25519, or RSA of 2048 to 4096 bits';

const EC = '2a8648ce3d0201';
const RSA = '2a864886f70d010101';
const ED25519 = '2b6570';
const CURVES: Readonly<Record<string, { type: KeyType; pointBytes: number }>> = {
  '2a8648ce3d030107': { type: 'p-256', pointBytes: 65 },
  '2b81040022': { type: 'p-384', pointBytes: 97 },
};
/**
 * The points of a small order, without the sign of x: anybody can make signatures that hold for such a key (RFC 8032
 * section 5.1.7 asks for no check of it, and OpenSSL makes none).
 */
const ANYBODYS: readonly string[] = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
];

/** @param spki DER. `certificate-request-refused` for a key of another type or size; `RangeError` for no DER. */
export function readPublicKey(spki: Buffer): PublicKey {
  // Two encodings of one key would be two keys to us: the reader takes but one.
  const type = typeOf(spki);
  try {
    return { type, key: createPublicKey({ key: spki, format: 'der', type: 'spki' }) };
  } catch (error) {
    throw refused(`Its public key is none that OpenSSL takes, such as a point beside its curve.`, error);
  }
}

function typeOf(spki: Buffer): KeyType {
  const top = new DerReader(spki);
  const body = top.enter(DER.sequence);
  top.end();
  const algorithm = body.enter(DER.sequence);
  const bits = body.bits();
  body.end();
  const oid = algorithm.oid();
  if (oid === EC) return ecType(algorithm, bits);
  if (oid === RSA) return rsaType(algorithm, bits);
  if (oid === ED25519) {
    algorithm.end();
    if (isAnybodys(bits)) throw refused('Its key is one that anybody can sign for.');
    if (bits.length === 32) return 'ed25519';
  }
  throw refused(`Its key must be ${ALLOWED}.`);
}

function ecType(algorithm: DerReader, point: Buffer): KeyType {
  // Parameters that are spelt out, and not named, are a known way to forge a key (CVE-2020-0601).
  if (algorithm.tag !== DER.oid) throw refused(`Its key's curve must be named: ${ALLOWED}.`);
  const curve = CURVES[algorithm.oid()];
  algorithm.end();
  if (!curve) throw refused(`Its key is on another curve: it must be ${ALLOWED}.`);
  if (point.length !== curve.pointBytes || point[0] !== 4)
    throw refused('Its key must be a point in uncompressed form.');
  return curve.type;
}

function rsaType(algorithm: DerReader, bits: Buffer): KeyType {
  algorithm.next(DER.null);
  algorithm.end();
  const top = new DerReader(bits);
  const key = top.enter(DER.sequence);
  top.end();
  const modulus = key.unsigned();
  const exponent = key.unsigned();
  key.end();
  const size = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24;
  if (size < LEAST_RSA_BITS || size > MOST_RSA_BITS)
    throw refused(`Its RSA key has ${size} bits: it must be ${ALLOWED}.`);
  const value = exponent.length > 4 ? Number.POSITIVE_INFINITY : exponent.readUIntBE(0, exponent.length);
  if (value < 65537 || value > 0xffffffff || value % 2 === 0)
    throw refused("Its RSA key's exponent must be odd and of 65537 to 32 bits.");
  return 'rsa';
}

function isAnybodys(point: Buffer): boolean {
  const y = Buffer.from(point);
  y[31] = (y[31] ?? 0) & 0x7f;
  return ANYBODYS.includes(y.toString('hex'));
}
