/**
 * The root in the issuer's folder: `root.pem`, the encrypted `root.key`, `profile.yaml`, `ledger.jsonl`.
 * @module
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, epochSeconds } from '../clock.ts';
import { CountersignError } from '../errors.ts';
import { fingerprintOf, keyIdentifier, SIGNATURE, signingKey } from './certificate.ts';
import { constraintsExtension, constraintsOf, type NameConstraints, readConstraints } from './constraints.ts';
import { checkFolder, createFile, ROOT_FILE, readIssuerFile } from './folder.ts';
import { Ledger } from './ledger.ts';
import { checkNewPassphrase } from './passphrase.ts';
import { decryptPrivateKey, encryptPrivateKey } from './private-key.ts';
import { blankProfile, PROFILE_FILE } from './profile.ts';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate as X509CertificateAsn,
  X509CertificateGenerator,
} from './x509.ts';

/** The public half, for what needs no passphrase. */
export interface PublicAuthority {
  readonly dir: string;
  readonly certificate: X509Certificate;
  readonly pem: string;
  readonly constraints: NameConstraints;
  /** Epoch seconds, both. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SHA-256 of the certificate's DER, lower-case hex. */
  readonly fingerprint: string;
}

export interface Authority extends PublicAuthority {
  readonly key: KeyObject;
}

export interface AuthorityDraft {
  readonly dir: string;
  /** The common name of the root: letters, digits, spaces, dots, hyphens, underscores. */
  readonly name: string;
  readonly constraints: NameConstraints;
  readonly passphrase: string;
  readonly clock: Clock;
  /** Seconds; five years unless told. */
  readonly lifetime?: number;
}

export { ROOT_FILE };
export const ROOT_KEY_FILE = 'root.key';

/** Seconds. A root is locked away for long; the next one takes its place well before. */
export const ROOT_LIFETIME = 5 * 365 * 24 * 3600;
/** Seconds that a root begins before now, as a leaf does. */
const BACKDATE = 60;
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?$/;

/** Whether a root can be made of this, before somebody types its passphrase. `authority-exists`, `authority-invalid`. */
export function checkDraft({ dir, name, constraints }: Omit<AuthorityDraft, 'passphrase'>): void {
  readConstraints(constraints);
  if (!NAME.test(name))
    throw invalid('The name must be 1 to 64 letters, digits, spaces, dots, hyphens and underscores.');
  if (!existsSync(dir)) return;
  checkFolder(dir);
  for (const file of [ROOT_FILE, ROOT_KEY_FILE, Ledger.file]) refuseExisting(join(dir, file));
}

/** Makes the root and its folder. `authority-exists`, `authority-invalid`, `passphrase-invalid`. */
export async function createAuthority(draft: AuthorityDraft): Promise<Authority> {
  const { dir, passphrase, clock } = draft;
  checkDraft(draft);
  checkNewPassphrase(passphrase);
  const constraints = readConstraints(draft.constraints);
  const blank = blankProfile();
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw invalid(`${dir} can't be made: ${(error as Error).message}.`);
  }
  checkFolder(dir);

  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const pem = await selfSign({ ...draft, constraints }, privateKey, publicKey);
  const ledger = new Ledger(dir);
  // The key first: a root whose key is lost would look whole.
  write(join(dir, ROOT_KEY_FILE), encryptPrivateKey(privateKey, passphrase), 0o600);
  write(join(dir, ROOT_FILE), pem, 0o644);
  const profile = join(dir, PROFILE_FILE);
  if (!existsSync(profile)) write(profile, blank, 0o600);
  const authority = openAuthority(dir, passphrase);
  const { fingerprint, notAfter } = authority;
  ledger.append({ event: 'root', name: draft.name, fingerprint, notAfter, constraints }, clock);
  return authority;
}

async function selfSign(
  { name, constraints, clock, lifetime = ROOT_LIFETIME }: AuthorityDraft,
  privateKey: KeyObject,
  publicKey: KeyObject,
): Promise<string> {
  const now = epochSeconds(clock);
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  const subject = [{ CN: [name] }];
  const certificate = await X509CertificateGenerator.create({
    subject,
    issuer: subject,
    notBefore: new Date((now - BACKDATE) * 1000),
    notAfter: new Date((now + lifetime) * 1000),
    publicKey: spki,
    signingKey: await signingKey(privateKey),
    signingAlgorithm: SIGNATURE,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      new SubjectKeyIdentifierExtension(keyIdentifier(spki)),
      constraintsExtension(constraints),
    ],
  });
  return `${certificate.toString('pem').trim()}\n`;
}

/** `authority-invalid` for a folder or a file that is unfit, `passphrase-invalid` for a wrong passphrase. */
export function openAuthority(dir: string, passphrase: string): Authority {
  const authority = readAuthority(dir);
  const file = join(dir, ROOT_KEY_FILE);
  const key = decryptPrivateKey(readIssuerFile(file, true), passphrase, file);
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  if (!spki.equals(authority.certificate.publicKey.export({ format: 'der', type: 'spki' })))
    throw invalid(`${file} is not the key of ${ROOT_FILE}: they are of two roots.`);
  return { ...authority, key };
}

/** Reads the public half. `authority-invalid` for a folder or a certificate that is unfit. */
export function readAuthority(dir: string): PublicAuthority {
  checkFolder(dir);
  const file = join(dir, ROOT_FILE);
  const pem = readIssuerFile(file);
  const certificate = readRoot(pem, file);
  const constraints = constraintsOf(new X509CertificateAsn(certificate.raw).getExtension('2.5.29.30'));
  return {
    dir,
    certificate,
    pem,
    constraints,
    notBefore: seconds(certificate.validFrom),
    notAfter: seconds(certificate.validTo),
    fingerprint: fingerprintOf(certificate),
  };
}

function readRoot(pem: string, file: string): X509Certificate {
  const unfit = (why: string) => invalid(`${file} ${why}. Put it back from your copy.`);
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch {
    throw unfit('is no whole certificate in PEM');
  }
  if (pem.trim() !== certificate.toString().trim()) throw unfit('holds more than one certificate');
  const { asymmetricKeyDetails } = certificate.publicKey;
  if (!certificate.ca || asymmetricKeyDetails?.namedCurve !== 'secp384r1')
    throw unfit('is not our kind of root');
  if (!certificate.checkIssued(certificate) || !certificate.verify(certificate.publicKey))
    throw unfit('is not signed by its own key');
  return certificate;
}

function refuseExisting(file: string): void {
  if (!existsSync(file)) return;
  throw new CountersignError(
    'authority-exists',
    `There is ${file} already, and a root is never overwritten: choose another folder. Nothing was changed.`,
  );
}

function write(file: string, content: string, mode: number): void {
  try {
    createFile(file, content, mode);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') refuseExisting(file);
    throw invalid(`${file} can't be written: ${(error as Error).message}.`);
  }
}

function seconds(time: string): number {
  return Date.parse(time) / 1000;
}

function invalid(detail: string): CountersignError {
  return new CountersignError('authority-invalid', detail);
}
