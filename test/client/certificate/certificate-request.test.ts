/** The request that our own few lines of DER make, as others read it. */
import { execFileSync } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  certificateRequest,
  newCertificateKey,
} from '../../../src/client/certificate/certificate-request.ts';
import { objectIdentifier, octetString } from '../../../src/client/certificate/der.ts';
import { readRequest } from '../../../src/issuer/certificate-request.ts';

const NAMES = {
  dns: ['api.example.com', 'localhost'],
  ip: ['10.0.0.7', '::1', '2001:db8::7:0:1', '2001:db8::', '1:2:3:4:5:6:7:8'],
  uri: ['spiffe://example.com/orders/eu'],
};

describe('a certificate request', () => {
  it('is verified and understood by OpenSSL', () => {
    const pem = certificateRequest(newCertificateKey(), NAMES);
    const shown = execFileSync('openssl', ['req', '-noout', '-text', '-verify'], {
      input: pem,
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    for (const line of ['Subject: \n', 'ASN1 OID: prime256v1', 'ecdsa-with-SHA256'])
      expect(shown).toContain(line);
    expect(/DNS:.*$/m.exec(shown)?.[0]).toBe(
      'DNS:api.example.com, DNS:localhost, IP Address:10.0.0.7, IP Address:0:0:0:0:0:0:0:1, ' +
        'IP Address:2001:DB8:0:0:0:7:0:1, IP Address:2001:DB8:0:0:0:0:0:0, IP Address:1:2:3:4:5:6:7:8, ' +
        'URI:spiffe://example.com/orders/eu',
    );
  });

  it('is what our own issuer reads, however long its names are', () => {
    const key = newCertificateKey();
    const label = 'a'.repeat(63);
    const dns = Array.from({ length: 40 }, (_, i) => `n${i}.${label}.example.com`);
    const { names, spki } = readRequest(certificateRequest(key, { ...NAMES, dns }));
    expect(names.dns).toEqual([...dns].sort());
    expect(names.uri).toEqual(NAMES.uri);
    expect(names.ip).toHaveLength(5);
    expect(spki).toEqual(createPublicKey(key).export({ type: 'spki', format: 'der' }));
  });
});

describe('DER', () => {
  it.each([
    [127, '047f'],
    [128, '048180'],
    [255, '0481ff'],
    [256, '04820100'],
    [65_536, '0483010000'],
  ])('writes a length of %i in its shortest form', (length, head) => {
    expect(octetString(Buffer.alloc(length)).toString('hex')).toMatch(new RegExp(`^${head}(00)*$`));
    expect(octetString(Buffer.alloc(length))).toHaveLength(length + head.length / 2);
  });

  it('writes object identifiers', () => {
    expect(objectIdentifier('1.2.840.10045.4.3.2').toString('hex')).toBe('06082a8648ce3d040302');
    expect(objectIdentifier('2.5.29.17').toString('hex')).toBe('0603551d11');
  });
});
