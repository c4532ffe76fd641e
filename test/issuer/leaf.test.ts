/** Leaves: what they hold, how long they live, and that OpenSSL takes every one of them and none from outside the limits. */
import { createHash, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { signingKey } from '../../src/issuer/certificate.ts';
import { BACKDATE, issueLeaf, leafValidity } from '../../src/issuer/leaf.ts';
import type { CertificateUse } from '../../src/issuer/names.ts';
import { MAX_LIFETIME } from '../../src/issuer/profile.ts';
import { rehearse } from '../../src/issuer/rehearsal.ts';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '../../src/issuer/x509.ts';
import { ManualClock } from '../storage/manual-clock.ts';
import { p256 } from './hostile-request.ts';
import { refusal } from './refusal.ts';
import { type AltName, forge, hasOpenssl, openssl, removeRoots, rootFor, strictly } from './scratch-root.ts';

afterAll(removeRoots);

const otherKey = await signingKey(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey);
const later = (date: Date | undefined, seconds: number) => new Date(Number(date) + seconds * 1000);

const WHOLE = { dns: ['example.org'], ip: ['10.0.0.0/8', '2001:db8::/32'], uri: ['example.org'] };
const NAMES = { dns: ['api.example.org'], ip: ['10.0.0.7', '2001:db8::7'], uri: ['spiffe://example.org/x'] };
const LONGEST = MAX_LIFETIME + BACKDATE;

const spkiOf = (keys: { publicKey: { export(options: { format: 'der'; type: 'spki' }): Buffer } }) =>
  keys.publicKey.export({ format: 'der', type: 'spki' });

/** RFC 7093 section 2, method 1, as openssl shows it. @param bytes of the point, which an SPKI ends with. */
const identifier = (spki: Buffer, bytes: number) => {
  const hash = createHash('sha256').update(spki.subarray(-bytes)).digest('hex').slice(0, 40);
  return hash.toUpperCase().match(/../g)?.join(':');
};

const keyTypes = [
  ['P-256', () => p256()],
  ['P-384', () => generateKeyPairSync('ec', { namedCurve: 'P-384' })],
  ['Ed25519', () => generateKeyPairSync('ed25519')],
  ['RSA-2048', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
] as const;
const uses: readonly CertificateUse[] = ['server', 'client', 'both'];

describe('a leaf', () => {
  it('holds the key and the names that were asked for, and no subject', async () => {
    const root = await rootFor(WHOLE);
    const keys = p256();
    const leaf = await issueLeaf(root, { spki: spkiOf(keys), names: NAMES, use: 'both' }, systemClock);
    const certificate = new X509Certificate(leaf.leafPem);
    expect(certificate.checkPrivateKey(keys.privateKey)).toBe(true);
    expect(certificate.checkIssued(root.certificate) && certificate.verify(root.certificate.publicKey)).toBe(
      true,
    );
    expect([certificate.subject, certificate.ca]).toEqual([undefined, false]);
    expect(certificate.subjectAltName).toBe(
      'DNS:api.example.org, IP Address:10.0.0.7, IP Address:2001:DB8:0:0:0:0:0:7, URI:spiffe://example.org/x',
    );
    expect(leaf.fingerprint).toBe(createHash('sha256').update(certificate.raw).digest('hex'));
    expect(leaf.chainPem).toBe(leaf.leafPem + root.pem);
  });

  it.skipIf(!hasOpenssl)('names its use, its signer and its key, and its names are critical', async () => {
    const root = await rootFor(WHOLE);
    const spki = spkiOf(p256());
    const text = async (use: CertificateUse) => {
      const { leafPem } = await issueLeaf(root, { spki, names: NAMES, use }, systemClock);
      return openssl(['x509', '-noout', '-text'], leafPem).stdout.replace(/\s+/g, ' ');
    };
    const server = await text('server');
    expect(server).toContain('Subject Alternative Name: critical DNS:');
    expect(server).toContain('Key Usage: critical Digital Signature ');
    const rootKey = spkiOf(root.certificate);
    expect(server).toContain(
      `Extended Key Usage: TLS Web Server Authentication X509v3 Authority Key Identifier: ${identifier(rootKey, 97)} `,
    );
    expect(server).toContain(`Subject Key Identifier: ${identifier(spki, 65)} `);
    expect(await text('client')).toContain('Extended Key Usage: TLS Web Client Authentication X509v3 ');
    expect(await text('both')).toContain(
      'TLS Web Server Authentication, TLS Web Client Authentication X509v3 ',
    );
  });

  it('has a serial of 128 random bits', async () => {
    const root = await rootFor(WHOLE);
    const spki = spkiOf(p256());
    const serials = new Set<string>();
    for (let i = 0; i < 12; i += 1) {
      serials.add((await issueLeaf(root, { spki, names: NAMES, use: 'client' }, systemClock)).serial);
    }
    expect(serials.size).toBe(12);
    for (const serial of serials) expect(serial).toMatch(/^(?:[0-9A-F]{2}){15,16}$/);
  });

  it('begins a minute ago, and lives for 12 hours or as long as was asked', async () => {
    const root = await rootFor(WHOLE);
    const clock = new ManualClock(Math.floor(systemClock.now() / 1000));
    const draft = { spki: spkiOf(p256()), names: NAMES, use: 'server' } as const;
    const now = clock.seconds;
    expect(await issueLeaf(root, draft, clock)).toMatchObject({
      notBefore: Math.max(now - 60, root.notBefore),
      notAfter: now + MAX_LIFETIME,
    });
    clock.seconds += 3600;
    const short = await issueLeaf(root, { ...draft, lifetime: 20 }, clock);
    expect(short).toMatchObject({ notBefore: now + 3540, notAfter: now + 3620 });
    expect(Date.parse(new X509Certificate(short.leafPem).validTo)).toBe((now + 3620) * 1000);
  });

  it.skipIf(!hasOpenssl)(
    'passes openssl verify -x509_strict, with every type of key and for every use',
    async () => {
      const root = await rootFor(WHOLE);
      for (const [type, makeKeys] of keyTypes) {
        for (const use of uses) {
          const { chainPem } = await issueLeaf(
            root,
            { spki: spkiOf(makeKeys()), names: NAMES, use },
            systemClock,
          );
          const said = (['sslserver', 'sslclient'] as const).map(
            (purpose) => strictly(root, chainPem, purpose).status === 0,
          );
          expect([type, use, said]).toEqual([type, use, [use !== 'client', use !== 'server']]);
        }
      }
    },
  );
});

describe('the dates of a leaf', () => {
  it('never reach beyond 12 hours and a minute, nor beyond its signer', () => {
    const second = fc.integer({ min: 0, max: 4_000_000_000 });
    fc.assert(
      fc.property(
        second,
        fc.integer({ min: 1, max: 10 ** 9 }),
        fc.double({ min: 0, max: 2, noNaN: true }),
        fc.integer({ min: 1, max: MAX_LIFETIME }),
        (notBefore, life, at, lifetime) => {
          const signer = { notBefore, notAfter: notBefore + life };
          const now = notBefore + Math.floor(life * at);
          const isLive = now < signer.notAfter;
          let leaf: ReturnType<typeof leafValidity>;
          try {
            leaf = leafValidity(signer, lifetime, now);
          } catch {
            expect(isLive).toBe(false);
            return;
          }
          expect(isLive).toBe(true);
          expect(leaf.notAfter - leaf.notBefore).toBeLessThanOrEqual(LONGEST);
          expect(leaf.notAfter).toBeLessThanOrEqual(signer.notAfter);
          expect(leaf.notBefore).toBeGreaterThanOrEqual(signer.notBefore);
          expect(leaf.notBefore).toBeLessThanOrEqual(now);
          expect(leaf.notAfter).toBeGreaterThan(now);
        },
      ),
      { numRuns: 5000 },
    );
  });

  it("are the same in the certificates themselves, up to the root's last second", async () => {
    const root = await rootFor(WHOLE);
    const spki = spkiOf(p256());
    const before = fc.integer({ min: 1, max: root.notAfter - root.notBefore - BACKDATE });
    const nearEnd = fc.integer({ min: 1, max: 2 * MAX_LIFETIME });
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(before, nearEnd),
        fc.integer({ min: 1, max: MAX_LIFETIME }),
        async (left, lifetime) => {
          const clock = new ManualClock(root.notAfter - left);
          const { leafPem } = await issueLeaf(root, { spki, names: NAMES, use: 'both', lifetime }, clock);
          const { validFrom, validTo } = new X509Certificate(leafPem);
          expect(Date.parse(validTo) - Date.parse(validFrom)).toBeLessThanOrEqual(LONGEST * 1000);
          expect(Date.parse(validTo)).toBeLessThanOrEqual(Date.parse(root.certificate.validTo));
          expect(Date.parse(validTo) / 1000).toBe(Math.min(clock.seconds + lifetime, root.notAfter));
        },
      ),
      { numRuns: 25 },
    );
  });

  it.each([0, -1, MAX_LIFETIME + 1, Number.NaN, Number.POSITIVE_INFINITY])(
    'refuse a life of %s seconds',
    async (lifetime) => {
      const signer = { notBefore: 0, notAfter: 10 ** 9 };
      expect(await refusal(() => leafValidity(signer, lifetime, 100))).toMatchObject({
        code: 'certificate-invalid',
      });
    },
  );

  it("refuse a root that has ended, or hasn't begun", async () => {
    const root = await rootFor(WHOLE);
    const draft = { spki: spkiOf(p256()), names: NAMES, use: 'server' } as const;
    for (const seconds of [root.notAfter, root.notBefore - 1]) {
      const { code } = await refusal(() => issueLeaf(root, draft, new ManualClock(seconds)));
      expect(code).toBe('authority-invalid');
    }
  });
});

describe('no leaf is issued', () => {
  it.each([
    ["a name outside the root's constraints", { ...NAMES, dns: ['api.example.com'] }],
    ["a name that isn't in its form", { ...NAMES, dns: ['*.example.org'] }],
    ['no name', { dns: [], ip: [], uri: [] }],
  ])('for %s', async (_what, names) => {
    const root = await rootFor(WHOLE);
    const { code } = await refusal(() =>
      issueLeaf(root, { spki: spkiOf(p256()), names, use: 'server' }, systemClock),
    );
    expect(code).toBe('certificate-request-refused');
  });

  it('for a weak key, whoever has read the request', async () => {
    const root = await rootFor(WHOLE);
    const spki = spkiOf(generateKeyPairSync('rsa', { modulusLength: 1024 }));
    const { code } = await refusal(() => issueLeaf(root, { spki, names: NAMES, use: 'server' }, systemClock));
    expect(code).toBe('certificate-request-refused');
  });

  it('where OpenSSL sees it otherwise than we do', async () => {
    // As if our own check let more through than the certificate of the root does.
    const root = {
      ...(await rootFor(WHOLE)),
      constraints: { ...WHOLE, dns: ['example.com'], uri: ['example.com'] },
    };
    const draft = { spki: spkiOf(p256()), lifetime: 60 };
    const server = { ...draft, use: 'server', names: { dns: ['a.example.com'], ip: [], uri: [] } } as const;
    const client = {
      ...draft,
      use: 'client',
      names: { dns: [], ip: [], uri: ['spiffe://example.com/x'] },
    } as const;
    for (const each of [server, client]) {
      const { code, detail } = await refusal(() => issueLeaf(root, each, systemClock));
      expect(code).toBe('certificate-invalid');
      expect(detail).toContain(`refuse it as a ${each.use}`);
    }
  });
});

/** What is given to the maker of certificates, each time that it makes one. */
type Parts = Parameters<typeof X509CertificateGenerator.create>[0];
const make = X509CertificateGenerator.create.bind(X509CertificateGenerator);

/** Has the maker of certificates make those for this key otherwise than it is told. @returns what it was told. */
function makeOtherwise(spki: Buffer, change: (parts: Parts) => Partial<Parts> = () => ({})): Parts[] {
  const told: Parts[] = [];
  const maker = vi.spyOn(X509CertificateGenerator, 'create').mockImplementation((parts, crypto) => {
    told.push(parts);
    return make({ ...parts, ...(parts.publicKey === spki && change(parts)) }, crypto);
  });
  onTestFinished(() => maker.mockRestore());
  return told;
}

describe('a leaf that came out otherwise than it was planned is not issued:', () => {
  const withOther = (found: Parts, ...others: Extension[]) =>
    (found.extensions ?? []).map((each) => others.find(({ type }) => type === each.type) ?? each);

  it.each<[fault: string, (parts: Parts) => Partial<Parts>]>([
    ['issuer', () => ({ issuer: 'CN=Another root' })],
    ['issuer', ({ publicKey }) => ({ publicKey, signingKey: otherKey })],
    ['key', () => ({ publicKey: spkiOf(p256()) })],
    ['serial', () => ({ serialNumber: '0123456789abcdef' })],
    ['notBefore', ({ notBefore }) => ({ notBefore: later(notBefore, -1) })],
    ['notAfter', ({ notAfter }) => ({ notAfter: later(notAfter, 1) })],
    [
      'authority',
      (parts) => ({
        extensions: [
          ...withOther(parts, new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true)),
          new BasicConstraintsExtension(true),
        ],
      }),
    ],
    ['subject', () => ({ subject: 'CN=api.example.org' })],
    [
      'names',
      (parts) => ({
        extensions: withOther(parts, new SubjectAlternativeNameExtension([dns('a.example.org')], true)),
      }),
    ],
    [
      'use',
      (parts) => ({
        extensions: withOther(parts, new ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.2'])),
      }),
    ],
  ])('%s', async (fault, change) => {
    const spki = spkiOf(p256());
    makeOtherwise(spki, change);
    const draft = { spki, names: NAMES, use: 'server' } as const;
    const { code, detail } = await refusal(async () => issueLeaf(await rootFor(WHOLE), draft, systemClock));
    expect([code, detail]).toEqual(['certificate-invalid', expect.stringContaining(`: ${fault}.`)]);
  });
});

describe('the twin that goes before a leaf', () => {
  it.each(keyTypes)(
    'differs from it in its key alone, which is of the same kind: %s',
    async (_type, keys) => {
      const spki = spkiOf(keys());
      const root = await rootFor(WHOLE);
      const told = makeOtherwise(spki);
      await issueLeaf(root, { spki, names: NAMES, use: 'both' }, systemClock);
      const [twin, leaf] = [await make(told[0] as Parts), await make(told.at(-1) as Parts)];
      const keyOf = ({ rawData }: typeof leaf) => new X509Certificate(Buffer.from(rawData)).publicKey;
      const kind = ({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject) => [
        asymmetricKeyType,
        asymmetricKeyDetails,
      ];
      expect(keyOf(leaf).equals(keyOf(twin))).toBe(false);
      expect(kind(keyOf(twin))).toEqual(kind(keyOf(leaf)));
      const SUBJECT_KEY = '2.5.29.14';
      const fields = ({ serialNumber, issuer, subject, notBefore, notAfter, extensions }: typeof leaf) => [
        ...[serialNumber, issuer, subject, notBefore, notAfter],
        extensions.filter(({ type }) => type !== SUBJECT_KEY).map(({ rawData }) => Buffer.from(rawData)),
      ];
      expect(fields(twin)).toEqual(fields(leaf));
    },
  );
});

const dns = (value: string): AltName => ({ type: 'dns', value });
const ip = (value: string): AltName => ({ type: 'ip', value });
const url = (value: string): AltName => ({ type: 'url', value });
const email = (value: string): AltName => ({ type: 'email', value });

const outside: [string, Parameters<typeof rootFor>[0], AltName[]][] = [
  ['another domain', WHOLE, [dns('api.example.com')]],
  ['a domain that ends alike', WHOLE, [dns('badexample.org')]],
  ['one name of two', WHOLE, [dns('api.example.org'), dns('api.example.com')]],
  ['another network', WHOLE, [ip('192.168.0.1')]],
  ['another network of IPv6', WHOLE, [ip('2001:db9::1')]],
  ['another host of a URI', WHOLE, [url('spiffe://example.com/x')]],
  ['a host below that of the URI', WHOLE, [url('spiffe://a.example.org/x')]],
  ['a URI without a host', WHOLE, [url('urn:example:x')]],
  ['an e-mail address', WHOLE, [email('a@example.org')]],
  ['an e-mail address beside a good name', WHOLE, [dns('api.example.org'), email('a@b.test')]],
  ['an e-mail address of nobody', WHOLE, [email('a@invalid')]],
  ['any domain, where none was permitted', { uri: ['example.org'] }, [dns('example.org')]],
  ['the domain of nobody', { uri: ['example.org'] }, [dns('a.invalid')]],
  ['any URI, where no host was permitted', { dns: ['example.org'] }, [url('spiffe://example.org/x')]],
  ['the URI of nobody', { dns: ['example.org'] }, [url('spiffe://invalid/x')]],
  ['any address, where no network was permitted', { dns: ['example.org'] }, [ip('10.0.0.7')]],
  ['the same of IPv6', { dns: ['example.org'] }, [ip('::1')]],
  ['IPv6, where only IPv4 was permitted', { ip: ['10.0.0.0/8'] }, [ip('2001:db8::1')]],
  ['IPv4, where only IPv6 was permitted', { ip: ['2001:db8::/32'] }, [ip('10.0.0.7')]],
];

const inside: [string, Parameters<typeof rootFor>[0], AltName[]][] = [
  [
    'all of its kinds',
    WHOLE,
    [dns('a.b.example.org'), ip('10.1.2.3'), ip('2001:db8::1'), url('spiffe://example.org/x')],
  ],
  ['a domain alone', { dns: ['example.org'] }, [dns('example.org')]],
  ['a URI alone', { uri: ['example.org'] }, [url('spiffe://example.org/x')]],
  ['an address alone', { ip: ['10.0.0.0/8'] }, [ip('10.0.0.7')]],
];

/** Signed by the root's key past all checks of ours: what holds is the certificate of the root alone. */
describe.skipIf(!hasOpenssl)("a certificate that the root's key has signed past us", () => {
  it.each(outside)('is refused by openssl and by a handshake for %s', async (_what, constraints, names) => {
    const root = await rootFor(constraints);
    const forged = await forge(root, { names });
    const { status, stderr } = strictly(root, forged.cert, 'sslserver');
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /permitted subtree violation|excluded subtree violation|unsupported name constraint|unsupported or invalid name syntax/,
    );
    const rehearsal = { twin: forged, names: { dns: [], ip: [], uri: [] }, root: root.pem, standIn: forged };
    for (const use of uses) {
      expect(await refusal(() => rehearse({ ...rehearsal, use }))).toMatchObject({
        code: 'certificate-invalid',
      });
    }
  });

  it.each(inside)('is taken by both for %s', async (_what, constraints, names) => {
    const root = await rootFor(constraints);
    const forged = await forge(root, { names });
    expect(strictly(root, forged.cert, 'sslclient')).toMatchObject({ status: 0, stderr: '' });
    const rehearsal = { twin: forged, names: { dns: [], ip: [], uri: [] }, root: root.pem, standIn: forged };
    for (const use of uses) await rehearse({ ...rehearsal, use });
  });
});

describe.skipIf(!hasOpenssl)('a path through a further authority', () => {
  it('is refused, since the root has no room for it', async () => {
    const root = await rootFor(WHOLE);
    const names = [dns('ca.example.org')];
    const authority = await forge(root, { names, isAuthority: true });
    const leaf = await forge(root, { names, signer: authority });
    const chain = leaf.cert + authority.cert;
    expect(strictly(root, chain, 'sslserver', authority.cert).stderr).toMatch(
      /path length constraint exceeded/,
    );
    const nothing = { dns: [], ip: [], uri: [] };
    const twin = { cert: chain, key: leaf.key };
    for (const use of uses) {
      const work = () => rehearse({ twin, use, names: nothing, root: root.pem, standIn: twin });
      expect(await refusal(work)).toMatchObject({ code: 'certificate-invalid' });
    }
  });
});

describe('the rehearsal refuses', () => {
  const rehearsalOf = async (forgery: Parameters<typeof forge>[1]) => {
    const root = await rootFor(WHOLE);
    const twin = await forge(root, forgery);
    return { twin, root: root.pem, standIn: twin, names: { dns: [], ip: [], uri: [] } };
  };

  it('a certificate for the other use', async () => {
    const server = await rehearsalOf({ names: [dns('api.example.org')], extendedUse: ['1.3.6.1.5.5.7.3.1'] });
    await rehearse({ ...server, use: 'server' });
    for (const use of ['client', 'both'] as const) {
      const { code, detail } = await refusal(() => rehearse({ ...server, use }));
      expect([code, detail]).toEqual(['certificate-invalid', expect.stringContaining('INVALID_PURPOSE')]);
    }
  });

  it('a certificate that lacks one of the names', async () => {
    const server = await rehearsalOf({ names: [dns('api.example.org')] });
    const names = { dns: ['api.example.org', 'b.example.org'], ip: [], uri: [] };
    const { code, detail } = await refusal(() => rehearse({ ...server, names, use: 'server' }));
    expect([code, detail]).toEqual(['certificate-invalid', expect.stringContaining('b.example.org')]);
  });

  it('a certificate of another root', async () => {
    const server = await rehearsalOf({ names: [dns('api.example.org')] });
    const { pem } = await rootFor({ dns: ['example.org'] });
    for (const use of uses) {
      expect(await refusal(() => rehearse({ ...server, root: pem, use }))).toMatchObject({
        code: 'certificate-invalid',
      });
    }
  });

  it("a key that is not the certificate's", async () => {
    const server = await rehearsalOf({ names: [dns('api.example.org')] });
    const key = p256().privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
    await expect(rehearse({ ...server, twin: { ...server.twin, key }, use: 'server' })).rejects.toThrow();
  });
});
