/**
 * An issuer that is worked by its commands, as an operator does, with requesters that drop what a gateway would.
 * @module
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { certificateRequest, newCertificateKey } from '../../src/client/certificate/certificate-request.ts';
import { dropRequest } from '../../src/client/certificate/request-files.ts';
import { temporaryFolder } from '../e2e/processes.ts';
import { type Operator, operator } from './commands.ts';

const PROFILE = `
requesters:
  gateway: { use: both, dns: [localhost.example.org] }
`;

export interface OfflineIssuer {
  readonly admin: Operator;
  readonly dir: string;
  readonly inbox: string;
  readonly outbox: string;
  readonly passphraseFile: string;
  /** What `ca issue --once` and `ca run` are given. */
  readonly folders: readonly string[];
  /** The public half of the request key. */
  readonly publicKeyFile: string;
  readonly root: X509Certificate;
  /** Drops a request. @returns the key of the certificate that is asked for. */
  drop(id: string, sequence: number, dns?: string): KeyObject;
  chainFile(id: string): string;
}

/** Makes the root and enrols the requester "gateway". */
export async function offlineIssuer(): Promise<OfflineIssuer> {
  const folder = temporaryFolder();
  const at = (name: string) => join(folder, name);
  const [dir, inbox, outbox] = [at('issuer'), at('inbox'), at('outbox')];
  const [passphraseFile, publicKeyFile] = [at('passphrase'), at('request.pub.pem')];
  const admin = operator(at('data'));
  writeFileSync(passphraseFile, 'correct horse battery staple\n', { mode: 0o600 });
  await admin.json([
    ...['ca', 'init', '--dir', dir, '--name', 'Offline root'],
    ...['--permit-dns', 'example.org', '--passphrase-file', passphraseFile],
  ]);
  writeFileSync(join(dir, 'profile.yaml'), PROFILE, { mode: 0o600 });
  for (const each of [inbox, outbox]) mkdirSync(each);
  const { privateKey } = generateKeyPairSync('ed25519');
  writeFileSync(publicKeyFile, createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }));
  const enrolled = await admin.json(['ca', 'enrol', 'gateway', '--dir', dir, '--key', publicKeyFile]);
  expect(enrolled).toMatchObject({ requester: 'gateway', change: 'enrolled' });
  const root = new X509Certificate(readFileSync(join(dir, 'root.pem')));
  return {
    ...{ admin, dir, inbox, outbox, passphraseFile, publicKeyFile, root },
    folders: [
      ...['--dir', dir, '--inbox', inbox, '--outbox', outbox],
      ...['--passphrase-file', passphraseFile],
    ],
    drop(id, sequence, dns = 'localhost.example.org') {
      const key = newCertificateKey();
      const csr = certificateRequest(key, { dns: [dns], ip: [], uri: [] });
      const created = Math.floor(Date.now() / 1000);
      dropRequest(inbox, { id, csr, requester: 'gateway', use: 'both', root, created, sequence }, privateKey);
      return key;
    },
    chainFile: (id) => join(outbox, `${id}.pem`),
  };
}
