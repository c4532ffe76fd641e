/** Certificate requests: which are read, which are refused, and that no bytes at all do anything else. */
import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { certificateRequest, newCertificateKey } from '../../src/client/certificate/certificate-request.ts';
import { bitString, objectIdentifier, octetString, sequence } from '../../src/client/certificate/der.ts';
import { CountersignError } from '../../src/errors.ts';
import { readRequest } from '../../src/issuer/certificate-request.ts';
import {
  altNames,
  asksForAuthority,
  challengePassword,
  dns,
  ECDSA_SHA1,
  ECDSA_SHA256,
  ED25519,
  email,
  extension,
  extensionRequest,
  ip,
  keyUsage,
  p256,
  RSA_SHA1,
  RSA_SHA256,
  requestDer,
  requestPem,
  toPem,
  uri,
} from './hostile-request.ts';
import { refusal } from './refusal.ts';
import { hasOpenssl, openssl } from './scratch-root.ts';

const rsa = (bits: number, publicExponent = 65537) =>
  generateKeyPairSync('rsa', { modulusLength: bits, publicExponent });
const curve = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve });

describe('a request is read', () => {
  it.each([
    ['p-256', p256(), ECDSA_SHA256, 'sha256'],
    ['p-384', curve('P-384'), ECDSA_SHA256, 'sha256'],
    ['ed25519', generateKeyPairSync('ed25519'), ED25519, null],
    ['rsa', rsa(2048), RSA_SHA256, 'sha256'],
  ] as const)('with a key of the type %s', (type, keys, algorithm, hash) => {
    const { keyType, spki } = readRequest(requestPem({ keys, algorithm, hash }));
    expect(keyType).toBe(type);
    expect(spki).toEqual(keys.publicKey.export({ format: 'der', type: 'spki' }));
  });

  it('with names of every kind', () => {
    const names = [dns('b.test'), uri('spiffe://a.test/x'), ip(10, 0, 0, 7), dns('a.test')];
    const v6 = ip(0x20, 1, 0xd, 0xb8, ...Array<number>(11).fill(0), 7);
    expect(readRequest(requestPem({ names: [...names, v6] })).names).toEqual({
      dns: ['a.test', 'b.test'],
      ip: ['10.0.0.7', '2001:db8::7'],
      uri: ['spiffe://a.test/x'],
    });
  });

  it('as ca request and the gateway write it', () => {
    const names = { dns: ['api.example.org'], ip: ['10.0.0.7'], uri: ['spiffe://example.org/x'] };
    expect(readRequest(certificateRequest(newCertificateKey(), names)).names).toEqual(names);
  });

  it.skipIf(!hasOpenssl)('as openssl writes it; its subject is not carried over', () => {
    const made = openssl([
      ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', '-'],
      ...['-subj', '/CN=evil.test', '-addext', 'subjectAltName=DNS:api.example.org'],
    ]);
    const [pem = ''] =
      /-----BEGIN CERTIFICATE REQUEST-----[^-]+-----END CERTIFICATE REQUEST-----/.exec(made.stdout) ?? [];
    expect(readRequest(pem).names).toEqual({ dns: ['api.example.org'], ip: [], uri: [] });
  });

  it('as the same one however its PEM is folded', () => {
    const pem = requestPem();
    const folded = pem.replaceAll('\n', '\r\n');
    expect(readRequest(folded)).toEqual(readRequest(pem));
  });
});

/** A key of one P-256 point, spelt out in its parameters as CVE-2020-0601 had it. */
function explicitCurve(): Buffer {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' });
  return keys.publicKey.export({ format: 'der', type: 'spki' });
}

function offCurve(): Buffer {
  const spki = p256().publicKey.export({ format: 'der', type: 'spki' });
  const last = spki.length - 1;
  spki[last] = (spki[last] ?? 0) ^ 1;
  return spki;
}

function compressed(): Buffer {
  const spki = p256().publicKey.export({ format: 'der', type: 'spki' });
  const x = spki.subarray(-64, -32);
  const algorithm = sequence(objectIdentifier('1.2.840.10045.2.1'), objectIdentifier('1.2.840.10045.3.1.7'));
  return sequence(algorithm, bitString(Buffer.concat([Buffer.of(2), x])));
}

/** The same number, and another encoding of it. */
function paddedModulus(): Buffer {
  const { n = '', e = '' } = rsa(2048).publicKey.export({ format: 'jwk' });
  const modulus = octetString(Buffer.concat([Buffer.of(0, 0), Buffer.from(n, 'base64url')]));
  const exponent = octetString(Buffer.from(e, 'base64url'));
  for (const each of [modulus, exponent]) each[0] = 2;
  return sequence(
    sequence(objectIdentifier('1.2.840.113549.1.1.1'), Buffer.of(5, 0)),
    bitString(sequence(modulus, exponent)),
  );
}

/** Every point of Ed25519 whose order is small, in every encoding, less the sign that any of them may bear. */
const SMALL_ORDER = [
  `00${'00'.repeat(31)}`,
  `01${'00'.repeat(31)}`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
];

describe('a request is refused', () => {
  it.each([
    ['asks to be a CA', { extensions: [asksForAuthority] }, 'asks to be a certificate authority'],
    ['is signed by another key', { signer: p256() }, "signature doesn't hold"],
    ['has a wildcard', { names: [dns('*.example.org')] }, 'wildcard'],
    ['has a NUL in a DNS name', { names: [dns('api.example.org\0.evil.test')] }, 'must be lower-case'],
    ['has a NUL in a URI name', { names: [uri('spiffe://example.org/a\0')] }, 'must be spiffe'],
    ['has a Unicode look-alike', { names: [dns('аpi.example.org')] }, 'must be lower-case'],
    ['has one in Punycode', { names: [dns('xn--pi-7kc.example.org')] }, 'other letters'],
    ['has an e-mail address', { names: [email('a@example.org')] }, 'no DNS name'],
    ['has a directory name', { names: [Buffer.of(0xa4, 2, 0x30, 0)] }, 'no DNS name'],
    ['has a network for an address', { names: [ip(10, 0, 0, 0, 255, 0, 0, 0)] }, 'no DNS name'],
    ['has a mapped address', { names: [ip(...Array<number>(10).fill(0), 255, 255, 1, 2, 3, 4)] }, 'IPv4'],
    ['has no name', { names: [] }, 'no names'],
    ['has a name twice', { names: [dns('a.test'), dns('a.test')] }, 'same name twice'],
    ['has 65 names', { names: Array.from({ length: 65 }, (_, i) => dns(`a${i}.test`)) }, '65 names'],
    ['has a key usage', { extensions: [keyUsage] }, 'extension 2.5.29.15'],
    ['says that it is no CA', { extensions: [extension('2.5.29.19', sequence())] }, 'extension 2.5.29.19'],
    [
      'has an unknown extension',
      { extensions: [extension('1.3.6.1.4.1.99999.1', sequence())] },
      'extension 0x',
    ],
    ['has its names twice', { extensions: [altNames(dns('b.test'))] }, 'names twice'],
    [
      'has two extension requests',
      { attributes: [extensionRequest(altNames(dns('b.test')))] },
      'names twice',
    ],
    ['has a challenge password', { attributes: [challengePassword] }, 'attribute beside'],
    ['has a 1024-bit RSA key', { keys: rsa(1024), algorithm: RSA_SHA256 }, '1024 bits'],
    ['has a 2047-bit RSA key', { keys: rsa(2047), algorithm: RSA_SHA256 }, '2047 bits'],
    ['has an RSA exponent of 3', { keys: rsa(2048, 3), algorithm: RSA_SHA256 }, 'exponent'],
    ['is signed with SHA-1', { algorithm: ECDSA_SHA1, hash: 'sha1' }, 'too weak'],
    ['is signed with SHA-1 by RSA', { keys: rsa(2048), algorithm: RSA_SHA1, hash: 'sha1' }, 'too weak'],
    ['has a P-192 key', { keys: curve('prime192v1') }, 'another curve'],
    ['has a P-521 key', { keys: curve('P-521') }, 'another curve'],
    ['has a secp256k1 key', { keys: curve('secp256k1') }, 'another curve'],
    [
      'has an Ed448 key',
      { keys: generateKeyPairSync('ed448'), algorithm: ED25519, hash: null },
      'must be P-256',
    ],
    ['spells its curve out', { spki: explicitCurve() }, 'must be named'],
    ['has a point beside its curve', { spki: offCurve() }, 'none that OpenSSL takes'],
    ['has a compressed point', { spki: compressed() }, 'uncompressed'],
    ['has an RSA key in another encoding', { spki: paddedModulus() }, 'a zero too many'],
  ])('that %s', async (_what, parts, why) => {
    const { code, detail } = await refusal(() => readRequest(requestPem(parts)));
    expect(code).toBe('certificate-request-refused');
    expect(detail).toContain(why);
  });

  it.each(SMALL_ORDER)('that has the key %s, which anybody can sign for', async (hex) => {
    for (const sign of [0, 0x80]) {
      const point = Buffer.from(hex, 'hex');
      point[31] = (point[31] ?? 0) | sign;
      const spki = sequence(ED25519, bitString(point));
      const parts = { spki, algorithm: ED25519, keys: generateKeyPairSync('ed25519'), hash: null };
      const { detail } = await refusal(() => readRequest(requestPem(parts)));
      expect(detail).toContain('anybody can sign');
    }
  });

  it('for its key before its signature is looked at', async () => {
    const weak = {
      keys: rsa(1024),
      signer: rsa(2048),
      algorithm: RSA_SHA256,
      extensions: [asksForAuthority],
    };
    expect((await refusal(() => readRequest(requestPem(weak)))).detail).toContain('1024 bits');
  });

  it.each([
    ['nothing', '', 'one PEM block'],
    ['a certificate', requestPem().replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE'), 'one PEM block'],
    ['two requests', requestPem() + requestPem(), 'one PEM block'],
    ['text beside it', `hello\n${requestPem()}`, 'one PEM block'],
    ['DER', requestDer().toString('latin1'), 'one PEM block'],
    ['cut-off base64', requestPem().replace(/.\n-----END/, '\n-----END'), 'base64'],
    ['bytes after its end', toPem(Buffer.concat([requestDer(), Buffer.of(0)])), '1 bytes too many'],
    ['a cut-off end', toPem(requestDer().subarray(0, -1)), 'cut off'],
    ['more than 64 KiB', requestPem() + '\n'.repeat(65536), 'larger than'],
    ['a length that is too long', toPem(Buffer.of(0x30, 0x82, 0x00, 0x01, 0x00)), 'shortest form'],
    ['an indefinite length', toPem(Buffer.of(0x30, 0x80, 0x00, 0x00)), 'indefinite'],
  ])('that is %s', async (_what, pem, why) => {
    const { code, detail } = await refusal(() => readRequest(pem));
    expect(code).toBe('certificate-request-refused');
    expect(detail).toContain(why);
  });
});

describe('any bytes at all', () => {
  const good = [
    requestDer(),
    requestDer({ names: [dns('a.test'), uri('spiffe://a.test/x'), ip(10, 0, 0, 7)] }),
    requestDer({ keys: rsa(2048), algorithm: RSA_SHA256 }),
    requestDer({ keys: generateKeyPairSync('ed25519'), algorithm: ED25519, hash: null }),
  ];
  const isRefusedOrRead = (pem: string | Buffer) => {
    try {
      readRequest(pem);
      return true;
    } catch (error) {
      expect(error).toBeInstanceOf(CountersignError);
      expect((error as CountersignError).code).toBe('certificate-request-refused');
      return false;
    }
  };

  it('in place of some of a request are refused, and nothing else happens', () => {
    const change = fc.record({ at: fc.nat(400), byte: fc.nat(255), cut: fc.boolean(), add: fc.boolean() });
    fc.assert(
      fc.property(
        fc.constantFrom(...good),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        (der, changes) => {
          let bytes = Buffer.from(der);
          for (const { at, byte, cut, add } of changes) {
            const index = at % bytes.length;
            if (cut) bytes = Buffer.concat([bytes.subarray(0, index), bytes.subarray(index + 1)]);
            else if (add)
              bytes = Buffer.concat([bytes.subarray(0, index), Buffer.of(byte), bytes.subarray(index)]);
            else bytes[index] = byte;
          }
          // A byte may have been changed to itself; whatever else was changed, the signature is over it.
          expect(isRefusedOrRead(toPem(bytes))).toBe(bytes.equals(der));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('that were signed by the key itself, so that what stands behind the signature is reached', () => {
    const keys = p256();
    const junk = fc.uint8Array({ minLength: 0, maxLength: 40 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(
        fc.array(junk, { maxLength: 3 }),
        fc.array(junk, { maxLength: 2 }),
        junk,
        (names, extensions, attribute) => {
          isRefusedOrRead(requestPem({ keys, names, extensions, attributes: [attribute] }));
          isRefusedOrRead(requestPem({ keys, names: names.map((name) => dns(name.toString('latin1'))) }));
        },
      ),
      { numRuns: 400 },
    );
  });

  it('that are no request are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(isRefusedOrRead(toPem(Buffer.from(bytes)))).toBe(false);
        expect(isRefusedOrRead(Buffer.from(bytes))).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });
});
