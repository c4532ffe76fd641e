/**
 * Leaves: built, rehearsed with a twin in a TLS handshake, signed, looked at again.
 * @module
 */
import { generateKeyPair, type KeyObject, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import { type Clock, epochSeconds, systemClock } from '../clock.ts';
import { CountersignError } from '../errors.ts';
import type { Authority } from './authority.ts';
import { altNamesExtension, fingerprintOf, keyIdentifier, SIGNATURE, signingKey } from './certificate.ts';
import { checkConstraints } from './constraints.ts';
import { ipOctets } from './ip-address.ts';
import { type CertificateUse, type Names, readNames } from './names.ts';
import { MAX_LIFETIME } from './profile.ts';
import { type PublicKey, readPublicKey } from './public-key.ts';
import { type Identity, rehearse } from './rehearsal.ts';
import {
  AuthorityKeyIdentifierExtension,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate as X509CertificateAsn,
  X509CertificateGenerator,
} from './x509.ts';

/** Seconds that a leaf begins before now, for clocks that lag. */
export const BACKDATE = 60;

export interface LeafDraft {
  /** DER; from `readRequest`, which has checked it. */
  readonly spki: Buffer;
  readonly names: Names;
  readonly use: CertificateUse;
  /** Seconds from now; 12 hours at most, and by default. */
  readonly lifetime?: number;
}

export interface Leaf {
  readonly leafPem: string;
  /** The leaf and then the root, so that tools can show both. */
  readonly chainPem: string;
  /** As `X509Certificate.serialNumber` and a peer's certificate show it: upper-case hex. */
  readonly serial: string;
  /** SHA-256 of the leaf's DER, lower-case hex. */
  readonly fingerprint: string;
  /** Epoch seconds, both. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Epoch seconds, both. */
export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

const SERVER = '1.3.6.1.5.5.7.3.1';
const CLIENT = '1.3.6.1.5.5.7.3.2';
const EXTENDED: Readonly<Record<CertificateUse, readonly string[]>> = {
  server: [SERVER],
  client: [CLIENT],
  both: [SERVER, CLIENT],
};

const makeKeyPair = promisify(generateKeyPair);

/**
 * `certificate-request-refused` for names outside the root's constraints, `authority-invalid` where the root has ended,
 * `certificate-invalid` where the twin's handshake or the look at the leaf fails: then no leaf is given.
 */
export async function issueLeaf(authority: Authority, draft: LeafDraft, clock: Clock): Promise<Leaf> {
  const names = readNames(draft.names);
  checkConstraints(names, authority.constraints);
  const publicKey = readPublicKey(draft.spki);
  const validity = leafValidity(authority, draft.lifetime ?? MAX_LIFETIME, epochSeconds(clock));
  const plan = { ...validity, use: draft.use, names, serial: randomBytes(16).toString('hex') };

  const { privateKey, publicKey: spki } = await throwaway(publicKey);
  const twin = await sign(authority, { ...plan, ...atThisTime(validity), spki });
  const { pem: root } = authority;
  const key = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const standIn = await selfSigned();
  await rehearse({ twin: { cert: twin, key }, use: draft.use, names, root, standIn });

  const leafPem = await sign(authority, { ...plan, spki: draft.spki });
  const leaf = new X509Certificate(leafPem);
  inspect(leaf, authority, { ...plan, spki: draft.spki });
  return {
    leafPem,
    chainPem: leafPem + root,
    serial: leaf.serialNumber,
    fingerprint: fingerprintOf(leaf),
    ...validity,
  };
}

/** When a leaf of this life, made now, begins and ends: within its signer's life. All in (epoch) seconds. */
export function leafValidity(signer: Validity, lifetime: number, now: number): Validity {
  if (!(lifetime > 0 && lifetime <= MAX_LIFETIME))
    throw new CountersignError('certificate-invalid', 'A leaf lives 12 hours at most, and more than none.');
  if (now < signer.notBefore || now >= signer.notAfter)
    throw new CountersignError(
      'authority-invalid',
      now < signer.notBefore
        ? 'The root is not valid yet: is the clock right?'
        : 'The root has ended: make the next one.',
    );
  return {
    notBefore: Math.max(now - BACKDATE, signer.notBefore),
    notAfter: Math.min(now + Math.floor(lifetime), signer.notAfter),
  };
}

/**
 * OpenSSL compares a twin's dates with the machine's clock. Where that is the issuer's clock too, which it is but in a
 * rehearsal of other times, this changes nothing.
 */
function atThisTime({ notBefore, notAfter }: Validity): Validity {
  const machine = epochSeconds(systemClock);
  return { notBefore: Math.min(notBefore, machine), notAfter: Math.max(notAfter, machine + BACKDATE) };
}

interface Plan extends Validity {
  readonly spki: Buffer;
  readonly names: Names;
  readonly use: CertificateUse;
  /** 128 random bits, hex. */
  readonly serial: string;
}

/** The subject is empty, and so the names are critical (RFC 5280 section 4.1.2.6). */
async function sign(authority: Authority, { spki, names, use, serial, ...validity }: Plan): Promise<string> {
  const root = new X509CertificateAsn(authority.certificate.raw);
  const rootKey = authority.certificate.publicKey.export({ format: 'der', type: 'spki' });
  const extensions: Extension[] = [
    altNamesExtension(names),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([...EXTENDED[use]]),
    new AuthorityKeyIdentifierExtension(keyIdentifier(rootKey)),
    new SubjectKeyIdentifierExtension(keyIdentifier(spki)),
  ];
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serial,
    issuer: root.subjectName,
    notBefore: new Date(validity.notBefore * 1000),
    notAfter: new Date(validity.notAfter * 1000),
    publicKey: spki,
    signingKey: await signingKey(authority.key),
    signingAlgorithm: SIGNATURE,
    extensions,
  });
  return `${certificate.toString('pem').trim()}\n`;
}

/** A key pair of the same type and size, for the twin alone: its private half never leaves this process. */
async function throwaway({ type, key }: PublicKey): Promise<{ privateKey: KeyObject; publicKey: Buffer }> {
  const pair = await (() => {
    if (type === 'rsa')
      return makeKeyPair('rsa', { modulusLength: key.asymmetricKeyDetails?.modulusLength ?? 2048 });
    if (type === 'ed25519') return makeKeyPair('ed25519');
    return makeKeyPair('ec', { namedCurve: type === 'p-256' ? 'P-256' : 'P-384' });
  })();
  const publicKey = pair.publicKey.export({ format: 'der', type: 'spki' });
  return { privateKey: pair.privateKey, publicKey };
}

async function selfSigned(): Promise<Identity> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({ keys });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const key = `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`;
  return { cert: certificate.toString('pem'), key };
}

/** The leaf as another reader than its writer sees it. `certificate-invalid`. */
function inspect(leaf: X509Certificate, { certificate: root }: Authority, plan: Plan): void {
  const { spki, names, use, serial, notBefore, notAfter } = plan;
  const holds: Readonly<Record<string, boolean>> = {
    issuer: leaf.checkIssued(root) && leaf.verify(root.publicKey),
    key: leaf.publicKey.export({ format: 'der', type: 'spki' }).equals(spki),
    serial: BigInt(`0x${leaf.serialNumber}`) === BigInt(`0x${serial}`),
    notBefore: Date.parse(leaf.validFrom) === notBefore * 1000,
    notAfter: Date.parse(leaf.validTo) === notAfter * 1000,
    signer: Date.parse(leaf.validTo) <= Date.parse(root.validTo),
    authority: !leaf.ca,
    subject: !leaf.subject,
    names: leaf.subjectAltName === altNameText(names),
    use: (leaf.keyUsage ?? []).join() === EXTENDED[use].join(),
  };
  const [fault] = Object.keys(holds).filter((each) => !holds[each]);
  if (fault === undefined) return;
  throw new CountersignError(
    'certificate-invalid',
    `The certificate came out wrong, and was not issued: ${fault}. This is a defect; please report it.`,
  );
}

/** As OpenSSL writes it; the grammar of names leaves nothing to escape. */
function altNameText({ dns, ip, uri }: Names): string {
  return [
    ...dns.map((name) => `DNS:${name}`),
    ...ip.map((address) => `IP Address:${addressText(address)}`),
    ...uri.map((name) => `URI:${name}`),
  ].join(', ');
}

function addressText(address: string): string {
  if (!address.includes(':')) return address;
  const groups = ipOctets(address)?.toString('hex').match(/.{4}/g) ?? [];
  return groups.map((group) => Number.parseInt(group, 16).toString(16).toUpperCase()).join(':');
}
