import { describe, expect, it } from 'vitest';
import { credentialsFile, loadConfig, maskedConfig } from '../../src/config/config.ts';
import { faults, load, refusal } from './load.ts';

const KEY = Buffer.alloc(32, 7).toString('base64');

describe('without file and variables', () => {
  it('serves loopback with the documented defaults', () => {
    expect(load(undefined)).toEqual({
      host: '127.0.0.1',
      port: 8080,
      adminPort: undefined,
      data: '/srv/.countersign',
      origins: [],
      trustedProxies: [],
      insecure: false,
      tls: undefined,
      masterKey: undefined,
      signatures: { maxLife: 300, skew: 30 },
      limits: { body: 1_048_576, upstreamBody: 8_388_608, failures: { burst: 200, perSecond: 20 } },
      idempotency: { keyLife: 86_400, keptBody: 1_048_576 },
      roles: undefined,
      grantableRoles: [],
      grantableTo: [],
      routes: [],
      quotas: [],
      publicDemo: false,
      accounts: { registration: 'closed' },
      logLevel: 'info',
      file: undefined,
    });
  });

  it('reads the process environment by itself', () => {
    process.env.COUNTERSIGN_PORT = '4711';
    try {
      expect(loadConfig().port).toBe(4711);
      expect(loadConfig(undefined, { variables: { COUNTERSIGN_PORT: '4712' } }).port).toBe(4712);
    } finally {
      delete process.env.COUNTERSIGN_PORT;
    }
  });
});

describe('the file', () => {
  const whole = `
host: '[::1]'
port: 0
adminPort: 9091
data: /var/lib/countersign
origins: [https://API.example.com:443, http://api.example.com:8080, https://api.example.com]
trustedProxies: [10.0.0.0/8, 'fd00::/8', 192.168.1.7]
insecure: true
signatures: { maxLife: 60 }
limits: { body: 1000, failures: { burst: 5 } }
roles: [orders, reports:read]
routes:
  - { path: /orders, upstream: 'http://127.0.0.1:9000', role: orders:read }
  - path: /reports
    upstream: https://Reports.internal:443
    role: reports:read
    idempotency: upstream
    timeout: 2.5
    encodedSlash: true
    setCookie: [theme]
    contentSecurityPolicy: default-src 'self'
logLevel: warn
`;

  it('sets everything', () => {
    expect(load(whole)).toMatchObject({
      host: '::1',
      port: 0,
      adminPort: 9091,
      data: '/var/lib/countersign',
      origins: [
        { scheme: 'https', authority: 'api.example.com' },
        { scheme: 'http', authority: 'api.example.com:8080' },
      ],
      trustedProxies: ['10.0.0.0/8', 'fd00::/8', '192.168.1.7'],
      insecure: true,
      signatures: { maxLife: 60, skew: 30 },
      limits: { body: 1000, upstreamBody: 8_388_608, failures: { burst: 5, perSecond: 20 } },
      roles: ['orders', 'reports:read'],
      routes: [
        {
          path: '/orders',
          upstream: 'http://127.0.0.1:9000',
          role: 'orders:read',
          idempotency: 'none',
          timeoutMs: 30_000,
          encodedSlash: false,
          setCookie: [],
          clientCertificate: 'none',
          contentSecurityPolicy: undefined,
        },
        {
          path: '/reports',
          upstream: 'https://reports.internal',
          role: 'reports:read',
          idempotency: 'upstream',
          timeoutMs: 2500,
          encodedSlash: true,
          setCookie: ['theme'],
          contentSecurityPolicy: "default-src 'self'",
        },
      ],
      logLevel: 'warn',
    });
  });

  it('is frozen to its depth', () => {
    const config = load(whole);
    expect(() => Object.assign(config, { port: 1 })).toThrow(TypeError);
    expect(() => Object.assign(config.limits.failures, { burst: 1 })).toThrow(TypeError);
    expect(() => Object.assign(config.routes[0] as object, { role: 'any' })).toThrow(TypeError);
    expect(() => (config.routes as unknown[]).push(1)).toThrow(TypeError);
    expect(() => Object.assign(config.routes[1]?.setCookie ?? [], ['x'])).toThrow(TypeError);
  });

  it('may be empty, or hold comments alone', () => {
    expect(load('').port).toBe(8080);
    expect(load('# port: 1\n').port).toBe(8080);
  });

  it('yields to the environment', () => {
    const config = load(whole, {
      COUNTERSIGN_HOST: 'localhost',
      COUNTERSIGN_PORT: '81',
      COUNTERSIGN_ADMIN_PORT: '82',
      COUNTERSIGN_DATA: 'here',
      COUNTERSIGN_PUBLIC_ORIGINS: 'https://one.example, http://two.example:81',
    });
    expect(config).toMatchObject({ host: 'localhost', port: 81, adminPort: 82 });
    expect(config.data).toMatch(/\/countersign-config-\w+\/here$/);
    expect(config.origins).toEqual([
      { scheme: 'https', authority: 'one.example' },
      { scheme: 'http', authority: 'two.example:81' },
    ]);
  });
});

describe('variables', () => {
  it('count as unset when they are empty', () => {
    expect(
      load(undefined, { COUNTERSIGN_PORT: '', COUNTERSIGN_CONFIG: '', COUNTERSIGN_PUBLIC_ORIGINS: '' }).port,
    ).toBe(8080);
  });

  it.each(['-1', '65536', '80a', '8 0', '0x50'])('refuse the port %j', (port) => {
    expect(faults(undefined, { COUNTERSIGN_PORT: port })).toEqual([
      'COUNTERSIGN_PORT: must be a port from 0 to 65535, where 0 takes a free one',
    ]);
  });

  it('name Kubernetes where it set the port', () => {
    expect(faults(undefined, { COUNTERSIGN_PORT: 'tcp://10.0.0.1:80' })[0]).toContain('enableServiceLinks');
  });

  it('that look mistyped are told, and those of others are left alone', () => {
    expect(faults(undefined, { COUNTERSIGN_PROT: '1', COUNTERSIGN_ORIGINS: 'x' })).toEqual([
      'COUNTERSIGN_PROT: is not a variable of Countersign; did you mean COUNTERSIGN_PORT?',
    ]);
    expect(load(undefined, { COUNTERSIGN_PORT_8080_TCP_ADDR: '10.0.0.1' }).port).toBe(8080);
  });

  it('are all told at once, and before the faults of the file', () => {
    expect(
      faults('port: x\nhost: ""', { COUNTERSIGN_ADMIN_PORT: 'x', COUNTERSIGN_HOST: 'http://x' }).map(
        (line) => line.split(' ')[0],
      ),
    ).toEqual(['COUNTERSIGN_HOST:', 'COUNTERSIGN_ADMIN_PORT:', 'c.yaml:1:7', 'c.yaml:2:7']);
  });

  it('name the credentials file of the client', () => {
    expect(credentialsFile({ COUNTERSIGN_CREDENTIALS: 'a.json' })).toBe('a.json');
    expect(credentialsFile({ COUNTERSIGN_CREDENTIALS: '' })).toBeUndefined();
  });
});

describe('the master key', () => {
  it('is passed on as it stands, and masked where the configuration is shown', () => {
    const config = load(undefined, { COUNTERSIGN_MASTER_KEY: KEY });
    expect(config.masterKey).toBe(KEY);
    expect(JSON.stringify(maskedConfig(config))).not.toContain(KEY);
    expect(maskedConfig(config)).toMatchObject({ masterKey: '(set)', port: 8080 });
  });

  it.each([
    ['empty', ''],
    ['too short', Buffer.alloc(31, 7).toString('base64')],
    ['too long', Buffer.alloc(33, 7).toString('base64')],
    ['not base64', 'correct horse battery staple'],
    ['of the URL alphabet', Buffer.alloc(32, 255).toString('base64url')],
    ['followed by a line break', `${KEY}\n`],
  ])('is refused where it is %s, and never repeated', (_, key) => {
    const error = refusal(undefined, { COUNTERSIGN_MASTER_KEY: key });
    expect(error.message).toMatch(/^COUNTERSIGN_MASTER_KEY: must be 32 bytes in base64/);
    if (key !== '') expect(JSON.stringify([error, error.message])).not.toContain(key.trim());
  });
});

describe('a host that others reach', () => {
  const origins = 'origins: [http://api.example.com]\n';

  it('needs origins and a shield', () => {
    expect(faults('host: 0.0.0.0').map((line) => line.slice(0, 80))).toEqual([
      'c.yaml:1:7 host: reaches beyond this machine, so the public origins must be named'.slice(0, 80),
      'c.yaml:1:7 host: reaches beyond this machine without TLS: set up tls:, list the proxy that ends TLS'.slice(
        0,
        80,
      ),
    ]);
    expect(faults(origins, { COUNTERSIGN_HOST: '::' })).toEqual([
      'COUNTERSIGN_HOST: reaches beyond this machine without TLS: set up tls:, list the proxy that ends TLS under trustedProxies, or set insecure: true',
    ]);
    expect(faults('insecure: true', { COUNTERSIGN_HOST: 'gateway.internal' })).toEqual([
      'COUNTERSIGN_HOST: reaches beyond this machine, so the public origins must be named: set origins, or COUNTERSIGN_PUBLIC_ORIGINS',
    ]);
  });

  it.each(['insecure: true', 'trustedProxies: [10.0.0.1]'])('may be served with %s', (shield) => {
    expect(load(`host: 0.0.0.0\n${origins}${shield}`).host).toBe('0.0.0.0');
  });

  it('is not blamed for what another fault hides', () => {
    expect(faults('host: 0.0.0.0\norigins: [nonsense]\ninsecure: maybe')).toHaveLength(2);
    expect(faults('host: [', { COUNTERSIGN_HOST: '0.0.0.0' }).join()).not.toContain('COUNTERSIGN_HOST');
  });
});

it('refuses one port for two purposes, told where it was set', () => {
  expect(faults('adminPort: 8080')).toEqual([
    'c.yaml:1:12 adminPort: must be another port than the one for calls',
  ]);
  expect(faults('port: 9', { COUNTERSIGN_ADMIN_PORT: '9' })[0]).toMatch(/^COUNTERSIGN_ADMIN_PORT: /);
  expect(load('port: 0\nadminPort: 0').adminPort).toBe(0);
});
