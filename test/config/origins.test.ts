import { describe, expect, it } from 'vitest';
import { isLoopbackHost, type Origin, originText, publicOrigins } from '../../src/config/config.ts';
import { faults } from './load.ts';

describe('public origins', () => {
  const texts = (host: string, port: number, origins: Origin[] = []) =>
    publicOrigins({ host, origins }, port).map(originText);

  it('are those of loopback where none are configured', () => {
    expect(texts('127.0.0.1', 8080)).toEqual(['http://127.0.0.1:8080', 'http://localhost:8080']);
    expect(texts('localhost', 8080)).toEqual(['http://127.0.0.1:8080', 'http://localhost:8080']);
  });

  it('include the address that is listened on', () => {
    expect(texts('::1', 4000)).toContain('http://[::1]:4000');
    expect(texts('0:0:0:0:0:0:0:1', 4000)).toContain('http://[::1]:4000');
    expect(texts('127.0.0.5', 4000)).toContain('http://127.0.0.5:4000');
  });

  it('bear no default port', () => {
    expect(texts('127.0.0.1', 80)).toEqual(['http://127.0.0.1', 'http://localhost']);
  });

  it('are the configured ones alone where there are any', () => {
    const origins: Origin[] = [{ scheme: 'https', authority: 'api.example.com' }];
    expect(texts('127.0.0.1', 8080, origins)).toEqual(['https://api.example.com']);
  });

  it('are none for a host beyond this machine', () => {
    expect(texts('0.0.0.0', 8080)).toEqual([]);
  });
});

it.each([
  '127.0.0.1',
  '127.255.0.9',
  '::1',
  '[::1]',
  '0:0:0:0:0:0:0:1',
  '::ffff:127.0.0.1',
  'localhost',
  'LocalHost',
])('%s is loopback', (host) => expect(isLoopbackHost(host)).toBe(true));

it.each(['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', '::2', 'localhost.example', '127.0.0.1.example', 'x', ''])(
  '%j is not loopback',
  (host) => expect(isLoopbackHost(host)).toBe(false),
);

it.each(['http://127.0.0.1', '127.0.0.1:80', '127.0.0', 'a b', '[127.0.0.1', '*', 'a..b', '[host]'])(
  "%j isn't a host to listen on",
  (host) =>
    expect(faults(undefined, { COUNTERSIGN_HOST: host })[0]).toContain('must be an address or a host name'),
);

it.each([
  '10.0.0.0/33',
  '10.0.0/8',
  'fd00::/129',
  '10.0.0.1/',
  '10.0.0.1/8/8',
  '10.0.0.1/-1',
  'fe80::1%eth0',
  'proxy',
])('%s is not a network', (network) =>
  expect(faults(`trustedProxies: ['${network}']`)[0]).toContain('trustedProxies[0]: must be an address'),
);

it.each(['0.0.0.0/0', '::/0'])('%s would trust everybody', (network) => {
  expect(faults(`trustedProxies: ['${network}']`)[0]).toContain('would let every caller');
});

it.each(['https://x/', 'x', 'https://*', 'wss://x', 'https://x:0', 'https://a@x'])(
  "%s isn't an origin",
  (origin) => {
    expect(faults(undefined, { COUNTERSIGN_PUBLIC_ORIGINS: `https://ok.example,${origin}` })[0]).toContain(
      'COUNTERSIGN_PUBLIC_ORIGINS: must be an origin',
    );
  },
);
