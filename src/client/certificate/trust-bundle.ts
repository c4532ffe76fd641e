/**
 * The trust bundle as its receivers see it: the roots to trust from now on, signed offline by a root that is trusted
 * already. Whoever carries it or hands it out adds nothing to that, and can at worst hold it back. A lower version than
 * the one that was taken over is refused, and so is one that has expired; the first one is pinned by a fingerprint.
 *
 * A signer vouches for its successors alone: all roots in it have the signer's subject name and may vouch for the same
 * names, so that a stolen root makes no wider one. Roots of another name that are trusted here stay as they are.
 * @module
 */
import { createHash, type KeyObject, sign, verify, type X509Certificate } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CountersignError } from '../../errors.ts';
import { parseCertificates } from './certificate.ts';
import { elementsOf } from './der.ts';
import { readPlainFile, replaceFile } from './durable-file.ts';
import { fingerprintOf } from './request-files.ts';

export const BUNDLE_FILE = 'trust-bundle.json';

const PURPOSE = Buffer.from('countersign-trust-bundle-v1\n');
const ACKNOWLEDGEMENT = Buffer.from('countersign-acknowledgement-v1\n');

/**
 * Seconds after which a bundle is acknowledged again: the file may have been lost on its way, or refused, since the
 * request key was not enrolled yet.
 */
const ACKNOWLEDGED_FOR = 24 * 3600;

/** Two while one takes the other's place. */
const MOST_ROOTS = 4;

export interface TrustBundle {
  readonly version: number;
  /** Epoch seconds. */
  readonly expires: number;
  readonly roots: readonly X509Certificate[];
  /** SHA-256 of the signed bytes, in hex. */
  readonly digest: string;
}

export interface BundleExpectation {
  /** Roots that are trusted already, or the SHA-256 of the DER of the first one, in hex with colons or without. */
  readonly trusted: readonly X509Certificate[] | string;
  /** The version that was taken over last; 0 before the first. */
  readonly version: number;
  /** Epoch seconds. */
  readonly now: number;
}

/** `trust-bundle-invalid`, with why it isn't believed. */
export function readTrustBundle(text: string, { trusted, version, now }: BundleExpectation): TrustBundle {
  const { bytes, signatures } = openEnvelope(text);
  const bundle = parseBundle(bytes);
  const known =
    typeof trusted === 'string'
      ? bundle.roots.filter((root) => fingerprintOf(root) === trusted.replaceAll(':', '').toLowerCase())
      : trusted;
  const signed = Buffer.concat([PURPOSE, bytes]);
  const signer = known.find((root) =>
    signatures.some(
      ({ root: name, signature }) =>
        name === fingerprintOf(root) &&
        verify('sha384', signed, root.publicKey, Buffer.from(signature, 'base64')),
    ),
  );
  if (!signer) throw invalid('no root that is trusted here has signed it');
  if (now >= bundle.expires) throw invalid(`it expired at ${new Date(bundle.expires * 1000).toISOString()}`);
  if (bundle.version < version) {
    throw invalid(`its version is ${bundle.version}, and ${version} was taken over already`);
  }
  if (bundle.roots.some((root) => root.subject !== signer.subject)) {
    throw invalid('it has a root of another name than its signer');
  }
  const powers = powersOf(signer);
  if (bundle.roots.some((root) => powersOf(root) !== powers)) {
    throw invalid('it has a root that may vouch for something else than its signer');
  }
  return bundle;
}

interface Signature {
  readonly root: string;
  readonly signature: string;
}

function openEnvelope(text: string): { bytes: Buffer; signatures: readonly Signature[] } {
  const { bundle, signatures } = objectOf(text);
  const isWhole =
    typeof bundle === 'string' &&
    Array.isArray(signatures) &&
    signatures.length <= MOST_ROOTS &&
    signatures.every((each) => typeof each?.root === 'string' && typeof each.signature === 'string');
  if (!isWhole) throw invalid('it is no bundle');
  return { bytes: Buffer.from(bundle, 'base64'), signatures };
}

function parseBundle(bytes: Buffer): TrustBundle {
  const { version, expires, roots } = objectOf(bytes.toString('utf8'));
  const isWhole =
    Number.isSafeInteger(version) &&
    Number.isSafeInteger(expires) &&
    Array.isArray(roots) &&
    roots.length > 0 &&
    roots.length <= MOST_ROOTS &&
    roots.every((root) => typeof root === 'string');
  if (!isWhole) throw invalid('it is no bundle');
  const parsed = parseCertificates(roots.join('\n'));
  if (parsed.length !== roots.length || !parsed.every(isRoot)) throw invalid('it holds what is no root');
  const digest = createHash('sha256').update(bytes).digest('hex');
  return { version: version as number, expires: expires as number, roots: parsed, digest };
}

function isRoot(certificate: X509Certificate): boolean {
  return certificate.ca && certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}

/** RFC 5280 sections 4.2.1.1 and 4.2.1.2: they name keys, and grant nothing. */
const KEY_IDENTIFIERS: ReadonlySet<string> = new Set(['551d0e', '551d23']);

/** Every extension that says what the root may do, its name constraints above all, as it stands in the certificate. */
function powersOf({ raw }: X509Certificate): string {
  const [toBeSigned] = elementsOf(elementsOf(raw)[0]?.content ?? raw);
  const extensions = elementsOf(toBeSigned?.content ?? raw).find(({ tag }) => tag === 0xa3);
  const listed = extensions ? elementsOf(elementsOf(extensions.content)[0]?.content ?? raw) : [];
  return listed
    .filter(({ content }) => !KEY_IDENTIFIERS.has(elementsOf(content)[0]?.content.toString('hex') ?? ''))
    .map(({ content }) => content.toString('hex'))
    .sort()
    .join(' ');
}

function objectOf(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Told below.
  }
  throw invalid('it is not JSON');
}

export interface FollowOptions {
  /** The certificate folder, with `trust.pem`. */
  readonly folder: string;
  /** Ed25519, private. */
  readonly requestKey: KeyObject;
  readonly requester: string;
  /** Where an acknowledgement is dropped. */
  readonly inbox: string;
  /** Where the issuer puts the bundle. */
  readonly outbox: string;
  /** Epoch seconds. */
  readonly now: number;
}

/**
 * Takes over the bundle that lies in the outbox, where it is newer than the last, and acknowledges it to the issuer. Call
 * it often: it does nothing where nothing has changed, and ends what was cut off.
 * @returns the version that was taken over now; undefined where none was. `trust-bundle-invalid`.
 */
export function followTrustBundle(options: FollowOptions): number | undefined {
  const { folder, outbox, now } = options;
  const held = readPlainFile(join(folder, BUNDLE_FILE));
  const offered = readPlainFile(join(outbox, BUNDLE_FILE));
  let taken: number | undefined;
  if (offered !== undefined && offered !== held) {
    const before = held === undefined ? undefined : parseBundle(openEnvelope(held).bytes);
    const trusted = parseCertificates(readPlainFile(join(folder, 'trust.pem')) ?? '');
    const bundle = readTrustBundle(offered, { trusted, version: before?.version ?? 0, now });
    if (bundle.version === before?.version && bundle.digest !== before.digest) {
      throw invalid(`it is another bundle of version ${bundle.version} than the one that was taken over`);
    }
    if (bundle.version !== before?.version) {
      const name = bundle.roots[0]?.subject;
      const others = trusted.filter(({ subject }) => subject !== name);
      const pem = [...bundle.roots, ...others].map((root) => root.toString()).join('');
      // Trust first: what is acknowledged must be trusted, and what was cut off here is taken over again.
      replaceFile(join(folder, 'trust.pem'), pem, 0o644);
      taken = bundle.version;
    }
    // The same one in other words, such as with fewer signatures, brings back no root that was taken out by hand since.
    replaceFile(join(folder, BUNDLE_FILE), offered, 0o644);
  }
  acknowledge(options);
  return taken;
}

function acknowledge({ folder, requestKey, requester, inbox, now }: FollowOptions): void {
  const held = readPlainFile(join(folder, BUNDLE_FILE));
  if (held === undefined) return;
  const { version, digest } = parseBundle(openEnvelope(held).bytes);
  const mark = join(folder, 'acknowledged');
  const [of, at] = (readPlainFile(mark) ?? '').split(' ').map(Number);
  const isFresh = at !== undefined && at <= now && now - at < ACKNOWLEDGED_FOR;
  if (of === version && isFresh) return;
  const document = Buffer.from(JSON.stringify({ requester, version, digest, created: now }));
  const signature = sign(null, Buffer.concat([ACKNOWLEDGEMENT, document]), requestKey).toString('base64');
  const text = JSON.stringify({ document: document.toString('base64'), signature });
  mkdirSync(inbox, { recursive: true });
  replaceFile(join(inbox, `${requester}-bundle-${version}.ack`), `${text}\n`, 0o644);
  replaceFile(mark, `${version} ${now}\n`);
}

function invalid(why: string): CountersignError {
  return new CountersignError('trust-bundle-invalid', `The trust bundle is not believed: ${why}.`);
}
