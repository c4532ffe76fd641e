/** Who calls, as far as it can be believed; and which public origin is spoken to. */
import { describe, expect, it } from 'vitest';
import { findOrigin, isLoopbackAuthority, Peers } from '../../src/gateway/peer.ts';
import { Fields } from '../../src/signatures/index.ts';

const fields = (entries: Readonly<Record<string, string | readonly string[]>>) =>
  Fields.fromEntries(
    Object.entries(entries).flatMap(([name, value]) =>
      [value].flat().map((line) => [name, line] as [string, string]),
    ),
  );
const xff = (value: string | readonly string[]) => fields({ 'X-Forwarded-For': value });

const TRUSTED = ['10.0.0.0/8', '192.0.2.1', 'fd00::/8', '2001:db8::1'];
const PROXY = '10.1.2.3';

describe('a peer that is no trusted proxy', () => {
  it.each([
    ['where none is', new Peers([])],
    ['where others are', new Peers(TRUSTED)],
  ])('is itself, whatever it says, %s', (_where, peers) => {
    const said = fields({
      'X-Forwarded-For': '203.0.113.7',
      'X-Forwarded-Proto': 'https',
      'X-Forwarded-Host': 'other.example',
      'X-Real-IP': '203.0.113.7',
      Forwarded: 'for=203.0.113.7;proto=https',
    });
    expect(peers.read('198.51.100.1', 'http', said)).toEqual({
      address: '198.51.100.1',
      scheme: 'http',
      loopback: false,
      forwarded: false,
    });
  });

  it.each(['11.0.0.1', '192.0.2.2', '9.255.255.255', '2001:db8::2', 'fe00::1', '::ffff:11.0.0.1'])(
    '%s is not in the trusted networks',
    (address) => {
      expect(new Peers(TRUSTED).read(address, 'http', xff('203.0.113.7')).address).toBe(
        address.replace('::ffff:', ''),
      );
    },
  );

  it('may have gone already', () => {
    expect(new Peers(TRUSTED).read(undefined, 'http', xff('203.0.113.7'))).toEqual({
      address: '',
      scheme: 'http',
      loopback: false,
      forwarded: false,
    });
  });
});

describe('a trusted proxy', () => {
  it.each(['X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Real-IP', 'Forwarded', 'Via'])(
    'that writes %s calls for somebody else, whatever stands there',
    (name) => {
      const forwarded = (given: Fields) => new Peers(TRUSTED).read(PROXY, 'https', given).forwarded;
      expect([forwarded(fields({ [name]: 'unknown' })), forwarded(fields({}))]).toEqual([true, false]);
    },
  );

  const client = (value: string | readonly string[], proxy = PROXY) =>
    new Peers(TRUSTED).read(proxy, 'http', xff(value)).address;

  it.each([PROXY, '192.0.2.1', 'fd12::1', '2001:db8::1', '::ffff:10.1.2.3', '2001:0db8:0:0::1'])(
    '%s is believed',
    (proxy) => expect(client('203.0.113.7', proxy)).toBe('203.0.113.7'),
  );

  it.each<[string, string | readonly string[], string]>([
    ['one hop', '203.0.113.7', '203.0.113.7'],
    ['the last of several, which the proxy itself wrote', '1.1.1.1, 203.0.113.7', '203.0.113.7'],
    ['the first that is not trusted, from the right', '1.1.1.1, 203.0.113.7, 10.9.9.9', '203.0.113.7'],
    ['past several trusted hops', '1.1.1.1, 203.0.113.7, 192.0.2.1,10.9.9.9', '203.0.113.7'],
    ['over several lines', ['1.1.1.1', '203.0.113.7', '10.9.9.9'], '203.0.113.7'],
    ['of IPv6', '1.1.1.1, 2001:db8:1::7, fd00::1', '2001:db8:1::7'],
    ['of IPv4 within IPv6', '1.1.1.1, ::ffff:203.0.113.7', '203.0.113.7'],
    ['of IPv4 within IPv6, in capitals', '1.1.1.1, ::FFFF:203.0.113.7', '203.0.113.7'],
    ['a trusted address within IPv6', '203.0.113.7, ::ffff:10.9.9.9', '203.0.113.7'],
    ['none but trusted ones', '10.8.8.8, 10.9.9.9', '10.8.8.8'],
    ['nothing that is an address', 'unknown', PROXY],
    ['an address behind something that is none', '203.0.113.7, unknown', PROXY],
    ['an address with a port, which is none', '203.0.113.7:1234', PROXY],
    ['an address in a way that nobody else reads', '0xcb.0.113.7', PROXY],
    ['an address with leading zeros', '203.000.113.007', PROXY],
    ['nothing', '', PROXY],
    ['commas', ' , ,', PROXY],
  ])('tells the caller by %s', (_what, value, address) => {
    expect(client(value)).toBe(address);
  });

  it('is the caller where it says nothing', () => {
    expect(new Peers(TRUSTED).read(PROXY, 'http', new Fields()).address).toBe(PROXY);
  });

  it.each<[string | readonly string[] | undefined, 'http' | 'https']>([
    ['https', 'https'],
    ['http', 'http'],
    [undefined, 'http'],
    ['HTTPS', 'http'],
    ['ftp', 'http'],
    ['https, http', 'http'],
    [['https', 'https'], 'http'],
    ['', 'http'],
  ])('that says %j speaks %s', (proto, scheme) => {
    const said = proto === undefined ? new Fields() : fields({ 'X-Forwarded-Proto': proto });
    expect(new Peers(TRUSTED).read(PROXY, 'http', said).scheme).toBe(scheme);
  });

  it('is never a caller on this machine, though it runs there', () => {
    const peers = new Peers(['127.0.0.1']);
    expect(peers.read('127.0.0.1', 'http', new Fields()).loopback).toBe(false);
    expect(peers.read('127.0.0.1', 'http', xff('127.0.0.1')).loopback).toBe(false);
    expect(peers.read('127.0.0.2', 'http', new Fields()).loopback).toBe(true);
  });
});

describe('a caller on this machine', () => {
  const peers = new Peers([]);

  it.each(['127.0.0.1', '127.255.255.254', '::1', '::ffff:127.0.0.1'])('calls from %s', (address) => {
    expect(peers.read(address, 'http', new Fields()).loopback).toBe(true);
  });

  it.each(['128.0.0.1', '12.7.0.0', '::2', '10.0.0.1', 'fe80::1', '', '::ffff:128.0.0.1'])(
    'does not call from %j',
    (address) => expect(peers.read(address, 'http', new Fields()).loopback).toBe(false),
  );

  it.each(['Forwarded', 'X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Real-IP', 'Via'])(
    'bears no field %s, even an empty one: that is a proxy which nobody has told us of',
    (name) => expect(peers.read('127.0.0.1', 'http', fields({ [name]: '' })).loopback).toBe(false),
  );
});

describe('an authority', () => {
  it.each(['127.0.0.1', '127.0.0.1:8080', '127.1.2.3:1', 'localhost', 'localhost:8080', '[::1]', '[::1]:80'])(
    '%s is of this machine',
    (authority) => expect(isLoopbackAuthority(authority)).toBe(true),
  );

  it.each([
    '',
    '127.0.0.1.example',
    '127.0.0.1.example:80',
    'localhost.example',
    'x.localhost',
    'localhost@example',
    'example',
    '127.0.0.1:',
    '127.0.0.1:123456',
    '127.0.0',
    '0.0.0.0',
    '[::]',
    '::1',
    'localhost:80\n',
    '128.0.0.1',
  ])('%j is not', (authority) => expect(isLoopbackAuthority(authority)).toBe(false));
});

describe('a public origin', () => {
  const origins = [
    { scheme: 'https', authority: 'api.example' },
    { scheme: 'http', authority: 'api.example' },
    { scheme: 'https', authority: 'api.example:8443' },
    { scheme: 'http', authority: '[2001:db8::1]:8080' },
  ] as const;

  it.each<['http' | 'https', string, number]>([
    ['https', 'api.example', 0],
    ['http', 'api.example', 1],
    ['https', 'API.Example', 0],
    ['https', 'api.example:443', 0],
    ['http', 'api.example:80', 1],
    ['http', 'API.EXAMPLE:80', 1],
    ['https', 'api.example:8443', 2],
    ['http', '[2001:DB8::1]:8080', 3],
  ])('%s://%s is found', (scheme, host, index) => {
    expect(findOrigin(origins, scheme, host)).toBe(origins[index]);
  });

  it.each<['http' | 'https', string]>([
    ['http', 'api.example:443'],
    ['https', 'api.example:80'],
    ['http', 'api.example:8443'],
    ['https', 'api.example:'],
    ['https', 'api.example.'],
    ['https', 'xapi.example'],
    ['https', 'user@api.example'],
    ['https', 'api.example/'],
    ['https', 'api.example:0443'],
    ['https', 'api.example, api.example'],
    ['https', ''],
    ['http', '2001:db8::1'],
  ])('%s://%s is not one: origin-unknown', (scheme, host) => {
    expect(() => findOrigin(origins, scheme, host)).toThrow(
      expect.objectContaining({ code: 'origin-unknown' }),
    );
  });
});
