/** Where a key may be used from. */
import { describe, expect, it } from 'vitest';
import { AddressList, addressFault } from '../../src/consumers/address-list.ts';

describe('an address or a network', () => {
  it.each(['10.0.0.7', '10.0.0.0/8', '0.0.0.0/0', '192.0.2.1/32', '::1', 'fd00::/8', '2001:db8::1/128'])(
    'may be %s',
    (text) => expect(addressFault(text)).toBeUndefined(),
  );

  it.each([
    '',
    'localhost',
    '10.0.0',
    '10.0.0.256',
    '010.0.0.1',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10.0.0.0/0008',
    'fd00::/129',
    'fe80::1%eth0',
    '[::1]',
    '::ffff:10.0.0.1',
    '0:0:0:0:0:ffff:a00:1',
    '::ffff:0:0/96',
    '10.0.0.1:80',
    ' 10.0.0.1',
    '10.0.0.1\n',
  ])('may not be %j', (text) => expect(addressFault(text)).toContain(JSON.stringify(text).slice(1, -3)));
});

describe('a list of them', () => {
  const list = new AddressList(['10.1.0.0/16', '192.0.2.7', 'fd00::/8', '2001:db8::5']);

  it.each(['10.1.0.0', '10.1.255.255', '192.0.2.7', 'fd00::1', 'fdff::', '2001:db8::5', '2001:0db8::0005'])(
    'has %s',
    (address) => expect(list.has(address)).toBe(true),
  );

  it.each(['10.2.0.0', '10.0.255.255', '192.0.2.8', 'fc00::1', '2001:db8::6', '::1', '', 'unknown', '::'])(
    'does not have %j',
    (address) => expect(list.has(address)).toBe(false),
  );
});
