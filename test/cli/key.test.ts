/** `countersign key`: several keys a consumer, their limits, their rotation, and a new master key. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Credentials, endAll, type GatewayProcess, serve, temporaryFolder } from '../e2e/processes.ts';
import { type Answer, problem, send, sign, verifyAnswer } from '../gateway/wire.ts';
import { failure, type Operator, operator } from './commands.ts';

afterAll(endAll);

interface Issued extends Credentials {
  readonly consumer: string;
  readonly roles: string[];
  readonly previousValidUntil?: string;
  readonly stillInUse?: { keyid: string; consumer: string; lastUsed: string; validUntil: string }[];
}

interface Listed {
  readonly keyid: string;
  readonly consumer: string;
  readonly label: string | null;
  readonly status: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly lastUsed: string | null;
  readonly calls: number;
  readonly roleSubset: string[] | null;
  readonly allow: string[] | null;
  readonly certificateUri: string | null;
  readonly successor: string | null;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

async function whoami(gateway: GatewayProcess, key: Pick<Credentials, 'keyid' | 'secret'>): Promise<Answer> {
  const request = sign(gateway, key, { method: 'GET', target: '/v1/whoami' });
  const answer = await send(gateway, request);
  verifyAnswer(answer, request, key);
  return answer;
}

function fresh(): { data: string; folder: string; admin: Operator } {
  const folder = temporaryFolder();
  const data = join(folder, 'data');
  return { data, folder, admin: operator(data) };
}

/** Whether a time lies this far ahead, give or take what the commands took. */
function expectAhead(time: string | undefined, milliseconds: number): void {
  const ahead = Date.parse(time ?? '') - Date.now();
  expect(ahead).toBeGreaterThan(milliseconds - 60_000);
  expect(ahead).toBeLessThan(milliseconds + 2000);
}

const listed = (admin: Operator, consumer: string) => admin.json<Listed[]>(['key', 'list', consumer]);

describe('beside a running gateway', () => {
  let gateway: GatewayProcess;
  let admin: Operator;

  beforeAll(async () => {
    gateway = await serve(join(temporaryFolder(), 'data'));
    admin = operator(gateway.data);
  });

  it('a key with limits is good within them alone', async () => {
    const end = new Date(Date.now() + 10 * DAY).toISOString().slice(0, 10);
    const inside = await admin.json<Issued>([
      ...['consumer', 'add', 'warehouse', '--role', 'orders', '--role', 'users'],
      ...['--role-subset', 'orders:read', '--allow', '127.0.0.0/8', '--allow', '::1'],
      ...['--label', 'north', '--expires', end],
    ]);
    expect(inside).toEqual({
      consumer: 'warehouse',
      keyid: expect.any(String),
      secret: expect.any(String),
      roles: ['orders:read'],
    });
    expect(JSON.parse((await whoami(gateway, inside)).body).roles).toEqual(['orders:read']);
    const outside = await admin.json<Issued>(['key', 'add', 'warehouse', '--allow', '192.0.2.0/24']);
    const refused = await whoami(gateway, outside);
    expect([refused.status, problem(refused).code]).toEqual([403, 'key-forbidden']);
    const keys = await listed(admin, 'warehouse');
    expect(keys.find(({ keyid }) => keyid === inside.keyid)).toMatchObject({
      label: 'north',
      status: 'expiring',
      notAfter: `${end}T00:00:00.000Z`,
      roleSubset: ['orders:read'],
      allow: ['127.0.0.0/8', '::1'],
    });
    expect(keys.find(({ keyid }) => keyid === outside.keyid)).toMatchObject({
      label: null,
      status: 'active',
      roleSubset: null,
      allow: ['192.0.2.0/24'],
    });
  });

  it('a successor inherits the limits, and both keys are good for the overlap', async () => {
    const limits = ['--role-subset', 'orders', '--allow', '127.0.0.1', '--label', 'south'];
    const old = await admin.json<Issued>(['consumer', 'add', 'shop', '--role', 'orders', ...limits]);
    const next = await admin.json<Issued>(['key', 'rotate', 'shop']);
    expect(next).toEqual({
      consumer: 'shop',
      keyid: expect.stringMatching(/^shop\./),
      secret: expect.stringMatching(/^\S{88}$/),
      roles: ['orders'],
      previousValidUntil: expect.stringMatching(/Z$/),
    });
    expectAhead(next.previousValidUntil, DAY);
    for (const key of [old, next]) expect((await whoami(gateway, key)).status).toBe(200);
    const inherited = { label: 'south', roleSubset: ['orders'], allow: ['127.0.0.1'] };
    const keys = await listed(admin, 'shop');
    expect(keys).toHaveLength(2);
    expect(keys.find(({ keyid }) => keyid === old.keyid)).toMatchObject({
      ...inherited,
      status: 'superseded',
      successor: next.keyid,
      notAfter: next.previousValidUntil,
    });
    const successor = keys.find(({ keyid }) => keyid === next.keyid);
    expect(successor).toMatchObject({ ...inherited, status: 'active', successor: null });
    expectAhead(successor?.notAfter, 90 * DAY);
  });

  it('a key may be bound to a client certificate, and so is its successor', async () => {
    const certificateUri = 'spiffe://example.com/bound';
    await admin.json(['consumer', 'add', 'bound', '--certificate-uri', certificateUri]);
    await admin.json(['key', 'add', 'bound', '--certificate-uri', `${certificateUri}/2`]);
    const [first] = await listed(admin, 'bound');
    await admin.json(['key', 'rotate', first?.keyid ?? '']);
    const names = (await listed(admin, 'bound')).map((each) => each.certificateUri);
    expect(names.sort()).toEqual([certificateUri, first?.certificateUri, `${certificateUri}/2`].sort());
    const faulty = ['--certificate-uri', 'spiffe://example.com'];
    expect(failure(await admin.run(['consumer', 'add', 'loose', ...faulty, '--json']))).toMatchObject({
      code: 'consumer-invalid',
    });
  });

  it('a key that is rotated without an overlap is refused at once', async () => {
    const old = await admin.json<Issued>(['consumer', 'add', 'hasty']);
    const next = await admin.json<Issued>(['key', 'rotate', old.keyid, '--overlap', '0s', '--label', 'new']);
    expect([(await whoami(gateway, old)).status, (await whoami(gateway, next)).status]).toEqual([401, 200]);
    expect((await listed(admin, 'hasty')).map(({ label, status }) => [label, status])).toEqual(
      expect.arrayContaining([
        [null, 'expired'],
        ['new', 'active'],
      ]),
    );
  });
});

describe('the demo key', () => {
  it('takes its credentials file along when it is rotated, each time, and says so', async () => {
    const { data, folder, admin } = fresh();
    const gateway = await serve(data);
    const file = join(data, 'demo.json');
    const held = () => JSON.parse(readFileSync(file, 'utf8')) as Credentials;
    const first = held();
    const { keyid, secret, demoFile } = await admin.json<Issued & { demoFile: string }>([
      ...['key', 'rotate', 'demo', '--overlap', '0s'],
    ]);
    expect(demoFile).toBe(file);
    expect(held()).toEqual({ ...first, keyid, secret });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect((await whoami(gateway, held())).status).toBe(200);
    const told = await admin.run(['key', 'rotate', keyid, '--out', join(folder, 'mine.json')]);
    expect(told).toMatchObject({ code: 0, stdout: expect.stringContaining(`${file} holds the new key`) });
    const mine = JSON.parse(readFileSync(join(folder, 'mine.json'), 'utf8'));
    expect(held()).toEqual({ ...first, ...mine });
    expect(told.stdout).not.toContain(held().secret);
    // Its draft is gone.
    expect(readdirSync(data).filter((name) => name.startsWith('demo.json'))).toEqual(['demo.json']);
  });
});

describe('who still uses an old key', () => {
  it('is told by the next rotation, and by doctor, once the usage is written down', async () => {
    const { data, admin } = fresh();
    const old = await admin.json<Issued>(['consumer', 'add', 'slow']);
    const quick = await admin.json<Issued>(['consumer', 'add', 'quick']);
    for (const { keyid } of [old, quick]) await admin.json(['key', 'rotate', keyid]);
    const gateway = await serve(data);
    // Its use must lie at least in the second after the rotation.
    let calls = 0;
    const rotatedAt = Date.parse((await listed(admin, 'slow')).at(-1)?.notBefore ?? '');
    while (Date.now() < rotatedAt + 1000) {
      await whoami(gateway, old);
      calls++;
    }
    await whoami(gateway, old);
    calls++;
    await gateway.child.stop();
    const key = (await listed(admin, 'slow')).find(({ keyid }) => keyid === old.keyid);
    expect(key).toMatchObject({ status: 'superseded', calls });
    const other = await admin.json<Issued>(['consumer', 'add', 'other']);
    const { stillInUse } = await admin.json<Issued>(['key', 'rotate', other.keyid]);
    expect(stillInUse).toEqual([
      { keyid: old.keyid, consumer: 'slow', lastUsed: key?.lastUsed, validUntil: key?.notAfter },
    ]);
    const { findings } = await admin.json<{ findings: { check: string; status: string; detail: string }[] }>([
      'doctor',
    ]);
    expect(findings.filter(({ check }) => check === 'keys')).toEqual([
      { check: 'keys', status: 'warning', detail: expect.stringContaining(`${old.keyid} of slow ends in`) },
    ]);
    const people = await admin.run([
      'key',
      'rotate',
      (await admin.json<Issued>(['key', 'add', 'other'])).keyid,
    ]);
    expect(people.stdout).toContain(`slow still uses its old key ${old.keyid}`);
  });
});

describe('without a gateway', () => {
  let admin: Operator;

  beforeAll(() => {
    admin = fresh().admin;
  });

  it.each<[string, string[], string[]]>([
    [
      'times in the past',
      ['--expires', '2020-01-01', '--not-before', '2020-01-01'],
      ['notBefore', 'notAfter'],
    ],
    ['a life of more than 400 days', ['--expires', '401d'], ['notAfter']],
    ['an address that is none', ['--allow', '10.0.0.0/33', '--allow', 'home'], ['allow[0]', 'allow[1]']],
    ['a subset off the grammar', ['--role-subset', 'Orders'], ['roleSubset[0]']],
    ['everything', ['--role', 'X', '--label', 'a\tb', '--allow', ''], ['roles[0]', 'label', 'allow[0]']],
  ])('a consumer with %s is refused with every fault, and not added', async (_what, args, paths) => {
    const refused = failure(await admin.run(['consumer', 'add', 'faulty', ...args, '--json']));
    expect(refused).toMatchObject({
      code: 'consumer-invalid',
      errors: paths.map((path) => ({ path, detail: expect.any(String) })),
    });
    expect(await admin.json(['consumer', 'list'])).toEqual([]);
  });

  it('a time that is none is a misuse', async () => {
    const { code, stderr } = await admin.run(['consumer', 'add', 'faulty', '--expires', '2027-02-31']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('--expires')]);
  });
});

describe('a key', () => {
  it('can be rotated only where it is clear which, and while it is good', async () => {
    const { admin } = fresh();
    const first = await admin.json<Issued>(['consumer', 'add', 'shop', '--expires', '2h']);
    const refusal = async (...args: string[]) => {
      const { code, detail } = failure(await admin.run(['key', 'rotate', ...args, '--json']));
      return `${code}: ${detail}`;
    };
    expect(await refusal('nobody')).toMatch(/^consumer-unknown/);
    expect(await refusal('shop', '--overlap', '3h')).toMatch(/^consumer-invalid: .*ends by itself/);
    expect(await listed(admin, 'shop')).toMatchObject([{ status: 'expiring', successor: null }]);
    // The default overlap is longer than its life, and takes what is left.
    const second = await admin.json<Issued>(['key', 'rotate', 'shop']);
    expectAhead(second.previousValidUntil, 2 * HOUR);
    expect(await refusal(first.keyid)).toMatch(/^conflict: .*rotated before/);
    const third = await admin.json<Issued>(['key', 'add', 'shop']);
    expect(await refusal('shop')).toContain('name one');
    for (const { keyid } of [second, third]) await admin.json(['key', 'revoke', keyid]);
    expect(await refusal(third.keyid)).toMatch(/^conflict: .*revoked/);
    expect(await refusal('shop')).toContain('countersign key add shop');
  });

  it('that is issued to a file keeps its secret off the terminal; what can not be written changes nothing', async () => {
    const { admin, folder } = fresh();
    await admin.json(['consumer', 'add', 'shop']);
    const file = join(folder, 'shop.json');
    const rotated = await admin.run(['key', 'rotate', 'shop', '--out', file]);
    const { secret } = JSON.parse(readFileSync(file, 'utf8'));
    expect(rotated).toMatchObject({ code: 0, stdout: expect.stringContaining(file) });
    expect(rotated.stdout).not.toContain(secret);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const before = await listed(admin, 'shop');
    for (const args of [
      ['key', 'rotate', 'shop'],
      ['key', 'add', 'shop'],
    ]) {
      const refused = failure(await admin.run([...args, '--out', file, '--json']));
      expect(refused).toMatchObject({ code: 'credentials-invalid' });
    }
    expect(await listed(admin, 'shop')).toEqual(before);
    expect(JSON.parse(readFileSync(file, 'utf8')).secret).toBe(secret);
  });

  it('and its consumer leave a row in the audit record with every change', async () => {
    const { admin } = fresh();
    const { keyid } = await admin.json<Issued>(['consumer', 'add', 'shop', '--role', 'a']);
    const next = await admin.json<Issued>(['key', 'rotate', 'shop']);
    const added = await admin.json<Issued>(['key', 'add', 'shop', '--label', 'of Jane Doe-Somebody']);
    await admin.json(['key', 'revoke', keyid]);
    await admin.json(['consumer', 'disable', 'shop']);
    await admin.json(['consumer', 'enable', 'shop']);
    await admin.json(['key', 'rekey']);
    await admin.run(['consumer', 'add', 'shop']);
    await admin.json(['consumer', 'add', 'till', '--label', 'of Jane Doe-Somebody']);
    const rows = await admin.json<{ actor: string; action: string; subject: string }[]>(['audit', 'list']);
    expect(rows.map(({ actor, action, subject }) => [actor, action, subject])).toEqual([
      ['cli', 'consumer.add', 'shop'],
      ['cli', 'key.rotate', keyid],
      ['cli', 'key.add', added.keyid],
      ['cli', 'key.revoke', keyid],
      ['cli', 'consumer.disable', 'shop'],
      ['cli', 'consumer.enable', 'shop'],
      ['cli', 'key.rekey', 'master-key'],
      ['cli', 'consumer.add', 'till'],
    ]);
    const text = JSON.stringify(rows);
    expect(text).toContain(next.keyid);
    // Free text may name somebody, and a row can't be taken back.
    expect(text).not.toContain('Doe-Somebody');
    for (const { secret } of [next, added]) expect(text).not.toContain(secret);
  });
});

describe('rekey', () => {
  it('gives the folder a new master key while a gateway goes on, and the next start takes it', async () => {
    const { data, admin } = fresh();
    const gateway = await serve(data);
    const shop = await admin.json<Issued>(['consumer', 'add', 'shop']);
    const file = join(data, 'master.key');
    const old = readFileSync(file, 'utf8');
    expect(await admin.json(['key', 'rekey'])).toEqual({ file, environment: false });
    expect(readFileSync(file, 'utf8')).not.toBe(old);
    const bank = await admin.json<Issued>(['consumer', 'add', 'bank']);
    for (const key of [shop, bank]) expect((await whoami(gateway, key)).status).toBe(200);
    await gateway.child.stop();
    const next = await serve(data);
    for (const key of [shop, bank]) expect((await whoami(next, key)).status).toBe(200);
  });

  it('takes the new key from a file where the old one is in the environment, and says what to do', async () => {
    const { data, folder, admin } = fresh();
    const [old, next] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];
    const withKey = (key: string) => ({ variables: { COUNTERSIGN_MASTER_KEY: key } });
    await admin.json(['consumer', 'add', 'shop'], withKey(old));
    const file = join(folder, 'new.key');
    const refused = async (...args: string[]) =>
      failure(await admin.run(['key', 'rekey', ...args, '--json'], withKey(old))).code;
    expect(await refused()).toBe('master-key-missing');
    expect(await refused('--new', file)).toBe('master-key-missing');
    writeFileSync(file, 'too short', { mode: 0o600 });
    expect(await refused('--new', file)).toBe('master-key-wrong');
    writeFileSync(file, `${old}\n`);
    expect(await refused('--new', file)).toBe('master-key-wrong');
    writeFileSync(file, `${next}\n`);
    const done = await admin.run(['key', 'rekey', '--new', file], withKey(old));
    expect(done).toMatchObject({ code: 0, stdout: expect.stringContaining('COUNTERSIGN_MASTER_KEY') });
    expect(done.stdout).not.toContain(next);
    expect(existsSync(join(data, 'master.key'))).toBe(false);
    expect(await admin.json(['consumer', 'list'], withKey(next))).toHaveLength(1);
    expect(failure(await admin.run(['consumer', 'list', '--json'], withKey(old))).code).toBe(
      'master-key-wrong',
    );
  });
});
