/** What counts as a caller's certificate, and what is as if absent. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isCertificateUri } from '../../../src/consumers/certificate-uri.ts';
import { certificateAt, shownBy, uriNameOf } from '../../../src/gateway/tls/client-certificate.ts';
import {
  ADDRESS,
  certificate,
  DIRECTORY,
  DNS,
  type Draft,
  EMAIL,
  type Name,
  REGISTERED,
  URI,
} from './der-certificate.ts';

const SHOP = 'spiffe://example.com/shop';
const read = (...names: Name[]) => uriNameOf(certificate({ names }).subjectAltName);
const shown = (draft: Draft) =>
  shownBy({ authorized: true, resumed: false, certificate: certificate({ names: [[URI, SHOP]], ...draft }) });

describe('the URI name of a certificate', () => {
  it.each<[string, Name[]]>([
    ['alone', [[URI, SHOP]]],
    [
      'after other kinds',
      [
        [DNS, 'shop.example.com'],
        [EMAIL, 'a@b'],
        [ADDRESS, '\x7f\0\0\x01'],
        [URI, SHOP],
      ],
    ],
    [
      'before other kinds',
      [
        [URI, SHOP],
        [REGISTERED, '\x2a\x03\x04'],
        [DIRECTORY, '\x30\0'],
      ],
    ],
    [
      'beside a DNS name that looks like one',
      [
        [DNS, 'URI:spiffe://example.com/bank'],
        [URI, SHOP],
      ],
    ],
  ])('is read %s', (_where, names) => expect(read(...names)).toBe(SHOP));

  it.each<[string, Name[]]>([
    ['there is none', [[DNS, 'shop.example.com']]],
    ['there are no names', []],
    [
      'there are two',
      [
        [URI, SHOP],
        [URI, 'spiffe://example.com/bank'],
      ],
    ],
    [
      'it stands there twice',
      [
        [URI, SHOP],
        [URI, SHOP],
      ],
    ],
    [
      'there are two, one of them faulty',
      [
        [URI, SHOP],
        [URI, 'x'],
      ],
    ],
    [
      'there are two, one of them quoted',
      [
        [URI, SHOP],
        [URI, 'a,b'],
      ],
    ],
    [
      'there are two, one of them empty',
      [
        [URI, SHOP],
        [URI, ''],
      ],
    ],
    ['it holds a comma', [[URI, `${SHOP},x`]]],
    ['it holds what looks like another', [[URI, `${SHOP}, URI:spiffe://example.com/bank`]]],
    ['it holds a double quote', [[URI, `${SHOP}"`]]],
    ['it is all in quotes', [[URI, `"${SHOP}"`]]],
    ['it holds a single quote', [[URI, `${SHOP}'`]]],
    ['it holds a backslash', [[URI, `${SHOP}\\u002fx`]]],
    ['it holds a NUL', [[URI, `${SHOP}\0.evil`]]],
    ['it holds a line end', [[URI, `${SHOP}\n`]]],
    ['it holds a byte beyond ASCII', [[URI, 'spiffe://example.com/sh\xf6p']]],
    ['it is of another scheme', [[URI, 'https://example.com/shop']]],
    ['it is in another spelling', [[URI, 'spiffe://Example.com/shop']]],
    ['a DNS name pretends to hold it', [[DNS, `x, URI:${SHOP}`]]],
    ['an address of mail pretends to hold it', [[EMAIL, `a@b, URI:${SHOP}`]]],
    [
      'another name is quoted',
      [
        [DNS, 'a,b'],
        [URI, SHOP],
      ],
    ],
  ])('is none where %s', (_why, names) => expect(read(...names)).toBeUndefined());

  it('is none without a SubjectAltName', () => {
    expect(uriNameOf(certificate().subjectAltName)).toBeUndefined();
  });

  it('is read exactly where there is one such name, whatever the names hold', () => {
    const text = fc.oneof(
      fc.constantFrom(SHOP, 'spiffe://example.com/bank', ', ', 'URI:', `, URI:${SHOP}`, ''),
      fc.string({ unit: fc.constantFrom(...'aU,: "\'\\\0\n\xe9/'), maxLength: 8 }),
      fc
        .tuple(fc.constantFrom('', SHOP), fc.constantFrom(', URI:', ',', '"', "'"), fc.constantFrom('', SHOP))
        .map((parts) => parts.join('')),
    );
    const name = fc.tuple(fc.constantFrom(URI, URI, DNS, EMAIL), text);
    let count = 0;
    fc.assert(
      fc.property(fc.array(name, { maxLength: 4 }), (names) => {
        const uri = read(...names);
        const uris = names.filter(([tag]) => tag === URI).map(([, content]) => content);
        if (uri === undefined) {
          // Refused for a fault of its own, or for one of its neighbours that Node must quote.
          const isSound = uris.length === 1 && isCertificateUri(uris[0] as string);
          expect(
            isSound &&
              names.every(([, content]) => /^[\x20-\x7e]*$/.test(content) && !/["'\\,]/.test(content)),
          ).toBe(false);
        } else {
          count++;
          expect(uris).toEqual([uri]);
        }
      }),
      { numRuns: 3000 },
    );
    expect(count).toBeGreaterThan(0);
  });
});

describe('a certificate', () => {
  it('is known by its name, its serial number and its dates', () => {
    expect(shown({ serial: '00fa4e', from: '20270101000000Z', to: '20270101120000Z' })).toEqual({
      uri: SHOP,
      serial: 'FA4E',
      notBefore: Date.UTC(2027, 0, 1) / 1000,
      notAfter: Date.UTC(2027, 0, 1, 12) / 1000,
    });
  });

  it('counts for nothing where TLS did not authorize it, or in a resumed session', () => {
    const given = { authorized: true, resumed: false, certificate: certificate({ names: [[URI, SHOP]] }) };
    expect(shownBy(given)).toBeDefined();
    expect(shownBy({ ...given, authorized: false })).toBeUndefined();
    expect(shownBy({ ...given, resumed: true })).toBeUndefined();
    expect(shownBy({ ...given, certificate: undefined })).toBeUndefined();
  });

  it.each<[string, Draft]>([
    ['no name', { names: [] }],
    ['a serial number below zero', { serial: 'ff' }],
    ['a serial number of zero', { serial: '00' }],
  ])('counts for nothing with %s', (_what, draft) => expect(shown(draft)).toBeUndefined());

  it('counts from its first second until its end, and not while its serial number is denied', () => {
    const given = { uri: SHOP, serial: '0A01', notBefore: 1000, notAfter: 2000 };
    const counts = (now: number, ...denied: string[]) =>
      certificateAt(given, now, (serial) => denied.includes(serial)) !== undefined;
    expect([999, 1000, 1999, 2000, 2001, Number.NaN].map((now) => counts(now))).toEqual([
      ...[false, true, true],
      ...[false, false, false],
    ]);
    expect([counts(1500, '0A01'), counts(1500, '0A02')]).toEqual([false, true]);
  });
});
