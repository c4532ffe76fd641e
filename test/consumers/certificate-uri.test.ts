/** Names of client certificates: one spelling each. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { certificateUriFault, isCertificateUri } from '../../src/consumers/certificate-uri.ts';
import { processorTime } from '../own-time.ts';

const label = 'x'.repeat(63);

describe('a certificate name', () => {
  it.each([
    'spiffe://example.com/shop',
    'spiffe://a/b',
    'spiffe://example.com/ns/Prod/sa/web_1.2',
    'spiffe://10.0.0.7/shop',
    'spiffe://example.com/...',
    `spiffe://${label}.${label}.${label}.${'y'.repeat(61)}/shop`,
    `spiffe://a/${'b'.repeat(2048 - 11)}`,
  ])('may be %s', (uri) => expect(certificateUriFault(uri)).toBeUndefined());

  it.each([
    '',
    'spiffe://',
    'spiffe://example.com',
    'spiffe://example.com/',
    'spiffe:///shop',
    'spiffe:/example.com/shop',
    'https://example.com/shop',
    'SPIFFE://example.com/shop',
    'spiffe://Example.com/shop',
    'spiffe://example.com:443/shop',
    'spiffe://user@example.com/shop',
    'spiffe://example.com//shop',
    'spiffe://example.com/shop/',
    'spiffe://example.com/./shop',
    'spiffe://example.com/shop/..',
    'spiffe://example.com/sh%6Fp',
    'spiffe://example.com/shop?x',
    'spiffe://example.com/shop#x',
    'spiffe://example.com/a,b',
    'spiffe://example.com/a, URI:spiffe://example.com/b',
    'spiffe://example.com/"a"',
    "spiffe://example.com/'a'",
    'spiffe://example.com/a\\b',
    'spiffe://example.com/a\u0000b',
    'spiffe://example.com/shop\n',
    '\nspiffe://example.com/shop',
    'spiffe://example.com/a\nspiffe://example.com/b',
    'spiffe://exämple.com/shop',
    'spiffe://example.com/sh\u043ep',
    'spiffe://.example.com/shop',
    'spiffe://example.com./shop',
    'spiffe://example..com/shop',
    'spiffe://-example.com/shop',
    'spiffe://*.example.com/shop',
    'spiffe://[::1]/shop',
    `spiffe://x${label}/shop`,
    `spiffe://${label}.${label}.${label}.${'y'.repeat(62)}/shop`,
    `spiffe://a/${'b'.repeat(2048 - 10)}`,
  ])('may not be %j', (uri) => expect(certificateUriFault(uri)).toContain('spiffe://host/path'));

  it('is its own only spelling: what URL makes of it is the same text', () => {
    const text = fc.string({ unit: fc.constantFrom(...'ab.-_/%:@?#,"\\A0'), maxLength: 20 });
    fc.assert(
      fc.property(text, (rest) => {
        const uri = `spiffe://${rest}`;
        if (!isCertificateUri(uri)) return;
        const { href, protocol, host, pathname } = new URL(uri);
        expect([href, `${protocol}//${host}${pathname}`]).toEqual([uri, uri]);
      }),
      { numRuns: 20_000 },
    );
  });

  it('is judged in time that its length bounds', () => {
    const spent = processorTime(() => {
      for (const part of ['a.', 'a-', '-', 'a/', '.', '/'])
        certificateUriFault(`spiffe://${part.repeat(100_000)}`);
      for (const part of ['a.', 'a-', 'a/a', '..']) certificateUriFault(`spiffe://${part.repeat(1019)}!`);
    });
    expect(spent).toBeLessThan(1000);
  });
});
