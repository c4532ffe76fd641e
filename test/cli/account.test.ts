/** `countersign account`: what an operator makes, sees and ends on the machine. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { Account } from '../../src/accounts/account.ts';
import { confirmErasure } from '../../src/cli/account/end.ts';
import { Dialogue } from '../../src/cli/dialogue.ts';
import { endAll, temporaryFolder } from '../e2e/processes.ts';
import { failure, type Operator, operator } from './commands.ts';

afterAll(endAll);

interface Added {
  readonly account: string;
  readonly consumer: string;
  readonly totp?: { readonly uri: string; readonly recoveryCodes: string[] };
}

const PASSWORD = 'tr0ub4dor & three';

describe('an account', () => {
  let folder: string;
  let admin: Operator;
  let add: string[];

  beforeEach(() => {
    folder = temporaryFolder();
    admin = operator(join(folder, 'data'));
    writeFileSync(join(folder, 'password'), `${PASSWORD}\r\nnot this\n`);
    add = ['account', 'add', '--first-name', 'Ada', '--last-name', "O'Lovelace <b>", '--password-file'];
    add.push(join(folder, 'password'), '--email', 'ada@example.com');
  });

  it('of an operator is made with a second factor, which is shown once', async () => {
    const added = await admin.json<Added>([...add, '--role', 'operator', '--role', 'orders']);
    expect(added).toEqual({
      account: expect.stringMatching(/^[0-9a-f]{24}$/),
      consumer: expect.stringMatching(/^person-[0-9a-z]{12}$/),
      email: 'ada@example.com',
      roles: ['operator', 'orders'],
      totp: {
        uri: expect.stringMatching(/^otpauth:\/\/totp\/.*[?&]secret=[A-Z2-7]{32}\b/),
        recoveryCodes: expect.arrayContaining([expect.stringMatching(/^[a-z2-7-]{19}$/)]),
      },
    });
    expect(added.totp?.recoveryCodes).toHaveLength(10);
    const [shown] = await admin.json<object[]>(['account', 'list']);
    expect(shown).toEqual({
      account: added.account,
      status: 'active',
      firstName: 'Ada',
      lastName: "O'Lovelace <b>",
      email: 'ada@example.com',
      emailConfirmedAt: null,
      roles: ['operator', 'orders'],
      secondFactor: 'enrolled',
      consumer: added.consumer,
      createdAt: expect.stringMatching(/Z$/),
    });
    // Its keys are one factor, and grant nothing that asks for two.
    expect(await admin.json(['consumer', 'show', added.consumer])).toMatchObject({
      roles: ['orders'],
      keys: [],
    });
  });

  it('of anybody else has a second factor for the asking', async () => {
    expect(await admin.json<Added>([...add, '--role', 'orders'])).not.toHaveProperty('totp');
    const asked = [...add, '--email', 'bob@example.com', '--totp'];
    expect((await admin.json<Added>(asked)).totp?.recoveryCodes).toHaveLength(10);
  });

  it('is told to people with a QR code, and never with the password', async () => {
    const { code, stdout, stderr } = await admin.run([...add, '--role', 'operator']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/█▀▀▀▀▀▀▀█/);
    expect(stdout).toMatch(/otpauth:/);
    expect(stdout).not.toContain(PASSWORD);
  });

  it('gets another second factor, whose codes are demanded at once', async () => {
    const { account, totp } = await admin.json<Added>([...add, '--role', 'operator']);
    const again = await admin.json<Added>(['account', 'totp', 'ada@example.com']);
    expect(again).toEqual({
      account,
      totp: { uri: expect.stringContaining('otpauth://totp/'), recoveryCodes: expect.any(Array) },
    });
    expect(again.totp?.recoveryCodes).toHaveLength(10);
    expect(again.totp?.uri).not.toBe(totp?.uri);
    const { stdout } = await admin.run(['account', 'totp', account]);
    expect(stdout).toMatch(/█▀▀▀▀▀▀▀█/);
    const unknown = await admin.run(['account', 'totp', 'nobody@example.com', '--json']);
    expect(failure(unknown).code).toBe('account-unknown');
  });

  it('takes its password from standard input', async () => {
    const args = add.map((each) => (each === join(folder, 'password') ? '-' : each));
    const { code } = await admin.run(args, { input: `${PASSWORD}\n` });
    expect(code).toBe(0);
    expect(failure(await admin.run([...args, '--json'], { input: 'python\n' })).code).toBe('account-invalid');
  });

  it('is refused with every fault at once, and nothing is made', async () => {
    const config = join(folder, 'countersign.yaml');
    writeFileSync(config, 'roles: [orders]\n');
    const roles = ['--config', config, '--role', 'No Role', '--role', 'orders:read', '--role', 'tea'];
    const faulty = ['--email', 'ada', '--first-name', 'A\u0007', ...roles, '--json'];
    const refused = failure(await admin.run([...add, ...faulty]));
    expect(refused).toMatchObject({
      code: 'account-invalid',
      errors: [{ path: 'firstName' }, { path: 'email' }, { path: 'roles[0]' }, { path: 'roles[2]' }],
    });
    expect(await admin.json(['account', 'list'])).toEqual([]);
  });

  it('is refused where the address is taken, in whatever letters', async () => {
    await admin.json(add);
    const again = await admin.run([...add, '--email', 'ADA@example.com', '--json']);
    expect(failure(again).code).toBe('account-exists');
  });

  it('is asked for on a terminal alone', async () => {
    const refused = failure(await admin.run(['account', 'add', '--email', 'ada@example.com', '--json']));
    expect(refused).toMatchObject({
      code: 'account-invalid',
      detail: 'There is no terminal to ask on: give --first-name, --last-name, --password-file.',
    });
    const missing = await admin.run([...add, '--password-file', join(folder, 'nowhere'), '--json']);
    expect(failure(missing).detail).toMatch(/ENOENT/);
  });

  it('is disabled with its consumer, by id or by address', async () => {
    const { account, consumer } = await admin.json<Added>(add);
    expect(await admin.json(['account', 'disable', 'ADA@example.com'])).toEqual({
      account,
      status: 'disabled',
    });
    expect(await admin.json(['account', 'show', account])).toMatchObject({ status: 'disabled' });
    // Its keys come to life again with it, and not without it.
    const alone = failure(await admin.run(['consumer', 'enable', consumer, '--json']));
    expect(alone).toMatchObject({ code: 'conflict', detail: expect.stringContaining(`enable ${account}`) });
    expect(await admin.json(['consumer', 'show', consumer])).toMatchObject({ status: 'disabled' });
  });

  it('that was disabled is accepted again, with its consumer', async () => {
    const { account, consumer } = await admin.json<Added>(add);
    await admin.json(['account', 'disable', account]);
    expect(await admin.json(['account', 'enable', 'ada@example.com'])).toEqual({ account, status: 'active' });
    expect(await admin.json(['account', 'show', account])).toMatchObject({ status: 'active' });
    expect(await admin.json(['consumer', 'show', consumer])).toMatchObject({ status: 'active' });
    expect((await admin.run(['audit', 'list'])).stdout).toContain('account.enable');
  });

  it('is erased with its consumer, and the audit record keeps its id', async () => {
    const { account } = await admin.json<Added>(add);
    const erased = { account, status: 'erased', journalEmptied: true };
    const unasked = await admin.run(['account', 'remove', account]);
    expect(unasked).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') });
    expect(await admin.json(['account', 'list'])).toHaveLength(1);
    expect(await admin.json(['account', 'remove', '--yes', account])).toEqual(erased);
    expect(await admin.json(['account', 'list'])).toEqual([]);
    expect(await admin.json(['consumer', 'list'])).toEqual([]);
    expect((await admin.run(['audit', 'list'])).stdout).toContain(account);
    const file = readFileSync(join(folder, 'data', 'countersign.db'), 'latin1').toLowerCase();
    expect(file).not.toContain('ada@example.com');
  });

  it.each([['show'], ['disable'], ['enable'], ['remove', '--yes']])(
    'that is not there is told by %s',
    async (...verb) => {
      const outcome = await admin.run(['account', ...verb, 'nobody@example.com', '--json']);
      expect(failure(outcome).code).toBe('account-unknown');
    },
  );
});

describe('questions on a terminal', () => {
  function terminal() {
    const input = Object.assign(new PassThrough(), { isTTY: true });
    const output = new PassThrough();
    let shown = '';
    output.on('data', (chunk) => (shown += chunk));
    const dialogue = Dialogue.on('give it', 'account-invalid', { input, output });
    return { input, output, dialogue, shown: () => shown };
  }

  it('come before an account is erased for good, and only yes is yes', async () => {
    const ada = { id: 'a1', firstName: 'Ada', lastName: 'Lovelace', email: 'ada@example.com' } as Account;
    for (const answer of ['y\r', '\r', 'no\r', '\x03']) {
      const { input, output } = terminal();
      input.write(answer);
      await expect(confirmErasure(ada, { input, output })).rejects.toMatchObject({ code: 'account-invalid' });
    }
    const { input, output, shown } = terminal();
    input.write('yes\r');
    await confirmErasure(ada, { input, output });
    expect(shown()).toMatch(/a1 \(Ada Lovelace, ada@example\.com\).*can't be undone/);
  });

  it('show what is typed, but nothing of a secret, and lose nothing that is pasted ahead', async () => {
    const { input, dialogue, shown } = terminal();
    input.write('Adx\x7f\x1b[Da\rsecret words\rthe same\r');
    expect(await dialogue.ask('Name: ')).toBe('Ada');
    expect(await dialogue.askSecret('Password: ')).toBe('secret words');
    expect(await dialogue.askSecret('Again: ')).toBe('the same');
    dialogue.close();
    expect(shown()).toBe('Name: Adx\r\x1b[KName: Ada\nPassword: \nAgain: \n');
  });

  it('show nothing of a secret that is typed once it was asked for', async () => {
    const { input, dialogue, shown } = terminal();
    const answer = dialogue.askSecret('Password: ');
    input.write('hush');
    input.write('\x7fhx\r');
    expect(await answer).toBe('hushx');
    dialogue.close();
    expect(shown()).not.toMatch(/hus/);
  });

  it.each([
    ['the interrupt key', '\x03'],
    ['the end of input', '\x04'],
    ['a key of which nobody sees what it does', '\x1b[A'],
  ])('are broken off by %s', async (_, key) => {
    const { input, dialogue } = terminal();
    const answer = dialogue.askSecret('Password: ');
    input.write(key);
    await expect(answer).rejects.toMatchObject({ code: 'account-invalid' });
  });

  it('are broken off where the terminal goes away', async () => {
    const { input, dialogue } = terminal();
    const answer = dialogue.ask('Name: ');
    input.end('half an ans');
    await expect(answer).rejects.toMatchObject({ code: 'account-invalid' });
  });
});
