/** TLS as users set it up: with one option for development, and with an offline root by the commands of the README. */
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readCredentialsFile, signedFetch } from '../../src/client/index.ts';
import { type Child, countersign, endAll, temporaryFolder } from './processes.ts';

let folder: string;
let data: string;

beforeEach(() => {
  folder = temporaryFolder();
  data = join(folder, 'data');
});
afterEach(endAll);

const variables = () => ({ COUNTERSIGN_DATA: data, COUNTERSIGN_PORT: '0' });
const run = (...args: string[]) => countersign(args, { variables: variables() });

async function done(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(...args).ended;
  expect({ args, code, stderr }).toMatchObject({ code: 0 });
  return stdout;
}

async function urlOf(serving: Child): Promise<string> {
  const [, url = ''] = await serving.written(/^Countersign serves (https:\/\/127\.0\.0\.1:\d+)$/m, 'stderr');
  return url;
}

describe('for development, serve --tls', () => {
  it('serves a newcomer over TLS, who pastes the printed line', async () => {
    const serving = run('serve', '--tls');
    const url = await urlOf(serving);
    await serving.written(/not offline[\s\S]*call POST \/v1\/echo/, 'stderr');
    expect(await done('call', 'POST', '/v1/echo', '{"hello":"world"}')).toContain('response verified');
    const client = signedFetch(await readCredentialsFile(join(data, 'demo.json')));
    expect(await (await client('/v1/whoami')).json()).toMatchObject({ consumer: 'demo' });
    client.close();

    const doctor = await countersign(['doctor'], {
      variables: { COUNTERSIGN_DATA: data, COUNTERSIGN_PORT: new URL(url).port },
    }).ended;
    expect(doctor.stdout).toMatch(/ok +gateway +ready/);
    expect(doctor.stdout).toMatch(/ok +certificate +The leaf/);
    expect((await serving.stop()).code).toBe(0);
  });

  it('keeps its root and its certificate at the next start, for its owner alone and marked', async () => {
    const first = run('serve', '--tls');
    await urlOf(first);
    await first.stop();
    const kept = () =>
      ['trust.pem', 'current.pem', 'sequence'].map((name) => readFileSync(join(data, 'tls', name), 'utf8'));
    const before = kept();
    const second = run('serve', '--tls');
    await urlOf(second);
    await second.stop();
    expect(kept()).toEqual(before);
    const root = join(data, 'tls', 'development-root');
    expect(readdirSync(root)).toContain('NOT-OFFLINE.txt');
    for (const name of ['root.key', 'passphrase']) expect(statSync(join(root, name)).mode & 0o077).toBe(0);
  });

  it('comes up after a kill at any step of the first start', async () => {
    for (const step of ['"msg":"made a root', '"msg":"a certificate is asked for']) {
      const first = run('serve', '--tls');
      await first.written(new RegExp(step), 'stdout');
      first.kill();
      await first.ended;
    }
    // What a kill amid the making of the next root leaves: another root than the one that is trusted.
    rmSync(join(data, 'tls', 'development-root'), { recursive: true });
    const again = run('serve', '--tls');
    await urlOf(again);
    expect(await done('call', 'GET', '/v1/whoami')).toContain('response verified');
  });

  it('comes up twice at once on one data folder, with one root', async () => {
    const both = [run('serve', '--tls'), run('serve', '--tls')];
    const urls = await Promise.all(both.map(urlOf));
    for (const url of urls)
      expect(await done('call', 'GET', `${url}/v1/whoami`)).toContain('response verified');
    expect(readdirSync(join(data, 'tls')).filter((name) => name.startsWith('development-root'))).toEqual([
      'development-root',
    ]);
  });

  it.each([
    [
      'a host beyond this machine',
      { COUNTERSIGN_HOST: '0.0.0.0', COUNTERSIGN_PUBLIC_ORIGINS: 'https://a.example' },
    ],
    ['an origin without TLS', { COUNTERSIGN_PUBLIC_ORIGINS: 'http://127.0.0.1:8080' }],
  ])('refuses %s', async (_what, more) => {
    const { code, stderr } = await countersign(['serve', '--tls'], { variables: { ...variables(), ...more } })
      .ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/tls: --tls is for development|can never be called where TLS is served/);
  });

  it("refuses a folder that trusts an operator's root, and leaves that alone", async () => {
    const secret = join(folder, 'passphrase');
    writeFileSync(secret, 'a passphrase of sixteen\n');
    const names = ['--name', 'Example Root', '--permit-dns', 'localhost', '--passphrase-file', secret];
    await done('ca', 'init', '--dir', join(folder, 'issuer'), ...names, '--data', data);
    const trust = readFileSync(join(data, 'tls', 'trust.pem'), 'utf8');
    const { code, stderr } = await run('serve', '--tls').ended;
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining('a root that is not the one for development'),
    ]);
    expect(readFileSync(join(data, 'tls', 'trust.pem'), 'utf8')).toBe(trust);
  });
});

describe('with an offline root, serve', () => {
  const config = () => join(folder, 'gateway.yaml');
  const start = () => run('serve', '--config', config());

  beforeEach(() => {
    writeFileSync(config(), 'tls:\n  names: [localhost, 127.0.0.1]\n  requester: gateway\n');
  });

  it('without a root to trust says where to put it, and makes nothing else', async () => {
    const { code, stderr } = await start().ended;
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/put the issuer's root\.pem there.*\(start-up-failed\)/s),
    ]);
  });

  it('asks, says what to carry, waits, and serves once the chain is there', async () => {
    const issuer = join(folder, 'issuer');
    const secret = join(folder, 'passphrase');
    writeFileSync(secret, 'a passphrase of sixteen\n');
    const by = ['--dir', issuer, '--passphrase-file', secret];
    const permit = ['--permit-dns', 'localhost', '--permit-ip', '127.0.0.0/8'];
    await done('ca', 'init', '--name', 'Example Root', ...permit, ...by, '--data', data);

    const stopped = start();
    const [told] = await stopped.written(/no certificate yet.*\n/, 'stdout');
    expect(told).toContain(`ca enrol gateway --key ${join(data, 'tls', 'request.pub.pem')}`);
    expect(await stopped.stop()).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('"msg":"stopped"'),
    });

    const serving = start();
    const [inbox, outbox] = [join(data, 'tls', 'inbox'), join(data, 'tls', 'outbox')];
    await done('ca', 'enrol', 'gateway', '--dir', issuer, '--key', join(data, 'tls', 'request.pub.pem'));
    const entry = { use: 'server', dns: ['localhost'], ip: ['127.0.0.1'] };
    writeFileSync(join(issuer, 'profile.yaml'), JSON.stringify({ requesters: { gateway: entry } }));
    await done('ca', 'issue', '--once', ...by, '--inbox', inbox, '--outbox', outbox);
    await urlOf(serving);
    expect(await done('call', 'GET', '/v1/whoami')).toContain('response verified');
    expect((await serving.stop()).code).toBe(0);
  });
});
