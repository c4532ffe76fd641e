/** The `tls:` section, and what `serve --tls` makes of it. */
import { describe, expect, it } from 'vitest';
import { loadConfig, publicOrigins } from '../../src/config/config.ts';
import { faults, load } from './load.ts';

const ORIGINS = 'host: 0.0.0.0\norigins: [https://api.example.com, "https://[2001:db8::1]:8443"]\n';

describe('a tls section', () => {
  it('shields a host that others reach, and takes its names from the https origins', () => {
    const { tls, data } = load(`${ORIGINS}tls: {}`);
    expect(tls).toEqual({
      names: ['api.example.com', '2001:db8::1'],
      uris: [],
      requester: 'gateway',
      inbox: `${data}/tls/inbox`,
      outbox: `${data}/tls/outbox`,
      clientCertificates: 'off',
      development: false,
    });
  });

  it('may say everything by itself; folders start from the working folder', () => {
    const { tls, data } = load(
      'tls: { names: [localhost, "::1"], uris: [spiffe://example.com/gw], requester: edge-1, inbox: in, outbox: /media/out, clientCertificates: request }',
    );
    expect(tls).toMatchObject({
      names: ['localhost', '::1'],
      uris: ['spiffe://example.com/gw'],
      requester: 'edge-1',
      inbox: data.replace(/\.countersign$/, 'in'),
      outbox: '/media/out',
      clientCertificates: 'request',
    });
  });

  it('makes https the scheme of the loopback origins', () => {
    const config = load('tls: { names: [localhost] }');
    expect(publicOrigins(config, 8443)).toContainEqual({ scheme: 'https', authority: 'localhost:8443' });
    expect(publicOrigins(config, 443)).toContainEqual({ scheme: 'https', authority: '127.0.0.1' });
  });

  it.each([
    ['names: [API.example.com]', /names\[0\]: must be a DNS name in lower case/],
    ['names: ["*.example.com"]', /names\[0\]: must be a DNS name/],
    ['names: ["10.0.0"]', /names\[0\]: must be a DNS name/],
    ['uris: [https://example.com/gw]', /uris\[0\]: must be a name such as spiffe/],
    ['uris: [spiffe://example.com/a/../b]', /uris\[0\]: must be a name such as spiffe/],
    ['requester: Gate Way', /requester: must be the name given to "ca enrol"/],
    ['clientCertificates: required', /clientCertificates: must be off or request/],
    ['name: [x]', /tls\.name: is not a setting; did you mean names\?/],
  ])('refuses %s', (line, why) => {
    expect(faults(`tls:\n  ${line}`).join('\n')).toMatch(why);
  });

  it('refuses to be without a name', () => {
    expect(faults('tls: {}')[0]).toMatch(/tls: needs names: write names: \[api\.example\.com\]/);
  });

  it('refuses an origin that could never be called, unless a proxy may bring it', () => {
    const http = 'origins: [http://api.example.com]\ntls: { names: [api.example.com] }\n';
    expect(faults(http)).toEqual([
      'c.yaml:1:10 origins: http://api.example.com can never be called where TLS is served; write https',
    ]);
    expect(load(`${http}trustedProxies: [10.0.0.1]`).origins).toHaveLength(1);
  });
});

describe('serve --tls', () => {
  const development = (variables: Record<string, string> = {}) =>
    loadConfig(variables, { cwd: '/srv', developmentTls: true });

  it('serves loopback by its names', () => {
    expect(development().tls).toMatchObject({ names: ['localhost', '127.0.0.1', '::1'], development: true });
  });

  it('is for this machine alone', () => {
    expect(() =>
      development({ COUNTERSIGN_HOST: '10.0.0.7', COUNTERSIGN_PUBLIC_ORIGINS: 'https://a.example' }),
    ).toThrow(/--tls is for development on this machine, and 10\.0\.0\.7 is beyond it/);
  });
});
