/**
 * The trust bundle: the roots that the fleet is to trust, with a version and an end, signed offline by roots. Who trusts
 * one of the signers takes the roots in it over; nobody else's word counts, the gateway's that hands it out least of all.
 * It is the same file on the issuer's box, in the outbox and behind `GET /v1/trust-bundle`:
 *
 *   { "bundle": base64 of { "version", "created", "expires", "roots": [PEM] },
 *     "signatures": [ { "root": SHA-256 of the signer's DER in hex, "signature": base64, ECDSA with SHA-384 } ] }
 *
 * The signature is over the bytes that `bundle` holds, after a line that names their purpose.
 * @module
 */
import { createHash, sign } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, epochSeconds } from '../clock.ts';
import type { Authority, PublicAuthority } from './authority.ts';
import { replaceFile } from './folder.ts';
import type { Ledger } from './ledger.ts';

export const BUNDLE_FILE = 'trust-bundle.json';

/** Seconds for which a bundle is taken over; a pass makes the next version when half of them are over. */
const BUNDLE_SECONDS = 30 * 24 * 3600;

/** Before the signed bytes, so that no signature made for something else is one of these. */
export const BUNDLE_PURPOSE = 'countersign-trust-bundle-v1\n';

/** A bundle as the ledger has it. */
export interface BundleRow {
  readonly version: number;
  /** Epoch seconds. */
  readonly created: number;
  /** SHA-256 of the signed bytes, in hex. */
  readonly digest: string;
  /** SHA-256 of each root's DER, in hex. */
  readonly roots: readonly string[];
}

/**
 * Makes the next version, where the newest one is another set of roots, has lost half of its life, or isn't there any
 * more. Call it under the issuer's lock. @returns whether it made one.
 */
export function keepBundle(
  ledger: Ledger,
  newest: BundleRow | undefined,
  roots: readonly PublicAuthority[],
  signers: readonly Authority[],
  clock: Clock,
): boolean {
  const [dir] = roots.map((root) => root.dir);
  if (dir === undefined) return false;
  const now = epochSeconds(clock);
  const fingerprints = roots.map(({ fingerprint }) => fingerprint);
  const isSame = newest !== undefined && newest.roots.join() === fingerprints.join();
  if (isSame && now < newest.created + BUNDLE_SECONDS / 2 && digestOf(dir) === newest.digest) return false;
  const version = (newest?.version ?? 0) + 1;
  const expires = now + BUNDLE_SECONDS;
  const bytes = Buffer.from(
    JSON.stringify({ version, created: now, expires, roots: roots.map(({ pem }) => pem) }),
  );
  const signatures = signers.map(({ fingerprint, key }) => ({
    root: fingerprint,
    signature: sign('sha384', Buffer.concat([Buffer.from(BUNDLE_PURPOSE), bytes]), key).toString('base64'),
  }));
  // The ledger first, so that no two bundles ever have one version.
  ledger.append(
    { event: 'bundle', version, created: now, digest: sha256(bytes), roots: fingerprints },
    clock,
  );
  const text = `${JSON.stringify({ bundle: bytes.toString('base64'), signatures }, null, 2)}\n`;
  replaceFile(join(dir, BUNDLE_FILE), text, 0o644);
  return true;
}

/** The newest bundle as it is handed out; undefined where there is none yet. @param dir the issuer's folder. */
export function readBundleFile(dir: string): string | undefined {
  const file = join(dir, BUNDLE_FILE);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

function digestOf(dir: string): string | undefined {
  const text = readBundleFile(dir);
  if (text === undefined) return undefined;
  try {
    return sha256(Buffer.from(JSON.parse(text).bundle, 'base64'));
  } catch {
    return undefined;
  }
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
