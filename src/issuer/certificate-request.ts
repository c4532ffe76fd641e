/**
 * A certificate request from outside (PKCS#10, RFC 2986), read strictly: the key first, then the signature, then names.
 * @module
 */
import { createHash, verify } from 'node:crypto';
import { DER, DerReader } from './der.ts';
import { ipText } from './ip-address.ts';
import { countOf, type Names, readNames, refused, shown } from './names.ts';
import { type KeyType, type PublicKey, readPublicKey } from './public-key.ts';

export interface CertificateRequest {
  /** DER of the SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  readonly keyType: KeyType;
  /** At least one. The subject of the request is not read: a leaf has none. */
  readonly names: Names;
  /** SHA-256 of the SPKI, hex. */
  readonly keyDigest: string;
}

/** The largest file that is read as a request, in bytes. */
export const MAX_REQUEST_BYTES = 64 * 1024;

const PEM =
  /^\s*-----BEGIN CERTIFICATE REQUEST-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE REQUEST-----\s*$/;

const EXTENSION_REQUEST = '2a864886f70d01090e';
const SUBJECT_ALT_NAME = '551d11';
const BASIC_CONSTRAINTS = '551d13';
const ATTRIBUTES = 0xa0;
const DNS_NAME = 0x82;
const URI_NAME = 0x86;
const IP_ADDRESS = 0x87;

/** The signature algorithms that a key of each type may use, and the hash of each for OpenSSL. */
const ECDSA = { '2a8648ce3d040302': 'sha256', '2a8648ce3d040303': 'sha384', '2a8648ce3d040304': 'sha512' };
const RSA = {
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
};
const SIGNATURES: Readonly<Record<KeyType, Readonly<Record<string, string | null>>>> = {
  'p-256': ECDSA,
  'p-384': ECDSA,
  rsa: RSA,
  ed25519: { '2b6570': null },
};

/** @param pem a PEM block and nothing else. `certificate-request-refused` says what is wrong with it. */
export function readRequest(pem: string | Buffer): CertificateRequest {
  const der = decode(pem);
  try {
    return read(der);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw refused(`It is no certificate request in DER: ${error.message}.`, error);
  }
}

function decode(pem: string | Buffer): Buffer {
  if (pem.length > MAX_REQUEST_BYTES) throw refused(`It is larger than ${MAX_REQUEST_BYTES} bytes.`);
  const [, base64] = PEM.exec(typeof pem === 'string' ? pem : pem.toString('latin1')) ?? [];
  if (base64 === undefined)
    throw refused('It must be one PEM block, -----BEGIN CERTIFICATE REQUEST-----, and nothing else.');
  const text = base64.replace(/[\r\n]/g, '');
  const der = Buffer.from(text, 'base64');
  if (der.toString('base64') !== text) throw refused('Its base64 is damaged.');
  return der;
}

function read(der: Buffer): CertificateRequest {
  const top = new DerReader(der);
  const request = top.enter(DER.sequence);
  top.end();
  const signed = request.next(DER.sequence);
  const info = new DerReader(signed.content);
  if (info.next(DER.integer).content.toString('hex') !== '00') throw refused('It is of an unknown version.');
  info.next(DER.sequence);
  const spki = info.next(DER.sequence).whole;
  const publicKey = readPublicKey(spki);
  checkPossession(publicKey, signed.whole, request);
  const names = readAttributes(info);
  return {
    spki,
    keyType: publicKey.type,
    names,
    keyDigest: createHash('sha256').update(spki).digest('hex'),
  };
}

/** Reads the rest of the request: only who holds the key can have signed it. */
function checkPossession({ type, key }: PublicKey, signed: Buffer, request: DerReader): void {
  const algorithm = request.enter(DER.sequence);
  const signature = request.bits();
  request.end();
  const hash = SIGNATURES[type][algorithm.oid()];
  if (hash === undefined)
    throw refused('It is signed by an algorithm that is too weak, or not one of its key: use SHA-256.');
  if (type === 'rsa') algorithm.next(DER.null);
  algorithm.end();
  if (!isSignature(hash, signed, key, signature))
    throw refused("Its signature doesn't hold: it must be made with the key that it asks for.");
}

function isSignature(hash: string | null, signed: Buffer, key: PublicKey['key'], signature: Buffer): boolean {
  try {
    return verify(hash, signed, key, signature);
  } catch {
    // OpenSSL raises an error for some signatures that can't be read, and says no to others.
    return false;
  }
}

function readAttributes(info: DerReader): Names {
  const found: Names[] = [];
  if (!info.isAtEnd) {
    const attributes = info.enter(ATTRIBUTES);
    info.end();
    while (!attributes.isAtEnd) {
      const attribute = attributes.enter(DER.sequence);
      if (attribute.oid() !== EXTENSION_REQUEST)
        throw refused('It has an attribute beside its names, such as a challenge password: leave it out.');
      const values = attribute.enter(DER.set);
      attribute.end();
      found.push(...readExtensions(values.enter(DER.sequence)));
      values.end();
    }
  }
  const [names, ...more] = found;
  if (more.length > 0) throw refused('It has its names twice.');
  if (!names || countOf(names) === 0)
    throw refused('It has no names: put them into the extension subjectAltName.');
  return names;
}

function readExtensions(extensions: DerReader): Names[] {
  const found: Names[] = [];
  while (!extensions.isAtEnd) {
    const extension = extensions.enter(DER.sequence);
    const oid = extension.oid();
    if (extension.tag === DER.boolean && extension.next().content.toString('hex') !== 'ff')
      throw refused('It has an extension that says at length that it is not critical, which DER leaves out.');
    const { content } = extension.next(DER.octetString);
    extension.end();
    if (oid === BASIC_CONSTRAINTS && asksForAuthority(content))
      throw refused('It asks to be a certificate authority.');
    if (oid !== SUBJECT_ALT_NAME)
      throw refused(`It has the extension ${oidText(oid)}: subjectAltName alone may be asked for.`);
    found.push(readAltNames(content));
  }
  return found;
}

function asksForAuthority(content: Buffer): boolean {
  return new DerReader(content).enter(DER.sequence).tag === DER.boolean;
}

function readAltNames(content: Buffer): Names {
  const top = new DerReader(content);
  const list = top.enter(DER.sequence);
  top.end();
  const names = { dns: [] as string[], ip: [] as string[], uri: [] as string[] };
  while (!list.isAtEnd) {
    const { tag, content: name } = list.next();
    // Bytes as they are: what is not ASCII, or holds a NUL, fails its grammar.
    if (tag === DNS_NAME) names.dns.push(name.toString('latin1'));
    else if (tag === URI_NAME) names.uri.push(name.toString('latin1'));
    else if (tag === IP_ADDRESS && (name.length === 4 || name.length === 16)) names.ip.push(ipText(name));
    else
      throw refused(
        `It has a name that is no DNS name, IP address or URI: ${shown(name.toString('latin1'))}.`,
      );
  }
  return readNames(names);
}

/** `551d0f` is 2.5.29.15; for a long one its hex will do. */
function oidText(hex: string): string {
  const octets = Buffer.from(hex, 'hex');
  const [first = 0, ...rest] = octets;
  if (octets.length === 0 || octets.length > 16 || octets.some((octet) => octet >= 0x80))
    return `0x${hex.slice(0, 64)}`;
  return [Math.floor(first / 40), first % 40, ...rest].join('.');
}
