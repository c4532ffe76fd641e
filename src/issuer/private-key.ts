/**
 * Private keys at rest: encrypted PKCS#8 (RFC 5958) and PKCS#12 bundles (RFC 7292), both under PBES2 (RFC 8018 section 6.2)
 * with PBKDF2-HMAC-SHA-256 and AES-256-CBC. node-forge writes them, here alone, and reads nothing; OpenSSL reads them.
 * @module
 */
import { createPrivateKey, type KeyObject, randomBytes } from 'node:crypto';
import forge from 'node-forge';
import { CountersignError } from '../errors.ts';
import { DER, DerReader } from './der.ts';
import { badPassphrase, checkNewPassphrase, MOST_PASSPHRASE_BYTES } from './passphrase.ts';

const { asn1, pki, util } = forge;
type Asn1 = forge.asn1.Asn1;

/** Node's own export, `cipher` and `passphrase`, uses 2,048. */
const ROUNDS = 600_000;
/** The key derivation of a bundle's MAC runs in JavaScript, and a bundle lives as long as its leaf: as many as Java's. */
const MAC_ROUNDS = 10_000;
const SALT_BYTES = 16;

const PBES2 = '2a864886f70d01050d';
const SEALED =
  /^\s*-----BEGIN ENCRYPTED PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END ENCRYPTED PRIVATE KEY-----\s*$/;

/** @returns PEM that OpenSSL and Node can read. `passphrase-invalid`. */
export function encryptPrivateKey(key: KeyObject, passphrase: string): string {
  checkNewPassphrase(passphrase);
  const body = toDer(shrouded(key, passphrase))
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${body}\n-----END ENCRYPTED PRIVATE KEY-----\n`;
}

/**
 * @param where the file, for people. `authority-invalid` where it is not whole or not encrypted, `passphrase-invalid`
 * where the passphrase doesn't open it.
 */
export function decryptPrivateKey(pem: string, passphrase: string, where: string): KeyObject {
  if (!isSealed(pem)) {
    throw new CountersignError(
      'authority-invalid',
      `${where} is no whole encrypted private key: it may be cut off. Put it back from your copy.`,
    );
  }
  // OpenSSL would take an empty passphrase for none at all.
  if (passphrase !== '' && Buffer.byteLength(passphrase) <= MOST_PASSPHRASE_BYTES) {
    try {
      return createPrivateKey({ key: pem, passphrase });
    } catch {
      // What OpenSSL says differs by what the wrong key made of the bytes, and tells people nothing.
    }
  }
  throw badPassphrase(`The passphrase doesn't open ${where}.`);
}

/** Damage is told from a wrong passphrase by the outer structure, which is in the clear. */
function isSealed(pem: string): boolean {
  const [, base64 = ''] = SEALED.exec(pem) ?? [];
  const text = base64.replace(/\s/g, '');
  const der = Buffer.from(text, 'base64');
  if (der.toString('base64') !== text) return false;
  try {
    const top = new DerReader(der);
    const sealed = top.enter(DER.sequence);
    top.end();
    const isPbes2 = sealed.enter(DER.sequence).oid() === PBES2;
    const { content } = sealed.next(DER.octetString);
    sealed.end();
    return isPbes2 && content.length > 0 && content.length % 16 === 0;
  } catch {
    return false;
  }
}

export interface Bundle {
  readonly key: KeyObject;
  /** DER, the leaf first. */
  readonly chain: readonly Buffer[];
  /** What Java calls the alias. */
  readonly name: string;
  readonly passphrase: string;
}

/** @returns PKCS#12 in DER. `passphrase-invalid`. */
export function toPkcs12({ key, chain, name, passphrase }: Bundle): Buffer {
  checkNewPassphrase(passphrase);
  if (!/^[\x20-\x7e]+$/.test(passphrase))
    throw badPassphrase(
      'The passphrase of a bundle must be of ASCII characters: Java opens it with no others.',
    );
  const keyId = randomBytes(20);
  const marks = set(
    sequence(oid(pki.oids.localKeyId), set(octets(keyId))),
    sequence(oid(pki.oids.friendlyName), set(bmpString(name))),
  );
  const certificates = chain.map((der, i) =>
    sequence(
      oid(pki.oids.certBag),
      tagged(0, sequence(oid(pki.oids.x509Certificate), tagged(0, octets(der)))),
      // Marks the leaf as the key's own.
      ...(i === 0 ? [marks] : []),
    ),
  );
  const keys = sequence(oid(pki.oids.pkcs8ShroudedKeyBag), tagged(0, shrouded(key, passphrase)), marks);
  const safe = toDer(
    sequence(encryptedContent(sequence(...certificates), passphrase), content(sequence(keys))),
  );
  return toDer(sequence(integer(3), content(safe), macOf(safe, passphrase)));
}

/** EncryptedPrivateKeyInfo (RFC 5958 section 3). */
function shrouded(key: KeyObject, passphrase: string): Asn1 {
  const { algorithm, sealed } = seal(key.export({ format: 'der', type: 'pkcs8' }), passphrase);
  return sequence(algorithm, octets(sealed));
}

/**
 * node-forge has this too, and would take four seconds for the rounds: it leaves them to OpenSSL only where the hash is
 * named by a text, which its own encryption doesn't do.
 */
function seal(plain: Buffer, passphrase: string): { algorithm: Asn1; sealed: Buffer } {
  const [salt, iv] = [randomBytes(SALT_BYTES), randomBytes(16)];
  const bytes = util.encodeUtf8(passphrase);
  const key = forge.pkcs5.pbkdf2(bytes, salt.toString('binary'), ROUNDS, 32, 'sha256');
  const cipher = forge.cipher.createCipher('AES-CBC', key);
  cipher.start({ iv: iv.toString('binary') });
  cipher.update(util.createBuffer(plain.toString('binary')));
  cipher.finish();
  const derivation = sequence(
    oid(pki.oids.pkcs5PBKDF2),
    sequence(octets(salt), integer(ROUNDS), integer(32), sequence(oid(pki.oids.hmacWithSHA256), nothing())),
  );
  const encryption = sequence(oid(pki.oids['aes256-CBC']), octets(iv));
  return {
    algorithm: sequence(oid(pki.oids.pkcs5PBES2), sequence(derivation, encryption)),
    sealed: Buffer.from(cipher.output.getBytes(), 'binary'),
  };
}

/** ContentInfo of the type data (RFC 5652 section 4). */
function content(what: Asn1 | Buffer): Asn1 {
  return sequence(oid(pki.oids.data), tagged(0, octets(Buffer.isBuffer(what) ? what : toDer(what))));
}

/** ContentInfo of the type encrypted-data (RFC 5652 section 8): older Windows takes no certificates in the clear. */
function encryptedContent(what: Asn1, passphrase: string): Asn1 {
  const { algorithm, sealed } = seal(toDer(what), passphrase);
  const implicit = asn1.create(asn1.Class.CONTEXT_SPECIFIC, 0, false, sealed.toString('binary'));
  const inner = sequence(oid(pki.oids.data), algorithm, implicit);
  return sequence(oid(pki.oids.encryptedData), tagged(0, sequence(integer(0), inner)));
}

/** MacData with HMAC-SHA-256 (RFC 7292 section 4 and appendix B). */
function macOf(safe: Buffer, passphrase: string): Asn1 {
  const salt = randomBytes(SALT_BYTES);
  const salted = util.createBuffer(salt.toString('binary'));
  const key = forge.pkcs12.generateKey(passphrase, salted, 3, MAC_ROUNDS, 32, forge.md.sha256.create());
  const mac = forge.hmac.create();
  mac.start('sha256', key);
  mac.update(safe.toString('binary'));
  const digest = Buffer.from(mac.getMac().getBytes(), 'binary');
  const info = sequence(sequence(oid(pki.oids.sha256), nothing()), octets(digest));
  return sequence(info, octets(salt), integer(MAC_ROUNDS));
}

function toDer(what: Asn1): Buffer {
  return Buffer.from(asn1.toDer(what).getBytes(), 'binary');
}

function universal(type: number, value: string): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, type, false, value);
}

function sequence(...members: Asn1[]): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, members);
}

function set(...members: Asn1[]): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SET, true, members);
}

function tagged(number: number, member: Asn1): Asn1 {
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, number, true, [member]);
}

function oid(text: string | undefined): Asn1 {
  if (text === undefined) throw new Error('node-forge has lost an object identifier');
  return universal(asn1.Type.OID, asn1.oidToDer(text).getBytes());
}

function octets(bytes: Buffer): Asn1 {
  return universal(asn1.Type.OCTETSTRING, bytes.toString('binary'));
}

function integer(value: number): Asn1 {
  return universal(asn1.Type.INTEGER, asn1.integerToDer(value).getBytes());
}

/** node-forge writes it in UTF-16 itself. */
function bmpString(text: string): Asn1 {
  return universal(asn1.Type.BMPSTRING, text);
}

function nothing(): Asn1 {
  return universal(asn1.Type.NULL, '');
}
