/** What only a handshake finds: OpenSSL's verdict on the path, the names as peers check them. */
import { createPrivateKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { readCertificate } from '../../../src/client/certificate/certificate.ts';
import { rehearse } from '../../../src/client/certificate/rehearsal.ts';
import { type Identity, type OpensslRoot, opensslRoot } from '../../gateway/tls/openssl-certificates.ts';

const root = opensslRoot();
const narrow = opensslRoot('permitted;DNS:example.com,permitted;URI:example.com');
const NONE = { dns: [], ip: [], uri: [] };

function given({ key, chain }: Identity, { trust }: OpensslRoot, use: 'server' | 'client' | 'both') {
  const expected = { key: createPrivateKey(key), trust, use, now: Date.now() };
  return { certificate: readCertificate(chain, expected), use, trust };
}

describe('a handshake in memory', () => {
  it.each([
    ['server', 'DNS:api.example.com', { ...NONE, dns: ['api.example.com'] }, 'serverAuth'],
    ['server', 'IP:127.0.0.1', { ...NONE, ip: ['127.0.0.1'] }, 'serverAuth'],
    ['server', 'IP:::1', { ...NONE, ip: ['::1'] }, 'serverAuth'],
    ['server', 'URI:spiffe://example.com/a', { ...NONE, uri: ['spiffe://example.com/a'] }, 'serverAuth'],
    ['client', 'URI:spiffe://example.com/a', { ...NONE, uri: ['spiffe://example.com/a'] }, 'clientAuth'],
    ['both', 'DNS:a.example.com', { ...NONE, dns: ['a.example.com'] }, 'serverAuth,clientAuth'],
  ] as const)('accepts what is fit as %s, with %s', async (use, subjectAltName, names, usage) => {
    await rehearse({ ...given(root.leaf(subjectAltName, { usage }), root, use), names });
  });

  it('accepts an RSA key too', async () => {
    const identity = root.leaf('DNS:localhost', { key: 'rsa' });
    await rehearse({ ...given(identity, root, 'server'), names: { ...NONE, dns: ['localhost'] } });
  });

  it.each([
    ['server', 'DNS:api.example.org', { ...NONE, dns: ['api.example.org'] }, 'serverAuth'],
    ['client', 'URI:spiffe://example.org/a', { ...NONE, uri: ['spiffe://example.org/a'] }, 'clientAuth'],
  ] as const)(
    'refuses a %s outside the constraints of its root',
    async (use, subjectAltName, names, usage) => {
      const outside = given(narrow.leaf(subjectAltName, { usage }), narrow, use);
      await expect(rehearse({ ...outside, names })).rejects.toMatchObject({
        code: 'certificate-invalid',
        message: expect.stringMatching(/a handshake with it fails/),
      });
    },
  );

  it('refuses a name that peers will not find in it', async () => {
    const other = given(root.leaf('DNS:other.example.com'), root, 'server');
    const names = { ...NONE, dns: ['api.example.com'] };
    await expect(rehearse({ ...other, names })).rejects.toThrow(/ERR_TLS_CERT_ALTNAME_INVALID/);
  });
});
