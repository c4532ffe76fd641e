/** The root's folder: how it is made, what OpenSSL makes of it, and what is refused of it. */
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createAuthority, openAuthority, ROOT_LIFETIME, readAuthority } from '../../src/issuer/authority.ts';
import { Ledger } from '../../src/issuer/ledger.ts';
import { encryptPrivateKey } from '../../src/issuer/private-key.ts';
import { p256 } from './hostile-request.ts';
import { refusal } from './refusal.ts';
import { hasOpenssl, openssl, PASSPHRASE, removeRoots, rootFor, scratchFolder } from './scratch-root.ts';

afterAll(removeRoots);

const WHOLE = { dns: ['example.org'], ip: ['10.0.0.0/8'], uri: ['example.org'] };

/** A copy of a good root's folder, for a test to spoil. */
async function copy(): Promise<string> {
  const { dir } = await rootFor(WHOLE);
  const target = join(scratchFolder(), 'issuer');
  cpSync(dir, target, { recursive: true });
  chmodSync(target, 0o700);
  return target;
}

const draft = (dir: string) => ({
  dir,
  name: 'Test root',
  constraints: WHOLE,
  passphrase: PASSPHRASE,
  clock: systemClock,
});

describe('a new root', () => {
  it('lies in a folder that its owner alone can enter, with its key, its profile and its ledger', async () => {
    const { dir } = await rootFor(WHOLE);
    const mode = (file: string) => statSync(join(dir, file)).mode & 0o777;
    expect(readdirSync(dir).sort()).toEqual(['ledger.jsonl', 'profile.yaml', 'root.key', 'root.pem']);
    expect([mode('.'), mode('root.key')]).toEqual([0o700, 0o600]);
    expect(new Ledger(dir).last).toMatchObject({ seq: 1, event: 'root', name: 'Test root' });
    expect(readFileSync(join(dir, 'profile.yaml'), 'utf8')).toBe(
      readFileSync(join(import.meta.dirname, '../../certs/profile.yaml'), 'utf8'),
    );
  });

  it('is of P-384, signs certificates alone, and no further authorities', async () => {
    const { certificate, notBefore, notAfter } = await rootFor(WHOLE);
    expect(certificate.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'secp384r1' });
    expect([certificate.ca, certificate.subject]).toEqual([true, 'CN=Test root']);
    expect(notAfter - notBefore).toBe(ROOT_LIFETIME + 60);
  });

  it.skipIf(!hasOpenssl)('shows its limits as critical', async () => {
    const { dir } = await rootFor(WHOLE);
    const { stdout } = openssl(['x509', '-in', join(dir, 'root.pem'), '-noout', '-text']);
    const text = stdout.replace(/\s+/g, ' ');
    expect(text).toContain('Basic Constraints: critical CA:TRUE, pathlen:0 ');
    expect(text).toContain('Key Usage: critical Certificate Sign ');
    expect(text).toContain(
      'Name Constraints: critical Permitted: DNS:example.org URI:example.org email:invalid IP:10.0.0.0/255.0.0.0 Excluded: email:invalid IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0 ',
    );
  });

  it('has a key that Node and OpenSSL both open, and open to the same', async () => {
    const { dir, certificate } = await rootFor(WHOLE);
    const file = join(dir, 'root.key');
    const key = createPrivateKey({ key: readFileSync(file), passphrase: PASSPHRASE });
    const spki = certificate.publicKey.export({ format: 'pem', type: 'spki' });
    expect(createPublicKey(key).export({ format: 'pem', type: 'spki' })).toBe(spki);
    if (!hasOpenssl) return;
    expect(openssl(['pkey', '-in', file, '-passin', 'stdin', '-pubout'], `${PASSPHRASE}\n`).stdout).toBe(
      spki,
    );
  });

  it.skipIf(!hasOpenssl)('has it under 600,000 rounds of HMAC-SHA-256 and AES-256', async () => {
    const { dir } = await rootFor(WHOLE);
    const { stdout } = openssl(['asn1parse', '-in', join(dir, 'root.key')]);
    const objects = [...stdout.matchAll(/OBJECT\s+:(\S+)/g)].map(([, name]) => name);
    expect(objects).toEqual(['PBES2', 'PBKDF2', 'hmacWithSHA256', 'aes-256-cbc']);
    const integers = [...stdout.matchAll(/INTEGER\s+:([0-9A-F]+)/g)].map(([, hex = '']) => parseInt(hex, 16));
    expect(integers).toEqual([600_000, 32]);
    const salts = [...stdout.matchAll(/OCTET STRING\s+\[HEX DUMP\]:([0-9A-F]+)/g)].map(
      ([, hex = '']) => hex.length / 2,
    );
    expect(salts.slice(0, 2)).toEqual([16, 16]);
  });

  it('keeps a profile that lies there already', async () => {
    const dir = scratchFolder();
    writeFileSync(join(dir, 'profile.yaml'), 'requesters: {}\n');
    await createAuthority(draft(dir));
    expect(readFileSync(join(dir, 'profile.yaml'), 'utf8')).toBe('requesters: {}\n');
  });

  it('takes a passphrase of any letters', async () => {
    const dir = join(scratchFolder(), 'issuer');
    const passphrase = 'Füchse, 狐 und 🦊 im Wald';
    const { fingerprint } = await createAuthority({ ...draft(dir), passphrase });
    expect(openAuthority(dir, passphrase).fingerprint).toBe(fingerprint);
    if (!hasOpenssl) return;
    const read = openssl(
      ['pkey', '-in', join(dir, 'root.key'), '-passin', 'stdin', '-noout'],
      `${passphrase}\n`,
    );
    expect(read).toMatchObject({ status: 0 });
  });
});

describe('no root is made', () => {
  it('with a passphrase shorter than 16 characters', async () => {
    const dir = join(scratchFolder(), 'issuer');
    const short = await refusal(() => createAuthority({ ...draft(dir), passphrase: '狐'.repeat(15) }));
    expect(short).toEqual({ code: 'passphrase-invalid', detail: expect.stringContaining('16 characters') });
    expect(existsSync(dir)).toBe(false);
  });

  it('with one that OpenSSL would cut off', async () => {
    const dir = join(scratchFolder(), 'issuer');
    const long = await refusal(() => createAuthority({ ...draft(dir), passphrase: 'a'.repeat(1001) }));
    expect(long.code).toBe('passphrase-invalid');
  });

  it('over another', async () => {
    const dir = await copy();
    const before = readFileSync(join(dir, 'root.key'));
    expect(await refusal(() => createAuthority(draft(dir)))).toMatchObject({ code: 'authority-exists' });
    expect(readFileSync(join(dir, 'root.key'))).toEqual(before);
  });

  it.each(['root.pem', 'root.key', 'ledger.jsonl'])('where another has left its %s', async (file) => {
    const dir = scratchFolder();
    writeFileSync(join(dir, file), '');
    expect(await refusal(() => createAuthority(draft(dir)))).toMatchObject({ code: 'authority-exists' });
    expect(readdirSync(dir)).toEqual([file]);
  });

  it.each([0o750, 0o705, 0o701, 0o770])('in a folder of mode %o', async (mode) => {
    const dir = scratchFolder();
    chmodSync(dir, mode);
    const { code, detail } = await refusal(() => createAuthority(draft(dir)));
    expect([code, readdirSync(dir)]).toEqual(['authority-invalid', []]);
    expect(detail).toContain(`chmod 700 ${dir}`);
  });

  it.each(['', ' x', 'a\nb', 'a,CN=b', 'x'.repeat(65), 'Füchse'])('by the name %j', async (name) => {
    const { code } = await refusal(() =>
      createAuthority({ ...draft(join(scratchFolder(), 'issuer')), name }),
    );
    expect(code).toBe('authority-invalid');
  });

  it('where a file has the name of the folder', async () => {
    const dir = join(scratchFolder(), 'issuer');
    writeFileSync(dir, '');
    expect(await refusal(() => createAuthority(draft(dir)))).toMatchObject({ code: 'authority-invalid' });
  });
});

describe('a root is not opened', () => {
  it.each(['wrong passphrase here', '', `${PASSPHRASE} `, 'x'.repeat(5000)])(
    'with the passphrase %.20j',
    async (passphrase) => {
      const dir = await copy();
      expect(await refusal(() => openAuthority(dir, passphrase))).toMatchObject({
        code: 'passphrase-invalid',
      });
    },
  );

  it('from a key file that is cut off anywhere', async () => {
    const dir = await copy();
    const file = join(dir, 'root.key');
    const whole = readFileSync(file);
    for (let length = 0; length < whole.length - 1; length += 7) {
      writeFileSync(file, whole.subarray(0, length));
      const { code, detail } = await refusal(() => openAuthority(dir, PASSPHRASE));
      expect([length, code]).toEqual([length, 'authority-invalid']);
      expect(detail).toContain('cut off');
    }
  });

  it('from a key file whose lines lack their end', async () => {
    const dir = await copy();
    const file = join(dir, 'root.key');
    const lines = readFileSync(file, 'utf8').split('\n');
    lines.splice(-3, 1);
    writeFileSync(file, lines.join('\n'));
    expect(await refusal(() => openAuthority(dir, PASSPHRASE))).toMatchObject({ code: 'authority-invalid' });
  });

  it('from a key that is not encrypted', async () => {
    const dir = await copy();
    const { key } = await rootFor(WHOLE);
    writeFileSync(join(dir, 'root.key'), key.export({ format: 'pem', type: 'pkcs8' }));
    const { code, detail } = await refusal(() => openAuthority(dir, PASSPHRASE));
    expect([code, detail]).toEqual(['authority-invalid', expect.stringContaining('encrypted')]);
  });

  it('with the key of another', async () => {
    const dir = await copy();
    writeFileSync(join(dir, 'root.key'), encryptPrivateKey(p256().privateKey, PASSPHRASE));
    const { code, detail } = await refusal(() => openAuthority(dir, PASSPHRASE));
    expect([code, detail]).toEqual(['authority-invalid', expect.stringContaining('not the key')]);
  });

  it('from a folder, or a key, that others can read', async () => {
    const dir = await copy();
    chmodSync(join(dir, 'root.key'), 0o640);
    const key = await refusal(() => openAuthority(dir, PASSPHRASE));
    expect([key.code, key.detail]).toEqual(['authority-invalid', expect.stringContaining('chmod 600')]);
    chmodSync(dir, 0o750);
    const folder = await refusal(() => openAuthority(dir, PASSPHRASE));
    expect([folder.code, folder.detail]).toEqual(['authority-invalid', expect.stringContaining('chmod 700')]);
  });

  it.each(['root.pem', 'root.key'])('without its %s', async (file) => {
    const dir = await copy();
    rmSync(join(dir, file));
    expect(await refusal(() => openAuthority(dir, PASSPHRASE))).toMatchObject({ code: 'authority-invalid' });
  });

  it('where there is none', async () => {
    const nowhere = join(scratchFolder(), 'nowhere');
    expect(await refusal(() => openAuthority(nowhere, PASSPHRASE))).toMatchObject({
      code: 'authority-invalid',
    });
    mkdirSync(nowhere, { mode: 0o700 });
    expect(await refusal(() => openAuthority(nowhere, PASSPHRASE))).toMatchObject({
      code: 'authority-invalid',
    });
  });
});

describe('a certificate is not taken for a root', () => {
  it.each([
    ['cut off', (pem: string) => pem.slice(0, 300), 'no whole certificate'],
    ['followed by another', (pem: string) => pem + pem, 'more than one certificate'],
    ['empty', () => '', 'no whole certificate'],
    ['changed in one byte of its signature', (pem: string) => spoilt(pem), 'not signed by its own key'],
  ])('that is %s', async (_what, change, why) => {
    const dir = await copy();
    const file = join(dir, 'root.pem');
    writeFileSync(file, change(readFileSync(file, 'utf8')));
    const { code, detail } = await refusal(() => readAuthority(dir));
    expect([code, detail]).toEqual(['authority-invalid', expect.stringContaining(why)]);
  });

  it.skipIf(!hasOpenssl)('that has no constraints, or others than we write', async () => {
    const dir = await copy();
    for (const extra of [[], ['-addext', 'nameConstraints=critical,permitted;DNS:example.org']]) {
      const made = openssl([
        ...[
          'req',
          '-x509',
          '-new',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:P-384',
          '-nodes',
          '-keyout',
          '-',
        ],
        ...['-subj', '/CN=Stranger', '-days', '30', ...extra],
      ]);
      const [pem = ''] =
        /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/.exec(made.stdout) ?? [];
      expect(new X509Certificate(pem).ca).toBe(true);
      writeFileSync(join(dir, 'root.pem'), pem);
      const { code, detail } = await refusal(() => readAuthority(dir));
      expect([code, detail]).toEqual(['authority-invalid', expect.stringContaining('name constraints')]);
    }
  });
});

function spoilt(pem: string): string {
  const der = Buffer.from(new X509Certificate(pem).raw);
  const last = der.length - 1;
  der[last] = (der[last] ?? 0) ^ 1;
  return new X509Certificate(der).toString();
}
