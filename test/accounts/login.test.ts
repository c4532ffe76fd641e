/** Who is let in, and that a refusal tells nothing of why. */
import { describe, expect, test } from 'vitest';
import { type LoginAttempt, Logins } from '../../src/accounts/login.ts';
import { Passwords } from '../../src/accounts/password.ts';
import { CountersignError } from '../../src/errors.ts';
import { LoginDesk, PASSWORD } from './login-desk.ts';

const EMAIL = 'ada@example.org';
const FAILED = { code: 'login-failed' };

describe('a login', () => {
  test('by the right password is let in, however the address is spelled', async () => {
    const desk = new LoginDesk();
    const { id } = await desk.addAccount(EMAIL);
    expect((await desk.judge({ email: 'ADA@Example.org' })).account.id).toBe(id);
  });

  test('needs a code where one is enrolled, and each code is good once', async () => {
    const desk = new LoginDesk();
    const drawn = await desk.enrolled(await desk.addAccount(EMAIL));
    await expect(desk.logIn({ email: EMAIL })).rejects.toMatchObject(FAILED);
    const code = desk.code(drawn);
    await desk.logIn({ email: EMAIL, totp: code });
    await expect(desk.logIn({ email: EMAIL, totp: code })).rejects.toMatchObject(FAILED);
  });

  test('takes the code of one step back, but never one from before a code that was used', async () => {
    const desk = new LoginDesk();
    const drawn = await desk.enrolled(await desk.addAccount(EMAIL));
    desk.clock.seconds += 60;
    await desk.logIn({ email: EMAIL, totp: desk.code(drawn, -30) });
    await desk.logIn({ email: EMAIL, totp: desk.code(drawn) });
    await expect(desk.logIn({ email: EMAIL, totp: desk.code(drawn, -30) })).rejects.toMatchObject(FAILED);
    desk.clock.seconds += 60;
    await expect(desk.logIn({ email: EMAIL, totp: desk.code(drawn, -60) })).rejects.toMatchObject(FAILED);
  });

  test('takes each recovery code once', async () => {
    const desk = new LoginDesk();
    const { recoveryCodes } = await desk.enrolled(await desk.addAccount(EMAIL));
    for (const code of recoveryCodes) {
      await desk.logIn({ email: EMAIL, totp: code });
      await expect(desk.logIn({ email: EMAIL, totp: code })).rejects.toMatchObject(FAILED);
    }
  });

  test('with one code, twice at the same moment in two processes, succeeds once', async () => {
    const desk = new LoginDesk();
    const other = new LoginDesk(desk);
    const drawn = await desk.enrolled(await desk.addAccount(EMAIL));
    for (const totp of [desk.code(drawn), drawn.recoveryCodes[0]]) {
      const judged = await Promise.all([
        desk.judge({ email: EMAIL, totp }),
        other.judge({ email: EMAIL, totp }),
      ]);
      const redeemed = await Promise.allSettled(
        [desk, other].map(({ store, logins }, i) =>
          store.commitGroup.run('log in', ({ accounts }) =>
            logins.redeem(accounts, judged[i] as (typeof judged)[number]),
          ),
        ),
      );
      expect(redeemed.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    }
  });

  test('that was judged before the password, the factor or the account changed is not redeemed after it', async () => {
    const desk = new LoginDesk();
    const account = await desk.addAccount(EMAIL);
    const { commitGroup } = desk.store;
    const changes = [
      () =>
        commitGroup.run('change', ({ accounts }) => accounts.update(account.id, { passwordHash: 'plain:x' })),
      () => commitGroup.run('change', ({ accounts }) => accounts.update(account.id, { disabledAt: 1 })),
      () =>
        commitGroup.run('change', async ({ accounts }) => void (await accounts.raiseGeneration(account.id))),
      () => desk.enrol(account),
    ];
    for (const change of changes) {
      const proof = await desk.judge({ email: EMAIL });
      await change();
      await expect(
        commitGroup.run('redeem', ({ accounts }) => desk.logins.redeem(accounts, proof)),
      ).rejects.toMatchObject(FAILED);
      await commitGroup.run('undo', ({ accounts }) =>
        accounts.update(account.id, { passwordHash: `plain:${PASSWORD}`, disabledAt: null }),
      );
    }
  });

  test('renews a hash that was made with other parameters', async () => {
    const desk = new LoginDesk();
    const { id } = await desk.addAccount(EMAIL);
    desk.passwords.scheme = 'newer:';
    await desk.logIn({ email: EMAIL });
    expect((await desk.account(id)).passwordHash).toBe(`newer:${PASSWORD}`);
    await desk.logIn({ email: EMAIL });
  });
});

describe('an operator', () => {
  test('is not let in by a password alone, and enrols by what whoever runs the gateway handed over', async () => {
    const desk = new LoginDesk();
    const account = await desk.addAccount(EMAIL, 'operator:keys:read');
    await expect(desk.logIn({ email: EMAIL })).rejects.toMatchObject(FAILED);
    const drawn = await desk.enrol(account, true);
    await expect(desk.logIn({ email: EMAIL })).rejects.toMatchObject(FAILED);
    // Not before the app was shown to work.
    await expect(desk.logIn({ email: EMAIL, totp: drawn.recoveryCodes[0] })).rejects.toMatchObject(FAILED);
    await desk.logIn({ email: EMAIL, totp: desk.code(drawn) });
    await desk.logIn({ email: EMAIL, totp: drawn.recoveryCodes[0] });
  });

  test('who enrolled a factor without confirming it, before becoming one, is not let in by it', async () => {
    const desk = new LoginDesk();
    const account = await desk.addAccount(EMAIL);
    const drawn = await desk.enrol(account);
    await desk.store.commitGroup.run('promote', ({ accounts }) =>
      accounts.update(account.id, { roles: ['operator'] }),
    );
    await expect(desk.logIn({ email: EMAIL, totp: desk.code(drawn) })).rejects.toMatchObject(FAILED);
  });
});

test('a factor that was handed over demands its code at once, whatever the role', async () => {
  const desk = new LoginDesk();
  const drawn = await desk.enrol(await desk.addAccount(EMAIL), true);
  await expect(desk.logIn({ email: EMAIL })).rejects.toMatchObject(FAILED);
  await desk.logIn({ email: EMAIL, totp: desk.code(drawn) });
});

describe('whatever is wrong', () => {
  type Case = readonly [
    string,
    (desk: LoginDesk) => Promise<Pick<LoginAttempt, 'email'> & Partial<LoginAttempt>>,
  ];
  const cases: readonly Case[] = [
    ['an unknown user', async () => ({ email: 'nobody@example.org' })],
    ['an unknown user with a code', async () => ({ email: 'nobody@example.org', totp: '123456' })],
    ['a wrong password', async () => ({ email: EMAIL, password: 'another password' })],
    [
      'a wrong password with the right code',
      async (desk) => ({
        email: EMAIL,
        password: 'another password',
        totp: desk.code(await desk.enrolled(await desk.account(await idOf(desk)))),
      }),
    ],
    [
      'a wrong code',
      async (desk) => {
        const drawn = await desk.enrolled(await desk.account(await idOf(desk)));
        return { email: EMAIL, totp: desk.code(drawn, 300) };
      },
    ],
    [
      'a missing code',
      async (desk) => {
        await desk.enrolled(await desk.account(await idOf(desk)));
        return { email: EMAIL };
      },
    ],
    ['a code where none is enrolled', async () => ({ email: EMAIL, totp: '123456' })],
    [
      'a disabled account',
      async (desk) => {
        const id = await idOf(desk);
        await desk.store.commitGroup.run('disable', ({ accounts }) => accounts.update(id, { disabledAt: 1 }));
        return { email: EMAIL };
      },
    ],
    ['an empty password', async () => ({ email: EMAIL, password: '' })],
    ['an empty address', async () => ({ email: '' })],
    ['a password that is over-long', async () => ({ email: EMAIL, password: PASSWORD.repeat(1000) })],
    ['an address that is over-long', async () => ({ email: `${'a'.repeat(100_000)}@example.org` })],
    ['control characters and SQL', async () => ({ email: "a'; DROP TABLE accounts; --\u0000\u0007" })],
    ['a lone surrogate', async () => ({ email: '\ud800@example.org', password: '\udfff' })],
  ];

  test.each(cases)('%s gets the same answer after exactly one verification', async (_, prepare) => {
    const desk = new LoginDesk();
    await desk.addAccount(EMAIL);
    const attempt = await prepare(desk);
    const before = desk.passwords.verifications;
    const error = await desk.logIn(attempt).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(CountersignError);
    const expected = await desk.logIn({ email: 'x@example.org' }).catch((caught: unknown) => caught);
    expect({ ...(error as CountersignError) }).toEqual({ ...(expected as CountersignError) });
    expect((error as Error).message).toBe((expected as Error).message);
    expect(desk.passwords.verifications - before).toBe(2);
  });

  test('is judged after exactly one argon2 verification, where passwords are kept as they really are', async () => {
    const desk = new LoginDesk();
    let verifications = 0;
    const passwords = new Passwords({
      onVerify: () => {
        verifications += 1;
      },
    });
    const { clock, throttle } = desk;
    const { vault, accounts, commitGroup } = desk.store;
    const logins = new Logins({ clock, vault, accounts, passwords, throttle });
    const { id } = await desk.addAccount(EMAIL);
    const passwordHash = await passwords.hash(PASSWORD);
    await commitGroup.run('hash', (tx) => tx.accounts.update(id, { passwordHash }));
    const drawn = await desk.enrolled(await desk.account(id));
    const address = '192.0.2.1';
    const wrong: readonly Omit<LoginAttempt, 'address'>[] = [
      { email: 'nobody@example.org', password: PASSWORD, totp: '123456' },
      { email: EMAIL, password: 'another password', totp: desk.code(drawn) },
      { email: EMAIL, password: PASSWORD, totp: desk.code(drawn, 3000) },
      { email: EMAIL, password: PASSWORD },
      { email: '', password: '' },
    ];
    for (const attempt of wrong) {
      verifications = 0;
      await expect(logins.judge({ ...attempt, address })).rejects.toMatchObject(FAILED);
      expect(verifications).toBe(1);
    }
    verifications = 0;
    await logins.judge({ email: EMAIL, password: PASSWORD, totp: desk.code(drawn), address });
    expect(verifications).toBe(1);
  });

  test('is found by looking alone, so that no refusal takes the time of a commit', async () => {
    const desk = new LoginDesk();
    const account = await desk.addAccount(EMAIL);
    const drawn = await desk.enrolled(account);
    const codes = [desk.code(drawn), drawn.recoveryCodes[0]];
    for (const totp of codes) await desk.logIn({ email: EMAIL, totp });
    for (const totp of codes) await expect(desk.judge({ email: EMAIL, totp })).rejects.toMatchObject(FAILED);
    await desk.store.commitGroup.run('disable', ({ accounts }) =>
      accounts.update(account.id, { disabledAt: 1 }),
    );
    await expect(desk.judge({ email: EMAIL, totp: drawn.recoveryCodes[1] })).rejects.toMatchObject(FAILED);
  });

  test('a wrong password leaves a right code unused', async () => {
    const desk = new LoginDesk();
    const drawn = await desk.enrolled(await desk.addAccount(EMAIL));
    const totp = desk.code(drawn);
    await expect(desk.logIn({ email: EMAIL, password: 'wrong', totp })).rejects.toMatchObject(FAILED);
    await desk.logIn({ email: EMAIL, totp });
  });

  async function idOf(desk: LoginDesk): Promise<string> {
    return ((await desk.store.accounts.findByEmail(EMAIL)) as { id: string }).id;
  }
});
