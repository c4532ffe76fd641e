/** `countersign ca rotate` beside a gateway that serves: it follows the bundle, and every call is answered meanwhile. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseCertificates } from '../../src/client/certificate/certificate.ts';
import { readTrustBundle } from '../../src/client/certificate/trust-bundle.ts';
import { countersign, endAll, temporaryFolder } from '../e2e/processes.ts';
import { operator } from './commands.ts';

afterAll(endAll);

interface Rotated {
  readonly done: string;
  readonly issuing: string;
  readonly other?: string;
  readonly missing: string[];
  readonly endsAt?: string;
}

/** A call over a connection of its own, by a caller that trusts these roots. */
function get(port: number, path: string, ca: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ host: '127.0.0.1', port, path, ca, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    call.on('error', reject).end();
  });
}

describe('a gateway whose issuer changes its root', () => {
  it('takes both roots over, acknowledges them, and hands the bundle to whoever asks', async () => {
    const folder = temporaryFolder();
    const [data, dir, secret] = [join(folder, 'data'), join(folder, 'issuer'), join(folder, 'secret')];
    const [inbox, outbox] = [join(data, 'tls', 'inbox'), join(data, 'tls', 'outbox')];
    const admin = operator(data);
    writeFileSync(secret, 'a passphrase of sixteen\n', { mode: 0o600 });
    const by = ['--dir', dir, '--passphrase-file', secret];
    const pass = () => admin.json(['ca', 'issue', '--once', ...by, '--inbox', inbox, '--outbox', outbox]);
    const rotate = () => admin.json<Rotated>(['ca', 'rotate', ...by]);

    const permit = ['--permit-dns', 'localhost', '--permit-ip', '127.0.0.0/8'];
    await admin.json(['ca', 'init', '--name', 'Example Root', ...permit, ...by, '--data', data]);
    const entry = { use: 'server', dns: ['localhost'], ip: ['127.0.0.1'] };
    writeFileSync(join(dir, 'profile.yaml'), JSON.stringify({ requesters: { gateway: entry } }));
    const config = join(folder, 'gateway.yaml');
    writeFileSync(config, 'tls:\n  names: [localhost, 127.0.0.1]\n  requester: gateway\n');
    const serving = countersign(['serve', '--config', config], {
      variables: { COUNTERSIGN_DATA: data, COUNTERSIGN_PORT: '0' },
    });
    await serving.written(/no certificate yet/, 'stdout');
    const key = join(data, 'tls', 'request.pub.pem');
    await admin.json(['ca', 'enrol', 'gateway', '--dir', dir, '--key', key]);
    for (const each of [inbox, outbox]) mkdirSync(each, { recursive: true });
    await pass();
    const [line] = await serving.written(/^.*"msg":"listening".*$/m, 'stdout');
    const { port } = JSON.parse(line) as { port: number };
    const first = readFileSync(join(dir, 'root.pem'), 'utf8');
    const bundle = async (version: number) => {
      await serving.written(
        new RegExp(`"version":${version},"msg":"the trust bundle was taken over`),
        'stdout',
      );
      const { status, body } = await get(port, '/v1/trust-bundle', first);
      expect(status).toBe(200);
      const trusted = parseCertificates(first);
      return readTrustBundle(body, { trusted, version, now: Math.floor(Date.now() / 1000) });
    };
    expect((await bundle(1)).roots.length).toBe(1);

    const begun = await rotate();
    expect(begun).toMatchObject({ done: 'begun', missing: ['gateway'] });
    await pass();
    expect((await bundle(2)).roots.map(({ fingerprint256 }) => fingerprint256)).toEqual([
      begun.issuing,
      begun.other,
    ]);
    await pass();
    const switched = await rotate();
    expect(switched).toMatchObject({ done: 'switched', issuing: begun.other, other: begun.issuing });
    await pass();
    await bundle(3);
    expect(await rotate()).toMatchObject({ done: 'waiting', missing: [], endsAt: switched.endsAt });
    expect(await get(port, '/v1/ping', first)).toMatchObject({ status: 200 });
    expect(
      await admin.json(['ca', 'verify', ...by.slice(0, 2), '--server', `127.0.0.1:${port}`]),
    ).toMatchObject({ certificates: expect.any(Number), ended: 0 });
    expect((await serving.stop()).code).toBe(0);
  });
});
