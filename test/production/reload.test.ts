/**
 * A new configuration is followed at once, or not at all; what can't be followed is named.
 */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { follow } from '../../src/config/reload.ts';
import { startTestGateway, startTestUpstream } from '../../src/testing.ts';
import { endAll, type GatewayProcess, serve, temporaryFolder } from '../e2e/processes.ts';
import { capturedLog } from '../gateway/captured-log.ts';
import { problem, send, sign } from '../gateway/wire.ts';

afterEach(endAll);

/** A configuration as a file with these settings makes it. */
function configOf(settings: Readonly<Record<string, unknown>>) {
  const file = join(temporaryFolder(), 'countersign.yaml');
  writeFileSync(file, JSON.stringify(settings));
  return loadConfig({ COUNTERSIGN_CONFIG: file, COUNTERSIGN_PORT: '0', COUNTERSIGN_DATA: '/data' });
}

/** An upstream that says its name. */
async function named(name: string): Promise<string> {
  const upstream = await startTestUpstream(() => ({ body: { name } }));
  onTestFinished(() => upstream.close());
  return upstream.url;
}

const route = (path: string, upstream: string, role = 'any') => ({ path, upstream, role });

describe('a running gateway', () => {
  it('ends a call on the routes that it began with, and begins the next on the new ones', async () => {
    let arrived: (response: ServerResponse) => void = () => {};
    const first = new Promise<ServerResponse>((resolve) => {
      arrived = resolve;
    });
    const slow = createServer((_req, res) => arrived(res)).listen(0, '127.0.0.1');
    onTestFinished(() => void slow.close());
    await once(slow, 'listening');
    const { port } = slow.address() as AddressInfo;
    const log = capturedLog();
    const gateway = await startTestGateway({
      settings: {
        routes: [route('/orders', `http://127.0.0.1:${port}`), route('/gone', await named('gone'))],
      },
      logger: log.logger,
    });
    onTestFinished(() => gateway.close());
    const fetch = gateway.signedFetch();
    const begun = fetch('/orders');
    const held = await first;
    const routes = [route('/orders', await named('new')), route('/more', await named('more'))];
    const done = gateway.reload({ ...configOf({ routes }), data: join(gateway.folder, 'data') });
    expect(done).toMatchObject({ changed: ['routes'], restart: ['file'] });
    expect(await (await fetch('/orders')).json()).toEqual({ name: 'new' });
    expect(await (await fetch('/more')).json()).toEqual({ name: 'more' });
    await expect(fetch('/gone')).rejects.toMatchObject({ code: 'not-found' });
    held.end('old');
    expect(await (await begun).text()).toBe('old');
    expect(log.lines.find(({ msg }) => msg === 'reloaded')).toMatchObject({ changed: ['routes'], routes: 2 });
  });

  it('answers to other origins, and no longer to the old ones', async () => {
    const gateway = await startTestGateway();
    onTestFinished(() => gateway.close());
    const key = gateway.credentials;
    const ask = (host: string) => send(gateway, sign(gateway, key, { host }));
    expect((await ask(`127.0.0.1:${gateway.port}`)).status).toBe(200);
    gateway.reload({ ...configOf({ origins: ['http://api.example'] }), data: join(gateway.folder, 'data') });
    expect((await ask('api.example')).status).toBe(200);
    expect(problem(await ask(`127.0.0.1:${gateway.port}`)).code).toBe('origin-unknown');
  });
});

describe('of a new configuration', () => {
  const upstream = 'http://127.0.0.1:9000';

  it('the settings that can be followed are taken, and no others', () => {
    const before = configOf({});
    const after = configOf({
      routes: [route('/orders', upstream, 'orders')],
      roles: ['orders'],
      logLevel: 'debug',
      origins: ['https://api.example'],
      host: '127.0.0.2',
      adminPort: 9999,
      trustedProxies: ['10.0.0.1'],
      signatures: { skew: 10 },
      limits: { body: 1000 },
    });
    const { config, changed, restart } = follow(before, after);
    expect(changed.toSorted()).toEqual(['logLevel', 'origins', 'roles', 'routes']);
    expect(restart.toSorted()).toEqual([
      'adminPort',
      'file',
      'host',
      'limits',
      'signatures',
      'trustedProxies',
    ]);
    const { routes, roles, logLevel, origins } = after;
    expect(config).toEqual({ ...before, routes, roles, logLevel, origins });
  });

  it('the origins stay where the host that is listened on would have none', () => {
    const served = configOf({ host: '0.0.0.0', insecure: true, origins: ['http://api.example'] });
    const done = follow(served, configOf({ host: '127.0.0.1' }));
    expect(done).toMatchObject({ changed: [], restart: expect.arrayContaining(['host', 'origins']) });
    expect(done.config.origins).toEqual(served.origins);
  });

  it('nothing is told where nothing differs, and again and again where a restart is due', () => {
    const before = configOf({ limits: { body: 1000 } });
    expect(follow(before, { ...before })).toEqual({ config: before, changed: [], restart: [] });
    const after = { ...before, port: 1, routes: [] };
    const once = follow(before, after);
    expect(once.restart).toEqual(['port']);
    expect(follow(once.config, after).restart).toEqual(['port']);
  });
});

describe('SIGHUP', () => {
  const write = ({ data }: GatewayProcess, text: string) => writeFileSync(`${data}.yaml`, text);
  const ask = async (gateway: GatewayProcess, target: string) =>
    (await send(gateway, sign(gateway, gateway.credentials, { method: 'GET', target }))).status;

  it('takes the routes of the file, and leaves all as it was where the file is faulty', async () => {
    const upstream = await named('upstream');
    const gateway = await serve(join(temporaryFolder(), 'data'), {
      settings: { routes: [route('/a', upstream)] },
    });
    const { child } = gateway;
    expect([await ask(gateway, '/a'), await ask(gateway, '/b')]).toEqual([200, 404]);

    write(gateway, JSON.stringify({ routes: [route('/b', upstream)], limits: { body: 1 } }));
    child.signal('SIGHUP');
    await child.written(/"msg":"changed, and in force after a restart alone"/, 'stdout');
    expect(child.stdout).toMatch(/"changed":\["routes"\],"routes":1,"msg":"reloaded"/);
    expect(child.stdout).toMatch(/"settings":\["limits"\]/);
    expect([await ask(gateway, '/a'), await ask(gateway, '/b')]).toEqual([404, 200]);

    write(gateway, 'routes:\n  - path: orders\n    upstream: tea\nlogLevel: loud\n');
    child.signal('SIGHUP');
    const [line] = await child.written(/^.*"msg":"not reloaded.*$/m, 'stdout');
    expect(JSON.parse(line)).toMatchObject({
      level: 50,
      code: 'config-invalid',
      errors: [
        { path: 'routes[0].role', line: 2, column: 5 },
        { path: 'routes[0].path', line: 2, column: 11 },
        { path: 'routes[0].upstream', line: 3, column: 15 },
        { path: 'logLevel', line: 4, column: 11 },
      ],
    });
    expect([await ask(gateway, '/a'), await ask(gateway, '/b')]).toEqual([404, 200]);
  });

  it('keeps a gateway that is told so again and again, amid calls', async () => {
    const upstream = await named('upstream');
    const gateway = await serve(join(temporaryFolder(), 'data'), {
      settings: { routes: [route('/a', upstream)] },
    });
    const asked: Promise<number>[] = [];
    for (let i = 0; i < 20; i++) {
      gateway.child.signal('SIGHUP');
      asked.push(ask(gateway, '/a'), ask(gateway, '/a'));
    }
    expect(new Set(await Promise.all(asked))).toEqual(new Set([200]));
    expect(await gateway.child.stop()).toMatchObject({ code: 0 });
  });
});
