/**
 * `countersign consumer` and `countersign key`, beside a running gateway and without one. A change is in force at the
 * very next call.
 */
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Credentials, endAll, type GatewayProcess, serve, temporaryFolder } from '../e2e/processes.ts';
import { type Answer, problem, send, sign, verifyAnswer } from '../gateway/wire.ts';
import { failure, type Operator, operator } from './commands.ts';

afterAll(endAll);

interface Issued extends Credentials {
  readonly consumer: string;
  readonly roles: string[];
}

interface Shown {
  readonly name: string;
  readonly status: string;
  readonly roles: string[];
  readonly createdAt: string;
  readonly keys: { keyid: string; status: string; notBefore: string; notAfter: string }[];
}

/** Calls with a key, and checks the answer's signature. */
async function whoami(gateway: GatewayProcess, key: Pick<Credentials, 'keyid' | 'secret'>): Promise<Answer> {
  const request = sign(gateway, key, { method: 'GET', target: '/v1/whoami' });
  const answer = await send(gateway, request);
  verifyAnswer(answer, request, key);
  return answer;
}

const refusalOf = (answer: Answer) => ({ status: answer.status, code: problem(answer).code });

describe.concurrent('while a gateway is running, at its very next call', () => {
  let folder: string;
  let gateway: GatewayProcess;
  let admin: Operator;

  beforeAll(async () => {
    folder = temporaryFolder();
    gateway = await serve(join(folder, 'data'));
    admin = operator(gateway.data);
  });

  it('a new consumer is accepted, with its roles', async () => {
    const issued = await admin.json<Issued>([
      'consumer',
      'add',
      'shop',
      '--role',
      'orders',
      '--role',
      'tea:read',
    ]);
    expect(issued).toEqual({
      consumer: 'shop',
      keyid: expect.stringMatching(/^shop\.[\w-]{12}$/),
      secret: expect.stringMatching(/^[\w+/]{86}==$/),
      roles: ['orders', 'tea:read'],
    });
    const answer = await whoami(gateway, issued);
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body)).toMatchObject({ consumer: 'shop', roles: ['orders', 'tea:read'] });
  });

  it('a disabled consumer is refused, which it learns from a signed answer', async () => {
    const issued = await admin.json<Issued>(['consumer', 'add', 'closed']);
    expect((await whoami(gateway, issued)).status).toBe(200);
    expect(await admin.json(['consumer', 'disable', 'closed'])).toEqual({
      name: 'closed',
      status: 'disabled',
    });
    expect(refusalOf(await whoami(gateway, issued))).toEqual({ status: 401, code: 'key-inactive' });
  });

  it('a revoked key is refused, which it learns from a signed answer', async () => {
    const issued = await admin.json<Issued>(['consumer', 'add', 'leaky']);
    expect((await whoami(gateway, issued)).status).toBe(200);
    const { keyid } = issued;
    expect(await admin.json(['key', 'revoke', keyid])).toEqual({ keyid, status: 'revoked' });
    expect(refusalOf(await whoami(gateway, issued))).toEqual({ status: 401, code: 'key-inactive' });
    const [key] = await admin.json<Shown['keys']>(['key', 'list', 'leaky']);
    expect(key).toMatchObject({ keyid, consumer: 'leaky', status: 'revoked' });
  });

  it('of five consumers added at once, each is accepted', async () => {
    const names = Array.from({ length: 5 }, (_, i) => `many-${i}`);
    const issued = await Promise.all(names.map((name) => admin.json<Issued>(['consumer', 'add', name])));
    const answers = await Promise.all(issued.map((key) => whoami(gateway, key)));
    expect(answers.map(({ status }) => status)).toEqual(names.map(() => 200));
  });
});

describe.concurrent('while none is running', () => {
  it('consumers and keys are added, listed, shown, disabled and revoked, which the next start knows', async () => {
    const data = join(temporaryFolder(), 'data');
    const admin = operator(data);
    expect(await admin.json(['consumer', 'list'])).toEqual([]);
    const shop = await admin.json<Issued>(['consumer', 'add', 'shop', '--role', 'orders']);
    const closed = await admin.json<Issued>(['consumer', 'add', 'closed']);
    const leaky = await admin.json<Issued>(['consumer', 'add', 'leaky']);
    await admin.json(['consumer', 'disable', 'closed']);
    await admin.json(['key', 'revoke', leaky.keyid]);

    const list = await admin.json<Shown[]>(['consumer', 'list']);
    expect(list.map(({ name, status }) => ({ name, status }))).toEqual([
      { name: 'closed', status: 'disabled' },
      { name: 'leaky', status: 'active' },
      { name: 'shop', status: 'active' },
    ]);
    expect(await admin.json(['consumer', 'show', 'shop'])).toEqual({
      name: 'shop',
      status: 'active',
      roles: ['orders'],
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      keys: [expect.objectContaining({ keyid: shop.keyid, consumer: 'shop', status: 'active' })],
    });
    const keys = await admin.json<Shown['keys']>(['key', 'list']);
    expect(keys.map(({ keyid, status }) => ({ keyid, status }))).toEqual([
      { keyid: closed.keyid, status: expect.any(String) },
      { keyid: leaky.keyid, status: 'revoked' },
      { keyid: shop.keyid, status: 'active' },
    ]);

    const gateway = await serve(data);
    expect((await whoami(gateway, shop)).status).toBe(200);
    for (const key of [closed, leaky]) {
      expect(refusalOf(await whoami(gateway, key))).toEqual({ status: 401, code: 'key-inactive' });
    }
    // The data folder belongs to somebody already, so no demo consumer is made.
    expect(existsSync(join(data, 'demo.json'))).toBe(false);
    expect(gateway.child.stderr).not.toContain('npx --no');
  });

  it('a key is good for 90 days', async () => {
    const admin = operator(join(temporaryFolder(), 'data'));
    await admin.json(['consumer', 'add', 'shop']);
    const { keys } = await admin.json<Shown>(['consumer', 'show', 'shop']);
    const [key] = keys;
    expect(Date.parse(key?.notAfter ?? '') - Date.parse(key?.notBefore ?? '')).toBe(90 * 24 * 3600 * 1000);
  });
});

describe('for people', () => {
  it('the secret is shown once, at the adding, and in no list', async () => {
    const admin = operator(join(temporaryFolder(), 'data'));
    const added = await admin.run(['consumer', 'add', 'shop', '--role', 'orders']);
    expect(added).toMatchObject({ code: 0, stderr: '' });
    const [, keyid = '', secret = ''] =
      /^Consumer shop added.*\n\n {2}keyid {3}(\S+)\n {2}secret {2}(\S{88})\n {2}roles {3}orders\n$/.exec(
        added.stdout,
      ) ?? [];
    expect(secret).not.toBe('');
    for (const [args, line] of [
      [['consumer', 'list'], /^shop +active +orders$/m],
      [['consumer', 'show', 'shop'], new RegExp(`^${keyid} +active +\\d{4}-`, 'm')],
      [['key', 'list'], new RegExp(`^${keyid} +shop +active +\\d{4}-`, 'm')],
    ] as const) {
      const { code, stdout, stderr } = await admin.run(args);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(line);
      expect(stdout).not.toContain(secret);
    }
    expect((await admin.run(['key', 'revoke', keyid])).stdout).toContain(`Key ${keyid} is revoked`);
    expect((await admin.run(['consumer', 'disable', 'shop'])).stdout).toContain('Consumer shop is disabled');
  });
});

describe.concurrent('a credentials file', () => {
  it('is written for its owner alone, keeps the secret off the terminal, and works', async () => {
    const folder = temporaryFolder();
    const gateway = await serve(join(folder, 'data'));
    const admin = operator(gateway.data);
    const file = join(folder, 'shop.json');
    const added = await admin.run(['consumer', 'add', 'shop', '--out', file]);
    const credentials = JSON.parse(readFileSync(file, 'utf8'));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(credentials).toEqual({ keyid: expect.any(String), secret: expect.stringMatching(/^\S{88}$/) });
    expect(added).toMatchObject({ code: 0, stderr: '' });
    expect(added.stdout).not.toContain(credentials.secret);
    const call = await admin.run(['call', 'GET', `${gateway.url}/v1/whoami`, '--credentials', file]);
    expect(call).toMatchObject({ code: 0, stdout: expect.stringContaining('"consumer":"shop"') });

    const other = join(folder, 'other.json');
    const printed = await admin.json<Issued>(['consumer', 'add', 'other', '--out', other, '--role', 'tea']);
    expect(printed).toEqual({ consumer: 'other', keyid: expect.any(String), roles: ['tea'] });
  });

  it('is never overwritten: then nothing is added', async () => {
    const folder = temporaryFolder();
    const admin = operator(join(folder, 'data'));
    const file = join(folder, 'mine.json');
    writeFileSync(file, 'mine');
    const refused = failure(await admin.run(['consumer', 'add', 'shop', '--out', file, '--json']));
    expect(refused.code).toBe('credentials-invalid');
    expect(refused.detail).toContain('it exists already');
    expect(readFileSync(file, 'utf8')).toBe('mine');
    expect(await admin.json(['consumer', 'list'])).toEqual([]);
  });

  it('that cannot be written adds nothing, and one for a consumer who is refused is not left behind', async () => {
    const folder = temporaryFolder();
    const admin = operator(join(folder, 'data'));
    const nowhere = join(folder, 'no', 'such', 'folder.json');
    expect((await admin.run(['consumer', 'add', 'shop', '--out', nowhere])).code).toBe(1);
    expect(await admin.json(['consumer', 'list'])).toEqual([]);
    await admin.json(['consumer', 'add', 'shop']);
    const file = join(folder, 'again.json');
    expect((await admin.run(['consumer', 'add', 'shop', '--out', file])).code).toBe(1);
    expect(existsSync(file)).toBe(false);
  });
});

describe('what an operator mistypes is refused with its code', () => {
  let admin: Operator;
  let before: unknown;
  const everything = async () => [
    await admin.json(['consumer', 'list']),
    await admin.json(['consumer', 'show', 'shop']),
  ];

  beforeAll(async () => {
    admin = operator(join(temporaryFolder(), 'data'));
    await admin.json(['consumer', 'add', 'shop', '--role', 'orders']);
    before = await everything();
  });

  it.concurrent.each([
    ['consumer-invalid', ['consumer', 'add', 'Shop']],
    ['consumer-invalid', ['consumer', 'add', 'a'.repeat(64)]],
    ['consumer-invalid', ['consumer', 'add', "x'); DROP TABLE consumers;--"]],
    ['consumer-invalid', ['consumer', 'add', '']],
    ['consumer-invalid', ['consumer', 'add', 'tea', '--role', 'Orders']],
    ['consumer-invalid', ['consumer', 'add', 'tea', '--role', 'orders', '--role', '']],
    ['consumer-exists', ['consumer', 'add', 'shop']],
    ['consumer-unknown', ['consumer', 'show', 'nobody']],
    ['consumer-unknown', ['consumer', 'disable', 'nobody']],
    ['consumer-unknown', ['key', 'list', 'nobody']],
    ['key-unknown', ['key', 'revoke', 'nobody.aaaaaaaaaaaa']],
  ])('%s: %j', async (code, args) => {
    expect(failure(await admin.run([...args, '--json']))).toMatchObject({ code, detail: expect.any(String) });
  });

  it.concurrent('with every fault at once', async () => {
    const config = join(temporaryFolder(), 'countersign.yaml');
    writeFileSync(config, 'roles: [orders]\n');
    const add = ['consumer', 'add', '--config', config, '--role', 'orders:read', '--role'];
    const outcome = await admin.run([...add, 'B', '--role', 'tea', 'A', '--json']);
    expect(failure(outcome).detail).toMatch(/"A".*"B".*no role "tea"/);
  });

  it('and none of this has changed anything', async () => {
    expect(await everything()).toEqual(before);
  });
});

it('without the master key beside the database, a command says so and makes none', async () => {
  const data = join(temporaryFolder(), 'data');
  const admin = operator(data);
  await admin.json(['consumer', 'add', 'shop']);
  renameSync(join(data, 'master.key'), `${data}.key`);
  expect(failure(await admin.run(['consumer', 'add', 'tea', '--json'])).code).toBe('master-key-missing');
  expect(existsSync(join(data, 'master.key'))).toBe(false);
});
