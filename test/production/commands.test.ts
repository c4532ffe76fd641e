/**
 * Backup, restore and the matrix of routes as an operator types them, beside a gateway that runs.
 */
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { progressOf } from '../../src/cli/command.ts';
import { routeMatrix, routesInCode } from '../../src/cli/route-matrix.ts';
import type { UpstreamRoute } from '../../src/config/config.ts';
import { startTestGateway } from '../../src/testing.ts';
import { failure, operator } from '../cli/commands.ts';
import { endAll, serve, temporaryFolder } from '../e2e/processes.ts';
import { problem, send, sign } from '../gateway/wire.ts';

afterEach(endAll);

it('a backup of a running gateway is restored elsewhere, and serves the same consumers, but no old message', async () => {
  const folder = temporaryFolder();
  const [data, backup, elsewhere] = ['data', 'backup', 'elsewhere'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const gateway = await serve(data);
  const shop = await operator(data).json<{ keyid: string; secret: string }>(['consumer', 'add', 'shop']);
  const made = await operator(data).run(['backup', backup]);
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/ bytes, checked\.\n$/) });
  expect(made.stderr).toContain('The master key is not in this backup');
  expect(readdirSync(backup).sort()).toEqual(['countersign.db', 'restored']);
  expect(readFileSync(join(backup, 'countersign.db')).includes(Buffer.from(shop.secret, 'base64'))).toBe(
    false,
  );
  // Good when it was sent, and sent after the copy.
  const order = sign(gateway, shop);
  expect((await send(gateway, order)).status).toBe(200);
  expect(failure(await operator(data).run(['restore', backup, '--force', '--json']))).toMatchObject({
    code: 'store-in-use',
  });
  await gateway.child.stop();

  const restored = await operator(elsewhere).json<{ warnings: string[] }>(['restore', backup]);
  expect(restored.warnings.join()).toContain('There is no master key yet');
  copyFileSync(join(data, 'master.key'), join(elsewhere, 'master.key'));
  const again = await serve(elsewhere, { variables: { COUNTERSIGN_PORT: String(gateway.port) } });
  expect(problem(await send(again, order)).code).toBe('signature-expired');
  const later = Math.floor(Date.now() / 1000) + 30;
  expect(problem(await send(again, sign(again, shop, { created: later - 5 }))).code).toBe(
    'signature-expired',
  );
  expect(again.child.stdout).toContain('requests created up to the fence are refused');
});

it('a backup with the master key says so loudly, and a folder in use is refused with exit 1', async () => {
  const folder = temporaryFolder();
  const data = join(folder, 'data');
  const gateway = await serve(data);
  await gateway.child.stop();
  const backup = join(folder, 'backup');
  const { code, stderr } = await operator(data).run(['backup', backup, '--with-master-key']);
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: expect.stringMatching(/^WARNING: This backup holds the master key: .*\n$/),
  });
  expect(existsSync(join(backup, 'demo.json'))).toBe(false);
  expect(statSync(join(backup, 'master.key')).mode & 0o777).toBe(0o600);
  expect(failure(await operator(data).run(['backup', backup, '--json']))).toMatchObject({
    code: 'folder-not-empty',
  });
  expect(await operator(data).json(['backup', join(folder, 'second')])).toMatchObject({
    folder: join(folder, 'second'),
    masterKey: false,
    warning: expect.stringContaining('not in this backup'),
  });
  rmSync(data, { recursive: true });
  expect(await operator(data).json(['restore', backup])).toMatchObject({ masterKey: 'backup' });
  expect((await operator(data).json<unknown[]>(['consumer', 'list'])).length).toBe(1);
});

it('long work tells how far it has come, once a second', () => {
  let now = 0;
  const told: string[] = [];
  const progress = progressOf(
    () => now,
    (text) => told.push(text),
  );
  for (now = 0; now <= 2500; now += 100) progress(now, 2500);
  expect(told).toEqual(['40 %\n', '80 %\n']);
});

const upstream = (path: string, role: string): UpstreamRoute => ({
  path,
  upstream: 'http://127.0.0.1:9000',
  role,
  idempotency: 'none',
  timeoutMs: 1000,
  encodedSlash: false,
  setCookie: [],
  clientCertificate: 'none',
  contentSecurityPolicy: undefined,
});

it('the matrix says who could call each route, by the roles of a key that is good now', () => {
  const callers = [
    { name: 'all', keys: [['orders', 'teapot']] },
    { name: 'read', keys: [['orders:read'], []] },
    { name: 'no-key', keys: [] },
    { name: 'demo', keys: [['demo']] },
  ];
  const table = [
    upstream('/orders', 'orders'),
    upstream('/read', 'orders:read'),
    upstream('/stock', 'stock'),
  ];
  const matrix = routeMatrix(routesInCode({ publicDemo: false }), table, callers, ['orders', 'ghosts']);
  const who = (path: string) => matrix.routes.find((each) => each.path === path)?.consumers;
  expect(['/orders', '/read', '/stock'].map(who)).toEqual([['all'], ['all', 'read'], []]);
  expect(who('/v1/whoami')).toEqual(['all', 'read', 'demo']);
  expect(who('/v1/keys/rotate')).toEqual(['all', 'read']);
  expect(who('/v1/ping')).toBeNull();
  expect(matrix.rolesWithoutRoute).toEqual(['demo', 'ghosts', 'teapot']);
  expect(matrix.rolesWithoutConsumer).toEqual(expect.arrayContaining(['operator:consumers', 'stock']));
  expect(matrix.rolesWithoutConsumer).not.toContain('orders:read');
});

it('the matrix has every route that a gateway documents, and no other of its own', async () => {
  for (const publicDemo of [false, true]) {
    const gateway = await startTestGateway({ settings: { publicDemo } });
    const answer = await fetch(`${gateway.url}/openapi.json`);
    const document = (await answer.json()) as { paths: Record<string, object> };
    await gateway.close();
    const documented = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item)
        .filter((name) => /^(get|put|post|patch|delete)$/.test(name))
        .map((method) => `${method.toUpperCase()} ${path}`),
    );
    const listed = routesInCode({ publicDemo }).map(({ method, path }) => `${method} ${path}`);
    expect(listed.toSorted()).toEqual(documented.toSorted());
  }
});

it('doctor --routes shows the matrix of the configuration and the data folder', async () => {
  const folder = temporaryFolder();
  const data = join(folder, 'data');
  const settings = { routes: [{ path: '/orders', upstream: 'http://127.0.0.1:9000', role: 'orders' }] };
  const gateway = await serve(data, { settings });
  await operator(data).json(['consumer', 'add', 'shop', '--role', 'orders']);
  await operator(data).json(['consumer', 'add', 'gone', '--role', 'orders']);
  await operator(data).json(['consumer', 'disable', 'gone']);
  const args = ['doctor', '--routes', '--config', `${data}.yaml`];
  const { code, stdout, stderr } = await operator(data).run(args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^\* +\/orders +orders +shop +http:\/\/127\.0\.0\.1:9000$/m);
  expect(stdout).toMatch(/^Roles that no route asks for: demo$/m);
  await gateway.child.stop();
  const { routes } = await operator(data).json<{ routes: { path: string }[] }>(args);
  expect(routes.find(({ path }) => path === '/orders')).toEqual({
    method: '*',
    path: '/orders',
    upstream: 'http://127.0.0.1:9000',
    credential: 'signature',
    role: 'orders',
    idempotency: 'none',
    consumers: ['shop'],
  });
});
