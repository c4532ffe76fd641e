/** Names in their one strict form, and what the profile and the root grant of them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkConstraints, readConstraints } from '../../src/issuer/constraints.ts';
import { covers, ipOctets, ipText, readNetwork } from '../../src/issuer/ip-address.ts';
import { checkDnsName, checkIpAddress, checkUriName, readNames } from '../../src/issuer/names.ts';
import { refusal } from './refusal.ts';

const none = { dns: [], ip: [], uri: [] };

describe('DNS names', () => {
  it.each(['a', 'api.example.org', 'x-1.example.org', `${'a'.repeat(63)}.org`, '1.example.org', 'localhost'])(
    'takes %s',
    (name) => {
      expect(() => checkDnsName(name)).not.toThrow();
    },
  );

  it.each([
    ['nothing', '', 'must be lower-case'],
    ['a wildcard', '*.example.org', 'wildcard'],
    ['a wildcard within a label', 'a*.example.org', 'wildcard'],
    ['a NUL', 'api.example.org\0.evil.test', 'must be lower-case'],
    ['a Cyrillic letter', 'аpi.example.org', 'must be lower-case'],
    ['the same in Punycode', 'xn--pi-7kc.example.org', 'other letters'],
    ['upper case', 'API.example.org', 'must be lower-case'],
    ['a dot at the end', 'api.example.org.', 'must be lower-case'],
    ['two dots', 'api..example.org', 'must be lower-case'],
    ['a hyphen at the end of a label', 'api-.example.org', 'must be lower-case'],
    ['a label of 64', `${'a'.repeat(64)}.org`, 'must be lower-case'],
    ['254 characters', `${'abcdefg.'.repeat(31)}abcdef`, '253 characters'],
    ['an address', '10.0.0.7', 'ends in a number'],
    ['an address in hex', '0x7f000001', 'ends in a number'],
    ['a space', 'api example.org', 'must be lower-case'],
    ['a line end', 'api.example.org\n', 'must be lower-case'],
    ['an underscore', '_sip.example.org', 'must be lower-case'],
  ])('refuses %s', async (_what, name, why) => {
    const { code, detail } = await refusal(() => checkDnsName(name));
    expect(code).toBe('certificate-request-refused');
    expect(detail).toContain(why);
    expect(detail).toMatch(/^[\x20-\x7e]*$/);
  });

  it('takes nothing but labels of letters, digits and hyphens, whatever it is given', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.domain(), fc.webUrl()), (name) => {
        const isTaken = taken(() => checkDnsName(name));
        if (isTaken) expect(name).toMatch(/^(?=.{1,253}$)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*$/);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('URI names', () => {
  it.each(['spiffe://example.org/shop', 'spiffe://a/B_c.d-e/f', 'spiffe://example.org/ns/shop/sa/x'])(
    'takes %s',
    (name) => {
      expect(() => checkUriName(name)).not.toThrow();
    },
  );

  it.each([
    'https://example.org/shop',
    'SPIFFE://example.org/shop',
    'spiffe://example.org',
    'spiffe://example.org/',
    'spiffe://example.org/shop/',
    'spiffe://example.org//shop',
    'spiffe://example.org/a/../shop',
    'spiffe://example.org/./shop',
    'spiffe://example.org:443/shop',
    'spiffe://shop@example.org/shop',
    'spiffe://example.org/shop?x',
    'spiffe://example.org/shop#x',
    'spiffe://example.org/%73hop',
    'spiffe://exаmple.org/shop',
    'spiffe://example.org/shop\0',
    'spiffe://example.org/shop\n',
    'spiffe:///shop',
    'spiffe://*/shop',
    'urn:example:shop',
  ])('refuses %j', async (name) => {
    expect((await refusal(() => checkUriName(name))).code).toBe('certificate-request-refused');
  });

  it('refuses more than 2,048 characters', () => {
    const longest = `spiffe://example.org/${'a'.repeat(2027)}`;
    expect([taken(() => checkUriName(longest)), taken(() => checkUriName(`${longest}a`))]).toEqual([
      true,
      false,
    ]);
  });

  it('takes only what a URL parser leaves as it is, so that no reader sees another host or path', () => {
    const part = fc.string({ unit: fc.constantFrom(...'abzAZ09._-/:@?#%\\*\0 é'), maxLength: 12 });
    fc.assert(
      fc.property(part, part, (host, path) => {
        const name = `spiffe://${host}/${path}`;
        if (!taken(() => checkUriName(name))) return;
        const url = new URL(name);
        const [, , authority, ...segments] = name.split('/');
        expect([url.href, url.host, url.pathname]).toEqual([name, authority, `/${segments.join('/')}`]);
      }),
      { numRuns: 5000 },
    );
  });
});

describe('IP addresses', () => {
  it('has one text for every address', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), wideAddress()), (octets) => {
        const text = ipText(octets);
        expect(ipOctets(text)).toEqual(Buffer.from(octets));
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    '10.0.0',
    '010.0.0.7',
    '10.0.0.256',
    '0x0a.0.0.7',
    '10.0.0.7 ',
    '2001:DB8::7',
    '2001:db8:0:0:0:0:0:7',
    '2001:db8::0007',
    '::ffff:10.0.0.7',
    '::ffff:a00:7',
    'fe80::1%eth0',
    '[::1]',
    '',
  ])('refuses %j', async (text) => {
    expect((await refusal(() => checkIpAddress(text))).code).toBe('certificate-request-refused');
  });

  it('says of each address whether a network holds it, as its bits do', () => {
    fc.assert(
      fc.property(
        fc.nat(32),
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        (prefix, base, octets) => {
          const bits = (bytes: Uint8Array) => [...bytes].map((b) => b.toString(2).padStart(8, '0')).join('');
          const kept = bits(base).slice(0, prefix);
          const address = Buffer.from((kept.padEnd(32, '0').match(/.{8}/g) ?? []).map((b) => parseInt(b, 2)));
          const network = readNetwork(`${ipText(address)}/${prefix}`);
          expect(network && covers(network, Buffer.from(octets))).toBe(bits(octets).startsWith(kept));
        },
      ),
    );
  });

  it.each([
    '10.0.0.7/8',
    '10.0.0.0',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '::/129',
    '2001:db8::1/32',
    '::ffff:0:0/96',
  ])('takes no network %s', (text) => {
    expect(readNetwork(text)).toBeUndefined();
  });
});

describe('names together', () => {
  it('are sorted, so that the same request is the same names', () => {
    expect(readNames({ dns: ['b.test', 'a.test'], ip: [], uri: [] }).dns).toEqual(['a.test', 'b.test']);
  });

  it('may not stand twice, nor be more than 64', async () => {
    expect((await refusal(() => readNames({ ...none, dns: ['a.test', 'a.test'] }))).detail).toContain(
      'twice',
    );
    const many = Array.from({ length: 65 }, (_, i) => `a${i}.test`);
    expect((await refusal(() => readNames({ ...none, dns: many }))).detail).toContain('65 names');
    expect(readNames({ ...none, dns: many.slice(1) }).dns).toHaveLength(64);
  });
});

describe('what a root may vouch for', () => {
  const constraints = readConstraints({ dns: ['example.org'], ip: ['10.1.0.0/16'], uri: ['example.org'] });
  const ask = (names: Partial<typeof none>) => () => checkConstraints({ ...none, ...names }, constraints);

  it('is its domains and all below them, its networks, and its hosts alone', () => {
    expect(ask({ dns: ['example.org', 'a.b.example.org'] as never[] })).not.toThrow();
    expect(ask({ ip: ['10.1.2.3'] as never[] })).not.toThrow();
    expect(ask({ uri: ['spiffe://example.org/shop'] as never[] })).not.toThrow();
  });

  it.each([
    ['no name at all', {}],
    ['another domain', { dns: ['example.com'] }],
    ['a domain that ends alike', { dns: ['badexample.org'] }],
    ['a domain above', { dns: ['org'] }],
    ['one of two', { dns: ['api.example.org', 'api.example.com'] }],
    ['another network', { ip: ['10.2.0.1'] }],
    ['an address of the other family', { ip: ['::1'] }],
    ['a host below', { uri: ['spiffe://a.example.org/shop'] }],
    ['another host', { uri: ['spiffe://example.com/example.org'] }],
  ])('is not %s', async (_what, names) => {
    expect((await refusal(ask(names as Partial<typeof none>))).code).toBe('certificate-request-refused');
  });

  it.each([
    ['nothing', none],
    ['a wildcard', { ...none, dns: ['*.example.org'] }],
    ['a leading dot', { ...none, uri: ['.example.org'] }],
    ['a URI where a host belongs', { ...none, uri: ['spiffe://example.org'] }],
    ['a network with bits beside its prefix', { ...none, ip: ['10.0.0.1/8'] }],
    ['the domain that stands for nobody', { ...none, dns: ['invalid'] }],
  ])('can not be %s', async (_what, given) => {
    expect((await refusal(() => readConstraints(given))).code).toBe('authority-invalid');
  });
});

function taken(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}

/** IPv6 with runs of zeros, and not an IPv4 address in disguise. */
function wideAddress() {
  return fc
    .array(fc.constantFrom(0, 0, 0, 1, 0xff, 0x20), { minLength: 16, maxLength: 16 })
    .map((octets) => Uint8Array.from(octets));
}
