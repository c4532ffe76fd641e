import { describe, expect, it } from 'vitest';
import { faults, load } from './load.ts';

const route = (settings: string) => `routes: [{ upstream: 'http://127.0.0.1:9000', role: any, ${settings} }]`;

describe('the path of a route', () => {
  it.each(['/', '/orders', '/orders/new', '/v10', '/Docs', '/.well-known', '/a-b_c~d.e'])(
    'may be %s',
    (path) => {
      expect(load(route(`path: ${path}`)).routes[0]?.path).toBe(path);
    },
  );

  it.each([
    ['orders', 'must begin with a slash'],
    ['/orders/', 'write it without the slash at the end; /orders covers'],
    ['/orders?x=1', 'leave out the query'],
    ['/a//b', 'empty segment'],
    ['/a/../b', 'the segment ".."'],
    ['//evil.example', 'two slashes'],
    ['/a%2Fb', 'without % and ;'],
    ['/caf%C3%A9', 'without % and ;'],
    ['/a;v=1', 'without % and ;'],
    ['/a%zz', 'two hex digits'],
    ['/a#b', 'fragment'],
    ['/café', '0x21-0x7E'],
    ['/v1', 'belongs to the gateway'],
    ['/v1/orders', 'belongs to the gateway'],
    ['/healthz', 'belongs to the gateway'],
    ['/readyz', 'belongs to the gateway'],
    ['/metrics/x', 'belongs to the gateway'],
    ['/openapi.json', 'belongs to the gateway'],
    ['/docs', 'belongs to the gateway'],
    ['/console/x', 'belongs to the gateway'],
  ])("can't be %s", (path, why) => {
    const told = faults(route(`path: '${path}'`));
    expect(told).toHaveLength(1);
    expect(told[0]).toContain(why);
  });
});

describe('the upstream of a route', () => {
  it.each([
    ['http://Orders.internal:80', 'http://orders.internal'],
    ['https://[2001:DB8::1]:8443', 'https://[2001:db8::1]:8443'],
  ])('%s is kept as an origin', (upstream, kept) => {
    expect(load(`routes: [{ path: /a, role: any, upstream: '${upstream}' }]`).routes[0]?.upstream).toBe(kept);
  });

  it.each([
    'ftp://x',
    'x:9000',
    'http://x/',
    'http://x/y',
    'http://x?y',
    'http://x#y',
    'http://user:hunter2@x',
    'http://*.x',
    'http://x:99999',
    'http://999.1.1.1',
    '',
  ])("can't be %s, which isn't repeated", (upstream) => {
    const told = faults(`routes: [{ path: /a, role: any, upstream: '${upstream}' }]`);
    expect(told).toHaveLength(1);
    expect(told[0]).toContain('routes[0].upstream: must be an origin');
    expect(told[0]).not.toContain('hunter2');
  });
});

describe('the role of a route', () => {
  const roled = (role: string, roles = '') =>
    `${roles}\n${route(`path: /a`).replace('role: any', `role: ${role}`)}`;

  it('is free where there is no section of roles', () => {
    expect(load(roled('orders:read')).routes[0]?.role).toBe('orders:read');
  });

  it('must be granted by a listed one, where they are listed', () => {
    const roles = 'roles: [orders, reports:read]';
    expect(load(roled('orders', roles)).routes[0]?.role).toBe('orders');
    expect(load(roled('orders:read:own', roles)).routes[0]?.role).toBe('orders:read:own');
    expect(load(roled('any', roles)).routes[0]?.role).toBe('any');
    for (const role of ['reports', 'ordersx', 'reports:readx']) {
      expect(faults(roled(role, roles))[0]).toContain('is granted by nothing under roles:');
    }
    expect(faults(roled('billing', 'roles: []'))[0]).toContain('add it there');
  });

  it.each(['Orders', "'orders:'", ':orders', 'orders read', "''", 'a::b'])(
    'is refused off the grammar: %s',
    (role) => {
      expect(faults(roled(role))[0]).toContain('must be a role such as');
    },
  );

  it('any is a word of routes, not a role to list', () => {
    expect(faults('roles: [any]')).toEqual([
      'c.yaml:1:9 roles[0]: is no role: in a route it means whoever is authenticated',
    ]);
  });
});

describe('the list of roles', () => {
  it('says which of them a consumer may have for the asking', () => {
    const config = load('roles: [orders, { name: reports, grantable: true }, { name: billing }]');
    expect(config.roles).toEqual(['orders', 'reports', 'billing']);
    expect(config.grantableRoles).toEqual(['reports']);
  });

  it('says which of them those with certain roles may have', () => {
    const config = load("roles: [orders, { name: reports, grantableTo: [developer, 'staff:finance'] }]");
    expect(config.grantableRoles).toEqual([]);
    expect(config.grantableTo).toEqual([{ name: 'reports', to: ['developer', 'staff:finance'] }]);
    expect(faults('roles: [{ name: reports, grantableTo: [Developer] }]')[0]).toContain('grantableTo');
    expect(faults('roles: [{ name: operator, grantableTo: [developer] }]')[0]).toContain(
      "can't be set for what operators do",
    );
  });

  it('has none for the asking by default', () => {
    expect(load('roles: [orders]').grantableRoles).toEqual([]);
    expect(load('').grantableRoles).toEqual([]);
  });

  it('tells every fault of its entries', () => {
    const entries = ['{ name: Orders }', '{ grantable: 1 }', '{ name: a, grantble: true }', '5', '[a]', ''];
    const told = faults(`roles:\n${entries.map((entry) => `  - ${entry}\n`).join('')}`);
    expect(told.map((fault) => fault.replace(/^c\.yaml:\d+:\d+ /, ''))).toEqual([
      expect.stringContaining('roles[0].name: must be a role such as'),
      'roles[1].name: is missing; write a role',
      'roles[1].grantable: must be true or false',
      expect.stringContaining('roles[2].grantble: is not a setting; did you mean grantable?'),
      'roles[3]: must be a role, or { name, grantable }',
      'roles[4]: must be a role, or { name, grantable }',
      'roles[5]: is empty; write a role, or { name, grantable }',
    ]);
  });

  it.each(['operator', 'operator:keys'])('never has %s for the asking', (name) => {
    expect(faults(`roles: [{ name: '${name}', grantable: true }]`)).toEqual([
      expect.stringContaining("roles[0].grantable: can't be true for what operators do"),
    ]);
  });
});

describe('the other settings of a route', () => {
  it.each(['none', 'nonce', 'key', 'upstream'])('idempotency may be %s', (idempotency) => {
    const [loaded] = load(route(`path: /a, idempotency: ${idempotency}`)).routes;
    expect(loaded?.idempotency).toBe(idempotency);
  });

  it.each(['none', 'optional'])('clientCertificate may be %s, and is none by default', (demand) => {
    expect(load(route(`path: /a, clientCertificate: ${demand}`)).routes[0]?.clientCertificate).toBe(demand);
    expect(load(route('path: /a')).routes[0]?.clientCertificate).toBe('none');
  });

  const TLS = 'origins: ["https://a.example"]\ntls: {}\n';

  it.each([
    ['none', 'off'],
    ['optional', 'request'],
    ['required', 'request'],
  ])('clientCertificate: %s alone leaves tls.clientCertificates at %s', (demand, expected) => {
    const { tls, routes } = load(`${TLS}${route(`path: /a, clientCertificate: ${demand}`)}`);
    expect([tls?.clientCertificates, routes[0]?.clientCertificate]).toEqual([expected, demand]);
  });

  it.each([
    ['', 'is required, and only TLS shows certificates'],
    [TLS.replace('{}', '{ clientCertificates: off }'), 'is required, and tls.clientCertificates is off'],
  ])('clientCertificate: required is refused where nobody could meet it: %j', (tls, why) => {
    const told = faults(`${tls}${route('path: /a, clientCertificate: required')}`);
    expect(told).toEqual([expect.stringContaining(`routes[0].clientCertificate: ${why}`)]);
    expect(told[0]).toMatch(/^c\.yaml:\d+:\d+ /);
  });

  it.each([
    ['clientCertificate: always', 'must be none, optional or required'],
    ['clientCertificate: true', 'must be none, optional, required'],
    ['idempotency: always', 'must be none, nonce, key or upstream'],
    ['timeout: 0', 'must be a number of seconds from 0.001 to 3600'],
    ['timeout: .inf', 'must be a number of seconds'],
    ['timeout: .nan', 'must be a number of seconds'],
    ['setCookie: theme', 'must be a list of cookie names'],
    ["setCookie: ['*']", 'no wildcards'],
    ["setCookie: ['a=b']", "must be one cookie's name"],
    ['setCookie: [__Host-countersign]', "the gateway's own console"],
    ["contentSecurityPolicy: ''", 'must be one line of printable ASCII'],
    ['contentSecurityPolicy: "a\\nb: c"', 'must be one line of printable ASCII'],
    ['encodedSlash: 1', 'must be true or false'],
    ['timeoutMs: 5', 'did you mean timeout?'],
    ['target: x', 'the settings here are path, upstream, role'],
  ])('%s is refused', (setting, why) => {
    const told = faults(route(`path: /a, ${setting}`));
    expect(told).toHaveLength(1);
    expect(told[0]).toContain(why);
  });
});
