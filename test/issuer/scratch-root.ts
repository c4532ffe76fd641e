/**
 * Roots for tests, and the openssl command that judges what comes of them.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { createPrivateKey, webcrypto } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { type Authority, createAuthority } from '../../src/issuer/authority.ts';
import { keyIdentifier, SIGNATURE, signingKey } from '../../src/issuer/certificate.ts';
import type { NameConstraints } from '../../src/issuer/constraints.ts';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '../../src/issuer/x509.ts';

export const PASSPHRASE = 'correct horse battery staple';

/** A folder that the end of the test removes. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-ca-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const made = new Map<string, { root: Promise<Authority>; folder: string }>();

/** A root that permits these; one for a file of tests, since its passphrase takes its time by design. */
export function rootFor(given: Partial<NameConstraints>): Promise<Authority> {
  const constraints = { dns: [], ip: [], uri: [], ...given };
  const known = made.get(JSON.stringify(constraints));
  if (known) return known.root;
  const folder = mkdtempSync(join(tmpdir(), 'countersign-root-'));
  const dir = join(folder, 'issuer');
  const name = 'Test root';
  const root = createAuthority({ dir, name, constraints, passphrase: PASSPHRASE, clock: systemClock });
  made.set(JSON.stringify(constraints), { root, folder });
  return root;
}

/** For `afterAll`. */
export function removeRoots(): void {
  for (const { folder } of made.values()) rmSync(folder, { recursive: true, force: true });
  made.clear();
}

export type AltName = { type: 'dns' | 'ip' | 'url' | 'email'; value: string };

export interface Forgery {
  readonly names: readonly AltName[];
  readonly isAuthority?: boolean;
  readonly extendedUse?: readonly string[];
  /** Signs in place of the root; made by `forge`. */
  readonly signer?: { readonly cert: string; readonly key: string };
}

/** A certificate that the root's key signs past all checks, as a thief would have it. @returns PEM of cert and key. */
export async function forge(root: Authority, forgery: Forgery): Promise<{ cert: string; key: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const spki = Buffer.from(await webcrypto.subtle.exportKey('spki', keys.publicKey));
  const { signer } = forgery;
  const signerCertificate = new X509Certificate(signer?.cert ?? root.pem);
  const { extendedUse = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'], isAuthority = false } = forgery;
  const certificate = await X509CertificateGenerator.create({
    // An authority has to have a subject, and this one is never looked for by it.
    ...(isAuthority && { subject: 'CN=Authority' }),
    issuer: signerCertificate.subjectName,
    notBefore: new Date(systemClock.now() - 60_000),
    notAfter: new Date(systemClock.now() + 3600_000),
    publicKey: spki,
    signingKey: signer ? await p256Key(signer.key) : await signingKey(root.key),
    signingAlgorithm: signer ? { name: 'ECDSA', hash: 'SHA-256' } : SIGNATURE,
    extensions: [
      ...(isAuthority ? [new BasicConstraintsExtension(true, undefined, true)] : []),
      new SubjectAlternativeNameExtension([...forgery.names], true),
      new KeyUsagesExtension(isAuthority ? KeyUsageFlags.keyCertSign : KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([...extendedUse]),
      new AuthorityKeyIdentifierExtension(keyIdentifier(Buffer.from(signerCertificate.publicKey.rawData))),
      new SubjectKeyIdentifierExtension(keyIdentifier(spki)),
    ],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    cert: `${certificate.toString('pem').trim()}\n`,
    key: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`,
  };
}

function p256Key(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });
  return webcrypto.subtle.importKey('pkcs8', der, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
}

export interface Said {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Whether openssl can be asked at all. */
export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

export function openssl(args: readonly string[], input = ''): Said {
  const { status, stdout, stderr } = spawnSync('openssl', args, { input, encoding: 'utf8' });
  return { status, stdout, stderr };
}

/** What `openssl verify -x509_strict` says of a chain. @param untrusted certificates on the way to the root, PEM. */
export function strictly(
  root: Authority,
  chain: string,
  purpose: 'sslserver' | 'sslclient',
  untrusted?: string,
): Said {
  const folder = scratchFolder();
  const [file, between] = [join(folder, 'chain.pem'), join(folder, 'untrusted.pem')];
  writeFileSync(file, chain);
  writeFileSync(between, untrusted ?? '');
  const trusted = join(root.dir, 'root.pem');
  const way = untrusted === undefined ? [] : ['-untrusted', between];
  return openssl(['verify', '-x509_strict', '-purpose', purpose, '-CAfile', trusted, ...way, file]);
}
