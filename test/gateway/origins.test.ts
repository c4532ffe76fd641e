/** Origins, proxies and who is local, over the wire. */
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../src/testing.ts';
import { type Answer, bytesOf, type Draft, problem, send, sendBytes, sign } from './wire.ts';

let gateway: TestGateway;

afterEach(() => gateway.close());

const start = async (settings: Readonly<Record<string, unknown>> = {}) => {
  gateway = await startTestGateway({ settings });
};
const signed = (draft: Draft = {}) => sign(gateway, gateway.credentials, draft);

/** An unsigned GET. */
const get = (target: string, host: string, fields: readonly string[] = [], port = gateway.port) =>
  sendBytes(port, [`GET ${target} HTTP/1.1`, `Host: ${host}`, ...fields, '', ''].join('\r\n'));
const codeOf = (answer: Answer) => (answer.status === 200 ? 'ok' : problem(answer).code);

describe('without configured origins', () => {
  it.each(['127.0.0.1', 'localhost', 'LocalHost', 'LOCALHOST'])('%s with the port is one', async (name) => {
    await start();
    const host = `${name}:${gateway.port}`;
    expect(codeOf(await get('/v1/ping', host))).toBe('ok');
    // Signed with the name in lower case, as RFC 9421 section 2.2.3 says; sent in any.
    const request = signed({ host: host.toLowerCase() });
    request.headers[0] = ['Host', host];
    expect((await send(gateway, request)).status).toBe(200);
  });

  it('a message for one is not good for the other', async () => {
    await start();
    const request = signed({ host: `127.0.0.1:${gateway.port}` });
    request.headers[0] = ['Host', `localhost:${gateway.port}`];
    expect(codeOf(await send(gateway, request))).toBe('signature-invalid');
  });

  it.each(['127.0.0.1', 'localhost', '127.0.0.1:1', 'example', '[::1]', ''])(
    '%j is none: 421',
    async (host) => {
      await start();
      const answer = await get('/v1/ping', host);
      expect(answer.status).toBe(421);
      expect(codeOf(answer)).toBe('origin-unknown');
      expect(answer.headers.has('signature')).toBe(false);
    },
  );
});

describe('with configured origins', () => {
  const origins = ['http://api.example', 'http://other.example:8080', 'https://api.example'];

  it.each([
    ['api.example', 'api.example'],
    ['API.example', 'api.example'],
    ['api.example:80', 'api.example'],
    ['other.example:8080', 'other.example:8080'],
  ])('Host: %s speaks to http://%s', async (host, authority) => {
    await start({ origins });
    const request = signed({ host: authority });
    request.headers[0] = ['Host', host];
    expect((await send(gateway, request)).status).toBe(200);
  });

  it.each(['other.example', 'api.example:443', 'api.example:8080', 'evil.example', 'localhost'])(
    'Host: %s is 421, signed or not',
    async (host) => {
      await start({ origins });
      expect(codeOf(await get('/v1/ping', host))).toBe('origin-unknown');
      const request = signed({ host });
      expect(codeOf(await send(gateway, request))).toBe('origin-unknown');
    },
  );

  it('a loopback Host is none of them', async () => {
    await start({ origins });
    expect(codeOf(await get('/v1/ping', `127.0.0.1:${gateway.port}`))).toBe('origin-unknown');
  });

  it('https is spoken only where a trusted proxy says so', async () => {
    await start({ origins: ['https://api.example'] });
    expect(codeOf(await get('/v1/ping', 'api.example', ['X-Forwarded-Proto: https']))).toBe('origin-unknown');
  });

  it('behind a trusted proxy, what was signed for https is good', async () => {
    await start({ origins: ['https://api.example'], trustedProxies: ['127.0.0.0/8'] });
    expect(codeOf(await get('/v1/ping', 'api.example', ['X-Forwarded-Proto: https']))).toBe('ok');
    expect(codeOf(await get('/v1/ping', 'api.example'))).toBe('origin-unknown');
    expect(codeOf(await get('/v1/ping', 'evil.example', ['X-Forwarded-Proto: https']))).toBe(
      'origin-unknown',
    );
    // The same message, said to have come over http: not what was signed.
    const request = signed({ host: 'api.example' });
    request.headers.push(['X-Forwarded-Proto', 'https']);
    expect(codeOf(await send(gateway, request))).toBe('signature-invalid');
  });

  it('X-Forwarded-Host speaks for nobody', async () => {
    await start({ origins, trustedProxies: ['127.0.0.0/8'] });
    expect(codeOf(await get('/v1/ping', 'evil.example', ['X-Forwarded-Host: api.example']))).toBe(
      'origin-unknown',
    );
  });
});

describe('probes', () => {
  it.each(['/healthz', '/readyz'])('%s answers whatever the Host', async (target) => {
    await start({ origins: ['https://api.example'] });
    for (const host of ['10.0.0.1', 'evil.example', '', 'api.example', `127.0.0.1:${gateway.port}`]) {
      expect((await get(target, host)).status).toBe(200);
    }
    expect((await sendBytes(gateway.port, `GET ${target} HTTP/1.0\r\n\r\n`)).status).toBe(200);
    expect((await sendBytes(gateway.port, `HEAD ${target} HTTP/1.1\r\nHost: x\r\n\r\n`, 'HEAD')).status).toBe(
      200,
    );
  });

  it('say no word of details to others', async () => {
    await start({ origins: ['http://api.example'] });
    expect(JSON.parse((await get('/readyz', 'api.example')).body)).toEqual({ status: 'ready' });
    expect(JSON.parse((await get('/healthz', 'api.example')).body)).toEqual({ status: 'ok' });
  });

  it('tell callers on the same machine', async () => {
    await start();
    const { body } = await get('/readyz', `127.0.0.1:${gateway.port}`);
    expect(JSON.parse(body)).toMatchObject({ status: 'ready', checks: { store: 'ok' } });
  });

  it.each(['/healthz/', '/healthz/x', '/HEALTHZ', '/readyz;x', '/healthzx'])(
    '%s is none of them',
    async (target) => {
      await start();
      expect((await get(target, 'evil.example')).status).toBe(421);
    },
  );
});

describe('what is for callers on the same machine', () => {
  const isDetailed = async (host: string, fields: readonly string[] = []) => {
    const metrics = await get('/metrics', host, fields);
    const ready = await get('/readyz', host, fields);
    const told = JSON.parse(ready.body).checks !== undefined;
    expect(told).toBe(metrics.status === 200);
    return told;
  };

  it('is there for them', async () => {
    await start();
    expect(await isDetailed(`127.0.0.1:${gateway.port}`)).toBe(true);
    expect(await isDetailed(`localhost:${gateway.port}`)).toBe(true);
  });

  it('and is a 404 to what came through a proxy', async () => {
    await start();
    const host = `127.0.0.1:${gateway.port}`;
    for (const field of [
      'X-Forwarded-For: 127.0.0.1',
      'X-Forwarded-Proto: http',
      'X-Forwarded-Host: localhost',
      'X-Real-IP: 127.0.0.1',
      'Forwarded: for=127.0.0.1',
      'Via: 1.1 proxy',
      'x-forwarded-for:',
    ]) {
      expect(await isDetailed(host, [field])).toBe(false);
      expect(codeOf(await get('/metrics', host, [field]))).toBe('not-found');
    }
  });

  it('and to a trusted proxy, with and without its fields', async () => {
    await start({ trustedProxies: ['127.0.0.1'] });
    expect(await isDetailed(`127.0.0.1:${gateway.port}`)).toBe(false);
    expect(await isDetailed(`127.0.0.1:${gateway.port}`, ['X-Forwarded-For: 127.0.0.1'])).toBe(false);
  });

  it('and to a Host that is no loopback, as a page that rebinds its name would send', async () => {
    await start({ origins: ['http://api.example', 'http://127.0.0.1.example'] });
    expect(await isDetailed('api.example')).toBe(false);
    expect(await isDetailed('127.0.0.1.example')).toBe(false);
  });

  it('and, signed or not, to nobody by another spelling', async () => {
    await start();
    for (const target of ['/Metrics', '/metrics/', '/metrics/x', '/metrics;x']) {
      expect((await get(target, `127.0.0.1:${gateway.port}`)).status).toBe(404);
    }
  });
});

describe('the admin port', () => {
  const settings = { origins: ['http://api.example'], adminPort: 0 };

  it('tells details to whoever reaches it, whatever the Host', async () => {
    await start(settings);
    for (const host of ['10.0.0.7:9000', 'prometheus.example', '']) {
      const metrics = await get('/metrics', host, ['Via: 1.1 proxy'], gateway.adminPort);
      expect(metrics.body).toContain('countersign_calls_total');
      const ready = await get('/readyz', host, [], gateway.adminPort);
      expect(JSON.parse(ready.body).checks).toEqual({ store: 'ok' });
    }
  });

  it('leaves the other port as it is', async () => {
    await start(settings);
    expect((await get('/metrics', 'api.example')).status).toBe(404);
    expect((await get('/metrics', '10.0.0.7:9000')).status).toBe(421);
  });

  it('serves nothing that was signed for another origin than the public ones', async () => {
    await start(settings);
    const admin = { port: gateway.adminPort as number, clock: gateway.clock };
    for (const host of [`127.0.0.1:${admin.port}`, 'evil.example']) {
      expect(codeOf(await send(admin, signed({ host })))).toBe('origin-unknown');
    }
    expect((await send(admin, signed({ host: 'api.example' }))).status).toBe(200);
  });
});

const hasIPv6 = Object.values(networkInterfaces()).some((each) =>
  each?.some(({ address }) => address === '::1'),
);

describe.skipIf(!hasIPv6)('listening on IPv6', () => {
  it('serves its own origin there', async () => {
    await start({ host: '::1' });
    const request = signed({ host: `[::1]:${gateway.port}` });
    const status = await new Promise<string>((resolve, reject) => {
      const socket = connect(gateway.port, '::1', () => socket.write(bytesOf(request)));
      socket.once('error', reject);
      socket.once('data', (data) => {
        resolve(data.toString().split('\r\n', 1)[0] ?? '');
        socket.destroy();
      });
    });
    expect(status).toBe('HTTP/1.1 200 OK');
  });
});
