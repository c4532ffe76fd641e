/** `countersign ca enrol`, `ca issue --once`, `ca run` and `ca verify`, as an operator types them. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { builtFolder, root as project } from '../e2e/built.ts';
import { Child, countersign, endAll, temporaryFolder } from '../e2e/processes.ts';
import { isInstalled } from '../production/proxies.ts';
import { failure } from './commands.ts';
import { type OfflineIssuer, offlineIssuer } from './offline-issuer.ts';

interface Pass {
  readonly issued: { id: string; serial: string; notAfter: string }[];
  readonly rejected: { id: string; code: string; detail: string }[];
  readonly postponed: { id: string; detail: string }[];
  readonly partial: string[];
  readonly lapsing: { requester: string; lapses: string }[];
}

let issuer: OfflineIssuer;
let sequence = 0;

beforeAll(async () => {
  issuer = await offlineIssuer();
});
afterAll(endAll);

const pass = () => issuer.admin.json<Pass>(['ca', 'issue', '--once', ...issuer.folders]);

function opensslVerify(chain: string): string {
  const rootFile = join(issuer.dir, 'root.pem');
  return execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', rootFile, chain], {
    encoding: 'utf8',
  });
}

describe('ca issue --once', () => {
  it('answers what may be answered, refuses the rest with a reason, and exits with 0', async () => {
    issuer.drop('good', ++sequence);
    issuer.drop('bad', ++sequence, 'elsewhere.example.org');
    expect(await pass()).toMatchObject({
      issued: [{ id: 'good' }],
      rejected: [{ id: 'bad', code: 'certificate-request-refused' }],
      postponed: [],
      lapsing: [],
    });
    expect(opensslVerify(issuer.chainFile('good'))).toMatch(/: OK/);
    const reason = readFileSync(join(issuer.inbox, 'rejected', 'bad.reason.json'), 'utf8');
    expect(JSON.parse(reason)).toMatchObject({ requester: 'gateway', detail: expect.any(String) });
  });

  it('tells people on standard error what was refused, without what moves their terminal', async () => {
    issuer.drop('told', ++sequence);
    issuer.drop('evil', ++sequence, 'elsewhere.example.org');
    writeFileSync(join(issuer.inbox, 'a\u001b[31m.sig'), '');
    const { code, stdout, stderr } = await issuer.admin.run(['ca', 'issue', '--once', ...issuer.folders]);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^issued told for gateway: DNS:localhost\.example\.org, serial [0-9A-F]+, until /m,
    );
    expect(stdout).toMatch(/1 issued, 2 rejected, 0 postponed/);
    expect(stderr).toMatch(/^REJECTED evil of gateway: /m);
    expect(stdout + stderr).not.toContain('\u001b');
  });

  it('exits with 1 where something must wait', async () => {
    issuer.drop('waits', ++sequence);
    mkdirSync(join(issuer.outbox, '.waits.pem.partial'));
    onTestFinished(() => rmdirSync(join(issuer.outbox, '.waits.pem.partial')));
    const { code, stderr } = await issuer.admin.run(['ca', 'issue', '--once', ...issuer.folders]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^postponed waits: /m);
  });

  it('says what is wrong with a passphrase', async () => {
    const wrong = join(temporaryFolder(), 'wrong');
    writeFileSync(wrong, 'not the passphrase at all\n', { mode: 0o600 });
    const args = issuer.folders.map((each) => (each === issuer.passphraseFile ? wrong : each));
    const outcome = await issuer.admin.run(['ca', 'issue', '--once', ...args, '--json']);
    expect(failure(outcome)).toMatchObject({ code: 'passphrase-invalid' });
  });

  it('is what scripts/issue-certificates runs', async () => {
    // The script takes the dist/ beside it.
    const folder = builtFolder();
    const script = join(folder, 'scripts', 'issue-certificates');
    mkdirSync(join(folder, 'scripts'), { recursive: true });
    writeFileSync(script, readFileSync(join(project, 'scripts/issue-certificates')), { mode: 0o755 });
    issuer.drop('scripted', ++sequence);
    const { code, stdout, stderr } = await new Child(script, issuer.folders).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^issued scripted /m);
  });
});

/** Why a namespace without an interface can't be made here; undefined where it can. */
function namespaceFault(): string | undefined {
  const { status, error, stderr } = spawnSync('unshare', ['-rn', 'true'], { encoding: 'utf8' });
  return status === 0 ? undefined : (error?.message ?? stderr.trim());
}

describe('an issuer without a network', () => {
  const fault = namespaceFault();
  const once = (id: string): string[] => {
    issuer.drop(id, ++sequence);
    return [join(builtFolder(), 'dist/cli/countersign.js'), 'ca', 'issue', '--once', ...issuer.folders];
  };

  it.skipIf(fault !== undefined)('issues in a network namespace with no interface (unshare -n)', async () => {
    const shown = spawnSync('unshare', ['-rn', 'cat', '/proc/net/route'], { encoding: 'utf8' });
    // A head and no route.
    expect(shown.stdout.trim().split('\n').length).toBe(1);
    const { code, stdout, stderr } = await new Child('unshare', ['-rn', process.execPath, ...once('alone')])
      .ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^issued alone /m);
    expect(opensslVerify(issuer.chainFile('alone'))).toMatch(/: OK/);
  });

  it(`issues where every socket, listener and look-up throws${fault === undefined ? '' : ` (${fault})`}`, async () => {
    const loader = join(import.meta.dirname, 'no-network.mjs');
    const { code, stdout, stderr } = await new Child(process.execPath, [
      '--import',
      loader,
      ...once('cut-off'),
    ]).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^issued cut-off /m);
  });

  it('would be caught if it opened one', async () => {
    const loader = join(import.meta.dirname, 'no-network.mjs');
    for (const code of [
      `import { connect } from 'node:net'; connect(9, '127.0.0.1');`,
      `import { createServer } from 'node:net'; createServer().listen(0);`,
      `import { connect } from 'node:tls'; connect(9, '127.0.0.1');`,
      `import { lookup } from 'node:dns'; lookup('localhost', () => {});`,
      `import { lookup } from 'node:dns/promises'; await lookup('localhost');`,
      `import { createSocket } from 'node:dgram'; createSocket('udp4');`,
      `await fetch('http://127.0.0.1:9/');`,
    ]) {
      const args = ['--import', loader, '--input-type=module', '--eval', code];
      const { code: exit, stderr } = await new Child(process.execPath, args).ended;
      expect([code, exit]).toEqual([code, 1]);
      expect(stderr).toMatch(/no network/);
    }
  });
});

describe('ca run', () => {
  const start = () => countersign(['ca', 'run', ...issuer.folders]);

  it('makes a pass when it is asked, is the only one, and lets others into the ledger', async () => {
    const running = start();
    await running.written(/watches .* on the schedule "0 \*\/6 \* \* \*"/, 'stdout');
    for (const verb of [
      ['ca', 'run'],
      ['ca', 'issue', '--once'],
    ]) {
      const second = await issuer.admin.run([...verb, ...issuer.folders, '--json']);
      expect(failure(second)).toMatchObject({ code: 'issuer-busy' });
    }
    const { dir, publicKeyFile } = issuer;
    const renewal = ['ca', 'enrol', 'gateway', '--dir', dir, '--key', publicKeyFile];
    expect(await issuer.admin.json(renewal)).toMatchObject({ change: 'renewed' });
    issuer.drop('asked', ++sequence);
    running.signal('SIGHUP');
    await running.written(/^issued asked .*\n(?:.*\n)*next pass: \d{4}-/m, 'stdout');
    expect(opensslVerify(issuer.chainFile('asked'))).toMatch(/: OK/);
    expect(await running.stop()).toMatchObject({ code: 0, stderr: '' });
    // By which `doctor` counts the passes that were missed.
    const ledger = readFileSync(join(dir, 'ledger.jsonl'), 'utf8').trimEnd();
    expect(JSON.parse(ledger.split('\n').at(-1) ?? '')).toMatchObject({
      event: 'pass',
      schedule: '0 */6 * * *',
    });
  });

  it.skipIf(!isInstalled('python3'))('ends with the terminal that it was started in', async () => {
    // So that none is due, which would write to the terminal while that is closed.
    await pass();
    const script = join(import.meta.dirname, '../production/terminal.py');
    const cli = join(builtFolder(), 'dist/cli/countersign.js');
    const args = [script, 'on the schedule', process.execPath, cli, 'ca', 'run', ...issuer.folders];
    const { code, stdout } = await new Child('python3', args).ended;
    expect({ code, stdout }).toEqual({ code: 0, stdout: '-9\n' });
  });

  it('starts again after it was killed', async () => {
    const killed = start();
    await killed.written(/watches/, 'stdout');
    killed.kill();
    await killed.ended;
    const running = start();
    await running.written(/watches/, 'stdout');
    expect((await running.stop()).code).toBe(0);
  });

  it.each([['an inbox that is not there', ['--inbox', '/nowhere/at/all'], 'config-invalid']])(
    'refuses %s',
    async (_what, args, code) => {
      const outcome = await issuer.admin.run(['ca', 'run', ...issuer.folders, ...args, '--json']);
      expect(failure(outcome)).toMatchObject({ code });
    },
  );

  it('is misused with a schedule that is none', async () => {
    const outcome = await issuer.admin.run(['ca', 'run', ...issuer.folders, '--schedule', 'never']);
    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining('is no schedule') });
  });
});

describe('ca enrol', () => {
  it.skipIf(process.getuid?.() !== 0)('leaves nothing of root in the folder of another user', async () => {
    const { dir, publicKeyFile } = issuer;
    chownSync(dir, 65534, 65534);
    onTestFinished(() => chownSync(dir, 0, 0));
    const before = readdirSync(dir);
    const outcome = await issuer.admin.run([
      ...['ca', 'enrol', 'second', '--dir', dir, '--key', publicKeyFile, '--json'],
    ]);
    const detail = expect.stringContaining("sudo -u '#65534'");
    expect(failure(outcome)).toMatchObject({ code: 'authority-invalid', detail });
    expect(readdirSync(dir)).toEqual(before);
  });

  it('ends without a stack where nobody reads on', async () => {
    const cli = join(builtFolder(), 'dist/cli/countersign.js');
    const listing = spawn(process.execPath, [cli, 'ca', 'enrol', '--list', '--dir', issuer.dir]);
    listing.stdout.destroy();
    let stderr = '';
    listing.stderr.on('data', (text) => (stderr += text));
    const [code] = await once(listing, 'close');
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
  });

  it('lists who is enrolled', async () => {
    const list = await issuer.admin.json(['ca', 'enrol', '--list', '--dir', issuer.dir]);
    expect(list).toEqual([
      {
        requester: 'gateway',
        status: 'approved',
        lapses: expect.any(String),
        requestKey: expect.stringMatching(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/),
      },
    ]);
  });

  it.each([
    ['without a key', ['gateway'], 2],
    ['without a name', [], 2],
    ['with a key that is not there', ['gateway', '--key', '/nowhere.pem'], 1],
  ])('fails %s', async (_what, args, code) => {
    expect((await issuer.admin.run(['ca', 'enrol', ...args, '--dir', issuer.dir])).code).toBe(code);
  });

  it('says where the profile grants the requester nothing yet', async () => {
    const dir = join(temporaryFolder(), 'issuer');
    cpSync(issuer.dir, dir, { recursive: true });
    const told = async (name: string, ...more: string[]) => {
      const args = ['ca', 'enrol', name, '--dir', dir, '--key', issuer.publicKeyFile, ...more];
      return (await issuer.admin.run(args)).stdout;
    };
    expect(await told('gateway')).not.toContain('profile.yaml');
    rmSync(join(dir, 'requesters'), { recursive: true });
    expect(await told('shop')).toContain('profile.yaml has nothing for shop yet');
  });

  it('makes nothing in a folder that is no issuer', async () => {
    const dir = temporaryFolder();
    const args = ['ca', 'enrol', 'gateway', '--dir', dir, '--key', issuer.publicKeyFile, '--json'];
    expect(failure(await issuer.admin.run(args))).toMatchObject({ code: 'authority-invalid' });
    expect(existsSync(join(dir, 'requesters'))).toBe(false);
  });
});

describe('ca verify', () => {
  const verify = (...args: string[]) =>
    issuer.admin.run(['ca', 'verify', '--dir', issuer.dir, ...args, '--json']);

  /** A leaf that another issuer has made for the same name, in a folder of its own. */
  async function strangeLeaf(): Promise<{ folder: string; file: string; key: string }> {
    const other = await offlineIssuer();
    const key = other.drop('strange', 1).export({ type: 'pkcs8', format: 'pem' }).toString();
    await other.admin.json(['ca', 'issue', '--once', ...other.folders]);
    return { folder: other.outbox, file: other.chainFile('strange'), key };
  }

  async function listen(cert: string, key: string): Promise<{ server: Server; address: string }> {
    const server = createServer({ cert, key });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    return { server, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
  }

  it('finds the outbox, the root and a server that shows a leaf of ours in the ledger', async () => {
    const key = issuer.drop('shown', ++sequence).export({ type: 'pkcs8', format: 'pem' }).toString();
    await pass();
    const { address } = await listen(readFileSync(issuer.chainFile('shown'), 'utf8'), key);
    const outcome = await verify('--folder', issuer.outbox, '--folder', issuer.dir, '--server', address);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    const found = JSON.parse(outcome.stdout);
    expect(found).toMatchObject({ rows: expect.any(Number), head: expect.any(String), ended: 0 });
    expect(found.known).toBe(found.certificates);
    expect(found.certificates).toBeGreaterThan(4);
  });

  it('names a certificate that it did not issue, in a folder and on a server, and exits with 1', async () => {
    const { folder, file, key } = await strangeLeaf();
    const inFolder = failure(await verify('--folder', folder));
    expect(inFolder).toMatchObject({
      code: 'inventory-differs',
      detail: expect.stringContaining(`${file}: serial `),
      strangers: [
        { where: file, names: 'DNS:localhost.example.org', why: 'it is not in the ledger' },
        { where: file },
      ],
    });
    const { address } = await listen(readFileSync(file, 'utf8'), key);
    expect(failure(await verify('--server', address))).toMatchObject({
      code: 'inventory-differs',
      detail: expect.stringContaining(`${address}: serial `),
    });
  });

  it('sees one behind a link and behind a header, and names what it has passed over', async () => {
    const { file } = await strangeLeaf();
    const [linked, headed, large] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
    symlinkSync(file, join(linked, 'live.pem'));
    const pem = readFileSync(file, 'utf8');
    writeFileSync(join(headed, 'leaf.pem'), pem.replace('\n', '\nNote: a-b\n\n'));
    for (const each of [linked, headed]) {
      expect(failure(await verify('--folder', each))).toMatchObject({ code: 'inventory-differs' });
    }
    writeFileSync(join(large, 'data'), pem + ' '.repeat(1024 * 1024));
    const { stdout } = await verify('--folder', large);
    expect(JSON.parse(stdout)).toMatchObject({ certificates: 0, passedOver: [join(large, 'data')] });
    expect(failure(await verify('--folder', join(large, 'data'))).detail).toContain('more than');
  });

  it('says where a file or a server shows nothing that can be judged', async () => {
    const folder = temporaryFolder();
    writeFileSync(
      join(folder, 'broken.pem'),
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    );
    expect(failure(await verify('--folder', folder))).toMatchObject({ code: 'inventory-differs' });
    const { server, address } = await listen('', '');
    server.close();
    expect(failure(await verify('--server', address))).toMatchObject({ code: 'connection-lost' });
  });

  it('names the row of a ledger that was changed', async () => {
    const other = await offlineIssuer();
    const file = join(other.dir, 'ledger.jsonl');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"gateway"', '"gatewax"'));
    const outcome = await other.admin.run(['ca', 'verify', '--dir', other.dir, '--json']);
    expect(failure(outcome)).toMatchObject({ code: 'ledger-broken', row: 2 });
  });
});
