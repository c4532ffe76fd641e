/** PKCS#12 bundles, as Java's own keytool opens them, and openssl. */
import { spawnSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { issueLeaf } from '../../src/issuer/leaf.ts';
import { toPkcs12 } from '../../src/issuer/private-key.ts';
import { p256 } from './hostile-request.ts';
import { refusal } from './refusal.ts';
import { hasOpenssl, openssl, removeRoots, rootFor, scratchFolder } from './scratch-root.ts';

const hasKeytool = spawnSync('keytool', ['-help']).status === 0;

beforeAll(() => {
  if (!hasKeytool) console.log('keytool is not installed: Java does not open the bundles here.');
  if (!hasOpenssl) console.log('openssl is not installed: it does not open the bundles here.');
});
afterAll(removeRoots);

const PASSPHRASE = 'a bundle for "Java" & Windows';

const keyTypes = [
  ['P-256', () => p256()],
  ['Ed25519', () => generateKeyPairSync('ed25519')],
  ['RSA', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
] as const;

/** A bundle in a file, and the passphrase in another. */
async function bundle(makeKeys: (typeof keyTypes)[number][1]) {
  const root = await rootFor({ uri: ['example.org'] });
  const { privateKey, publicKey } = makeKeys();
  const names = { dns: [], ip: [], uri: ['spiffe://example.org/shop'] };
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  const leaf = await issueLeaf(root, { spki, names, use: 'client' }, systemClock);
  const chain = [new X509Certificate(leaf.leafPem).raw, root.certificate.raw];
  const folder = scratchFolder();
  const [file, secret] = [join(folder, 'shop.p12'), join(folder, 'passphrase')];
  writeFileSync(file, toPkcs12({ key: privateKey, chain, name: 'shop', passphrase: PASSPHRASE }));
  writeFileSync(secret, PASSPHRASE);
  return { file, secret, leaf, root, privateKey };
}

describe.each(keyTypes)('a bundle with a key of %s', (_type, makeKeys) => {
  it.skipIf(!hasOpenssl)('is opened by openssl: the key, the leaf and the root', async () => {
    const { file, secret, leaf, root, privateKey } = await bundle(makeKeys);
    const { status, stdout } = openssl(['pkcs12', '-in', file, '-noenc', '-passin', `file:${secret}`]);
    expect(status).toBe(0);
    const certificates = stdout.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g);
    expect(certificates).toEqual([leaf.leafPem, root.pem]);
    const [key = ''] = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(stdout) ?? [];
    expect(createPrivateKey(key).equals(privateKey)).toBe(true);
    expect(stdout).toContain('friendlyName: shop');
  });

  it.skipIf(!hasKeytool)('is opened by keytool under its alias, with its chain', async () => {
    const { file, secret, leaf } = await bundle(makeKeys);
    const list = ['-J-Duser.language=en', '-list', '-v', '-storetype', 'PKCS12'];
    const { status, stdout } = spawnSync('keytool', [...list, '-keystore', file, '-storepass:file', secret], {
      encoding: 'utf8',
    });
    expect([status, stdout]).toEqual([0, expect.stringContaining('Alias name: shop')]);
    expect(stdout).toContain('Entry type: PrivateKeyEntry');
    expect(stdout).toContain('Certificate chain length: 2');
    expect(stdout.replaceAll(':', '').toLowerCase()).toContain(leaf.fingerprint);
  });
});

describe('a bundle', () => {
  it.skipIf(!hasOpenssl)("is as hard to guess as the root's key, and opens to nobody else", async () => {
    const { file, secret } = await bundle(() => p256());
    const told = openssl(['pkcs12', '-in', file, '-info', '-noout', '-passin', `file:${secret}`]).stderr;
    expect(told.match(/PBES2, PBKDF2, AES-256-CBC, Iteration 600000, PRF hmacWithSHA256/g)).toHaveLength(2);
    expect(told).toContain('MAC: sha256, Iteration 10000');
    expect(openssl(['pkcs12', '-in', file, '-noout', '-passin', 'pass:wrong']).status).not.toBe(0);
  });

  it.each([
    ['of 15 characters', 'x'.repeat(15)],
    ['that Java can not read', 'pässword-pässword'],
  ])('gets no passphrase %s', async (_what, passphrase) => {
    const made = () => toPkcs12({ key: p256().privateKey, chain: [], name: 'shop', passphrase });
    expect(await refusal(made)).toMatchObject({ code: 'passphrase-invalid' });
  });
});
