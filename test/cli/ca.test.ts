/** `countersign ca` as an operator types it: the ceremony, a request, a certificate, and what is refused of each. */
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtFolder, root } from '../e2e/built.ts';
import { Child, countersign, endAll, type Outcome, temporaryFolder } from '../e2e/processes.ts';
import { asksForAuthority, dns, requestPem } from '../issuer/hostile-request.ts';
import { hasOpenssl, openssl } from '../issuer/scratch-root.ts';
import { failure } from './commands.ts';

const PASSPHRASE = 'correct horse battery staple';

/** A folder with a root in `issuer`, its passphrase in `passphrase`, and a request with its key. */
let scene: string;

beforeAll(async () => {
  scene = temporaryFolder();
  writeFileSync(join(scene, 'passphrase'), `${PASSPHRASE}\n# kept in the safe\n`);
  writeFileSync(join(scene, 'wrong'), 'another passphrase\n');
  await done(init('issuer'));
  await done(
    run(
      scene,
      'ca request --dns api.example.org --uri spiffe://example.org/gw --out gw.csr --key-out gw.key',
    ),
  );
});
afterAll(endAll);

function run(cwd: string, line: string, more: readonly string[] = []): Promise<Outcome> {
  return countersign([...line.split(' '), ...more], { cwd }).ended;
}

function init(dir: string, cwd = scene, more: readonly string[] = []): Promise<Outcome> {
  const permitted = '--permit-dns example.org example.net --permit-uri example.org';
  return run(cwd, `ca init --dir ${dir} ${permitted} --passphrase-file passphrase`, [
    '--name',
    'Example Root 1',
    ...more,
  ]);
}

async function done(outcome: Promise<Outcome>): Promise<string> {
  const { code, stdout, stderr } = await outcome;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

/** A copy of the scene, for a test to spoil. */
function copy(): string {
  const folder = temporaryFolder();
  cpSync(scene, folder, { recursive: true });
  chmodSync(join(folder, 'issuer'), 0o700);
  return folder;
}

const ISSUE =
  'ca issue --dir issuer --csr gw.csr --profile both --out chain.pem --passphrase-file passphrase';

const certificateOf = (file: string) => new X509Certificate(readFileSync(file));

describe.concurrent('ca init', () => {
  it('makes the root and prints its fingerprint', async () => {
    const folder = copy();
    const stdout = await done(init('second', folder));
    const { fingerprint256 } = certificateOf(join(folder, 'second/root.pem'));
    expect(stdout).toContain(`\n  ${fingerprint256}\n`);
    expect(stdout).not.toContain(PASSPHRASE);
    expect(statSync(join(folder, 'second')).mode & 0o777).toBe(0o700);
  });

  it('tells programs the same', async () => {
    const folder = copy();
    const told = JSON.parse(
      await done(init('second', folder, ['--json', '--permit-ip', '10.0.0.0/8', '--days', '30'])),
    );
    const { fingerprint256, validTo } = certificateOf(join(folder, 'second/root.pem'));
    expect(told).toEqual({
      dir: join(folder, 'second'),
      name: 'Example Root 1',
      fingerprint: fingerprint256,
      notAfter: new Date(validTo).toISOString(),
      permitted: { dns: ['example.net', 'example.org'], ip: ['10.0.0.0/8'], uri: ['example.org'] },
      trust: null,
    });
    const days = (Date.parse(validTo) - Date.now()) / 86_400_000;
    expect(days).toBeGreaterThan(29.9);
    expect(days).toBeLessThan(30.1);
  });

  it('makes no root whose fingerprint a faulty configuration would keep from its operator', async () => {
    const folder = copy();
    const { detail } = failure(await init('second', folder, ['--json', '--config', 'nowhere.yaml']));
    expect(detail).toContain('nowhere.yaml');
    expect(existsSync(join(folder, 'second'))).toBe(false);
  });

  it('puts the public half where the gateway of the data folder looks, and never over another', async () => {
    const folder = copy();
    const data = join(folder, 'data');
    const first = JSON.parse(await done(init('second', folder, ['--json', '--data', data])));
    const trust = join(data, 'tls/trust.pem');
    expect(first.trust).toEqual({ file: trust, written: true });
    expect(readFileSync(trust, 'utf8')).toBe(readFileSync(join(folder, 'second/root.pem'), 'utf8'));
    const third = JSON.parse(await done(init('third', folder, ['--json', '--data', data])));
    expect(third.trust).toEqual({ file: trust, written: false });
    expect(readFileSync(trust, 'utf8')).toBe(readFileSync(join(folder, 'second/root.pem'), 'utf8'));
  });

  it('overwrites no root', async () => {
    const before = readFileSync(join(scene, 'issuer/root.key'));
    expect(failure(await init('issuer', scene, ['--json']))).toMatchObject({ code: 'authority-exists' });
    expect(readFileSync(join(scene, 'issuer/root.key'))).toEqual(before);
  });

  it('refuses a folder that others can read, and says what to do', async () => {
    const folder = copy();
    mkdirSync(join(folder, 'open'));
    chmodSync(join(folder, 'open'), 0o755);
    const { code, detail } = failure(await init('open', folder, ['--json']));
    expect([code, detail]).toEqual(['authority-invalid', expect.stringContaining('chmod 700 open')]);
    expect(readdirSync(join(folder, 'open'))).toEqual([]);
  });

  it.each([
    ['a passphrase of 15 characters', '--permit-dns a.test --passphrase-file short', 'passphrase-invalid'],
    ['no passphrase and no terminal', '--permit-dns a.test', 'passphrase-invalid'],
    ['nothing permitted', '--passphrase-file passphrase', 'authority-invalid'],
  ])('refuses %s, and makes nothing', async (_what, options, expected) => {
    const folder = copy();
    writeFileSync(join(folder, 'short'), '123456789012345\n');
    const outcome = await run(folder, `ca init --dir second --name x ${options} --json`);
    expect(failure(outcome).code).toBe(expected);
    expect(existsSync(join(folder, 'second'))).toBe(false);
  });

  it.each([
    ['--permit-ip 10.0.0.7', 'For this address alone write 10.0.0.7/32.'],
    ['--permit-ip 2001:db8::7', 'For this address alone write 2001:db8::7/128.'],
    ['--permit-ip 10.0.0.7/8', 'Write a network, such as 10.1.0.0/16.'],
    ['--permit-ip 10.0.0.0/8 10.0.0.7', 'For this address alone write 10.0.0.7/32.'],
    ['--permit-dns *.example.org', 'Write a domain alone, such as example.org'],
    ['--permit-dns https://example.org', 'Write a domain alone, such as example.org'],
    [
      '--permit-uri spiffe://example.org/shop',
      'Write the host of spiffe://HOST/… alone, such as example.org.',
    ],
  ])('is misused with %s, says in which form it is wanted, and makes nothing', async (options, form) => {
    const folder = copy();
    const { code, stdout, stderr } = await run(
      folder,
      `ca init --dir second --name x --passphrase-file passphrase ${options}`,
    );
    expect([code, stdout, stderr]).toEqual([2, '', expect.stringContaining(form)]);
    expect(existsSync(join(folder, 'second'))).toBe(false);
  });

  it('takes the passphrase from no argument', async () => {
    const { code, stderr } = await run(
      scene,
      'ca init --dir x --name x --permit-dns a.test --passphrase secret',
    );
    expect([code, stderr]).toEqual([2, expect.stringContaining("unknown option '--passphrase'")]);
  });

  it('is what scripts/create-root calls', async () => {
    const folder = copy();
    const script = join(folder, 'scripts/create-root');
    cpSync(join(root, 'scripts/create-root'), script);
    symlinkSync(join(builtFolder(), 'dist'), join(folder, 'dist'));
    const args = [
      '--dir',
      'second',
      '--name',
      'x',
      '--permit-dns',
      'a.test',
      '--passphrase-file',
      'passphrase',
      '--json',
    ];
    const { code, stdout, stderr } = await new Child(script, args, { cwd: folder }).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ permitted: { dns: ['a.test'], ip: [], uri: [] } });
  });

  const hasScript = spawnSync('script', ['--version']).status === 0;

  it.skipIf(!hasScript)('asks twice on a real terminal, and shows nothing that is typed', async () => {
    const folder = copy();
    const command = `${process.execPath} ${join(builtFolder(), 'dist/cli/countersign.js')} ca init --dir second --name x --permit-dns a.test`;
    // Typed only once the question stands there: before that, the terminal itself would show it.
    const typist = `import { spawn } from 'node:child_process';
      const child = spawn('script', ['-qec', ${JSON.stringify(command)}, '/dev/null'], { stdio: 'pipe' });
      let shown = ''; let asked = 0;
      child.stdout.on('data', (text) => {
        shown += text;
        for (const question of ['New passphrase', 'same again'].slice(asked)) {
          if (!shown.includes(question)) break;
          asked += 1;
          child.stdin.write(${JSON.stringify(`${PASSPHRASE}\r`)});
        }
      });
      child.on('close', (code) => { process.stdout.write(shown); process.exitCode = code; });`;
    const outcome = await new Child(process.execPath, ['--input-type=module', '-e', typist], { cwd: folder })
      .ended;
    expect(outcome).toMatchObject({ code: 0, stdout: expect.stringContaining('fingerprint') });
    expect(outcome.stdout).not.toContain(PASSPHRASE);
    if (!hasOpenssl) return;
    const opened = openssl(
      ['pkey', '-in', join(folder, 'second/root.key'), '-passin', 'stdin', '-noout'],
      `${PASSPHRASE}\n`,
    );
    expect(opened.status).toBe(0);
  });
});

describe.concurrent('ca request', () => {
  it('makes a key for its owner alone, and a request that openssl verifies', () => {
    expect(statSync(join(scene, 'gw.key')).mode & 0o777).toBe(0o600);
    if (!hasOpenssl) return;
    const { status, stdout } = openssl(['req', '-in', join(scene, 'gw.csr'), '-noout', '-verify', '-text']);
    expect(status).toBe(0);
    expect(stdout).toContain('DNS:api.example.org, URI:spiffe://example.org/gw');
    expect(stdout).toContain('NIST CURVE: P-256');
  });

  it.each([
    ['no name', '', 'certificate-request-refused'],
    ['a wildcard', '--dns *.example.org', 'certificate-request-refused'],
  ])('refuses %s, and makes nothing', async (_what, names, expected) => {
    const folder = copy();
    const line = `ca request ${names} --out a.csr --key-out a.key --json`.replace('  ', ' ');
    expect(failure(await run(folder, line)).code).toBe(expected);
    expect([existsSync(join(folder, 'a.csr')), existsSync(join(folder, 'a.key'))]).toEqual([false, false]);
  });

  it('overwrites no key and no request', async () => {
    const folder = copy();
    const before = readFileSync(join(folder, 'gw.key'));
    const key = await run(folder, 'ca request --dns a.test --out a.csr --key-out gw.key --json');
    expect(failure(key)).toMatchObject({
      code: 'request-invalid',
      detail: expect.stringContaining('exists already'),
    });
    const request = await run(folder, 'ca request --dns a.test --out gw.csr --key-out a.key --json');
    expect(failure(request).code).toBe('request-invalid');
    expect(readFileSync(join(folder, 'gw.key'))).toEqual(before);
    expect(existsSync(join(folder, 'a.key'))).toBe(false);
  });
});

describe.concurrent('ca issue --csr', () => {
  it('writes the certificate and the root, which openssl accepts, and the ledger knows it', async () => {
    const folder = copy();
    const told = JSON.parse(await done(run(folder, `${ISSUE} --json`)));
    const leaf = certificateOf(join(folder, 'chain.pem'));
    expect(told).toEqual({
      out: 'chain.pem',
      serial: leaf.serialNumber,
      fingerprint: leaf.fingerprint256,
      names: { dns: ['api.example.org'], ip: [], uri: ['spiffe://example.org/gw'] },
      use: 'both',
      notBefore: new Date(leaf.validFrom).toISOString(),
      notAfter: new Date(leaf.validTo).toISOString(),
    });
    const lines = readFileSync(join(folder, 'issuer/ledger.jsonl'), 'utf8').trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).event)).toEqual(['root', 'issue']);
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({ serial: leaf.serialNumber, use: 'both' });
    expect(lines[1]).not.toContain('spki');
    if (!hasOpenssl) return;
    const verify = [
      'verify',
      '-x509_strict',
      '-CAfile',
      join(folder, 'issuer/root.pem'),
      join(folder, 'chain.pem'),
    ];
    expect(openssl(verify)).toMatchObject({ status: 0 });
  });

  it('takes the passphrase from a descriptor', async () => {
    const folder = copy();
    const line = ISSUE.replace('--passphrase-file passphrase', '--passphrase-fd 0');
    const { code } = await countersign(line.split(' '), { cwd: folder, input: `${PASSPHRASE}\nmore` }).ended;
    expect(code).toBe(0);
  });

  it.each([
    ['that asks to be a CA', () => requestPem({ extensions: [asksForAuthority] }), 'certificate authority'],
    [
      'with a name outside the constraints',
      () => requestPem({ names: [dns('api.example.com')] }),
      'may not vouch for api.example.com',
    ],
    ['of more than 64 KiB', () => 'x'.repeat(65 * 1024), 'more than 65536 bytes'],
  ])('refuses a request %s', async (_what, csr, why) => {
    const folder = copy();
    writeFileSync(join(folder, 'gw.csr'), csr());
    const { code, detail } = failure(await run(folder, `${ISSUE} --json`));
    expect([code, detail]).toEqual(['certificate-request-refused', expect.stringContaining(why)]);
    expect(existsSync(join(folder, 'chain.pem'))).toBe(false);
  });

  it.each([
    [
      'a wrong passphrase',
      ISSUE.replace('--passphrase-file passphrase', '--passphrase-file wrong'),
      'passphrase-invalid',
    ],
    ['a request that is nowhere', ISSUE.replace('gw.csr', 'nowhere.csr'), 'certificate-request-refused'],
    ['a folder that is nowhere', ISSUE.replace('--dir issuer', '--dir nowhere'), 'authority-invalid'],
  ])('refuses %s', async (_what, line, expected) => {
    const folder = copy();
    expect(failure(await run(folder, `${line} --json`)).code).toBe(expected);
    expect(existsSync(join(folder, 'chain.pem'))).toBe(false);
  });

  it('puts the certificate in the place of no device, folder or link, and issues none', async () => {
    const folder = copy();
    const before = readFileSync(join(folder, 'issuer/ledger.jsonl'), 'utf8');
    symlinkSync('elsewhere', join(folder, 'chain.pem'));
    const { code, detail } = failure(await run(folder, `${ISSUE} --json`));
    expect([code, detail]).toEqual(['certificate-invalid', expect.stringContaining('not a regular file')]);
    expect(readFileSync(join(folder, 'issuer/ledger.jsonl'), 'utf8')).toBe(before);
  });

  it('refuses a key file that is cut off, and a folder that others can read', async () => {
    const folder = copy();
    chmodSync(join(folder, 'issuer'), 0o711);
    const open = failure(await run(folder, `${ISSUE} --json`));
    expect([open.code, open.detail]).toEqual(['authority-invalid', expect.stringContaining('chmod 700')]);
    chmodSync(join(folder, 'issuer'), 0o700);
    truncateSync(join(folder, 'issuer/root.key'), 200);
    const cut = failure(await run(folder, `${ISSUE} --json`));
    expect([cut.code, cut.detail]).toEqual(['authority-invalid', expect.stringContaining('cut off')]);
  });

  it('refuses a clock that stands more than a day after the newest row, until somebody vouches for it', async () => {
    const folder = copy();
    const { Ledger } = await import('../../src/issuer/ledger.ts');
    new Ledger(folder).append({ event: 'root' }, { now: () => Date.now() - 25 * 3600_000 });
    renameSync(join(folder, 'ledger.jsonl'), join(folder, 'issuer/ledger.jsonl'));
    expect(failure(await run(folder, `${ISSUE} --json`)).code).toBe('clock-untrusted');
    expect(existsSync(join(folder, 'chain.pem'))).toBe(false);
    await done(run(folder, `${ISSUE} --accept-clock`));
  });

  it('refuses a clock that stands before the newest row, whoever vouches for it', async () => {
    const folder = copy();
    const { Ledger } = await import('../../src/issuer/ledger.ts');
    new Ledger(join(folder, 'issuer')).append({ event: 'pass' }, { now: () => Date.now() + 3600_000 });
    expect(failure(await run(folder, `${ISSUE} --accept-clock --json`)).code).toBe('clock-untrusted');
    expect(existsSync(join(folder, 'chain.pem'))).toBe(false);
  });

  it.each([
    ['an unknown use', ISSUE.replace('both', 'ca'), 'Allowed choices are server, client, both'],
    ['no use', ISSUE.replace(' --profile both', ''), 'give --csr, --profile and --out'],
    ['both ways at once', `${ISSUE} --once --inbox a --outbox b`, 'give --csr, --profile and --out'],
    ['two passphrases', `${ISSUE} --passphrase-fd 3`, 'cannot be used with'],
  ])('is misused with %s', async (_what, line, said) => {
    const { code, stderr } = await run(scene, line);
    expect([code, stderr]).toEqual([2, expect.stringContaining(said)]);
  });
});

describe.concurrent('ca trust', () => {
  it('prints the root in PEM, its fingerprint, and how to install it', async () => {
    const root = certificateOf(join(scene, 'issuer/root.pem'));
    const pem = await done(run(scene, 'ca trust --dir issuer'));
    expect(pem).toBe(readFileSync(join(scene, 'issuer/root.pem'), 'utf8'));
    const fingerprint = await done(run(scene, 'ca trust --dir issuer --fingerprint'));
    expect(fingerprint).toContain(root.fingerprint256);
    const recipe = await done(run(scene, 'ca trust --dir issuer --recipe'));
    expect(recipe).toContain('sudo update-ca-certificates');
    expect(recipe).toContain(root.fingerprint256);
    const told = JSON.parse(await done(run(scene, 'ca trust --dir issuer --json')));
    expect(told).toMatchObject({
      pem,
      roots: [{ subject: 'CN=Example Root 1' }],
      recipe: recipe.trimEnd().split('\n'),
    });
    expect(told.roots[0].fingerprint).toBe(root.fingerprint256);
  });

  it.skipIf(spawnSync('csplit', ['--version']).status !== 0)(
    'has a recipe that makes a file of each root that the gateway trusts',
    async () => {
      const folder = copy();
      await done(init('second', folder, ['--data', 'data']));
      const roots = ['issuer', 'second'].map((dir) => readFileSync(join(folder, dir, 'root.pem'), 'utf8'));
      writeFileSync(join(folder, 'data/tls/trust.pem'), roots.join(''));
      const recipe = JSON.parse(await done(run(folder, 'ca trust --data data --json'))).recipe as string[];
      writeFileSync(join(folder, 'countersign-roots.pem'), await done(run(folder, 'ca trust --data data')));
      const split = recipe.find((line) => line.startsWith('csplit')) ?? '';
      expect(spawnSync('sh', ['-c', split], { cwd: folder }).status).toBe(0);
      const files = readdirSync(folder)
        .filter((name) => name.endsWith('.crt'))
        .sort();
      expect(files.map((file) => readFileSync(join(folder, file), 'utf8'))).toEqual(roots);
    },
  );

  it('says what to do where there is none', async () => {
    const { code, detail } = failure(await run(scene, 'ca trust --data nowhere --json'));
    expect([code, detail]).toEqual(['trust-bundle-invalid', expect.stringContaining('--dir')]);
  });
});

describe.concurrent('ca export --p12', () => {
  const EXPORT = 'ca export --p12 --chain chain.pem --key gw.key --out gw.p12 --passphrase-file passphrase';

  it('writes a bundle for its owner alone, which openssl opens', async () => {
    const folder = copy();
    await done(run(folder, ISSUE));
    const told = JSON.parse(await done(run(folder, `${EXPORT} --name gw --json`)));
    expect(told).toMatchObject({ out: 'gw.p12', name: 'gw', certificates: 2 });
    expect(statSync(join(folder, 'gw.p12')).mode & 0o777).toBe(0o600);
    if (!hasOpenssl) return;
    const opened = openssl(
      ['pkcs12', '-in', join(folder, 'gw.p12'), '-noout', '-passin', 'stdin'],
      `${PASSPHRASE}\n`,
    );
    expect(opened.status).toBe(0);
  });

  it('refuses a key of another certificate, and a chain that is none', async () => {
    const folder = copy();
    await done(run(folder, ISSUE));
    await done(run(folder, 'ca request --dns b.example.org --out b.csr --key-out b.key'));
    const other = failure(await run(folder, `${EXPORT.replace('gw.key', 'b.key')} --json`));
    expect([other.code, other.detail]).toEqual([
      'certificate-invalid',
      expect.stringContaining('not the key'),
    ]);
    const chain = readFileSync(join(folder, 'chain.pem'), 'utf8');
    const [leaf = ''] = chain.split(/(?<=-----END CERTIFICATE-----\n)/);
    writeFileSync(join(folder, 'chain.pem'), leaf + leaf);
    expect(failure(await run(folder, `${EXPORT} --json`)).detail).toContain('no chain');
    writeFileSync(join(folder, 'chain.pem'), 'hello');
    expect(failure(await run(folder, `${EXPORT} --json`)).detail).toContain('no certificate');
    expect(existsSync(join(folder, 'gw.p12'))).toBe(false);
  });
});
