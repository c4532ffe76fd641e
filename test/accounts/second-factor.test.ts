/** Codes of the second factor: which are good, and how often. */
import { describe, expect, test } from 'vitest';
import {
  drawEnrolment,
  recoveryHash,
  requiresSecondFactor,
  stepOfCode,
} from '../../src/accounts/second-factor.ts';
import { LoginDesk } from './login-desk.ts';

const EMAIL = 'ada@example.org';
/** RFC 6238 appendix B, for SHA-1: the secret is the 20 bytes "12345678901234567890"; codes cut to six digits. */
const RFC_SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
const RFC_CODES: readonly (readonly [number, string])[] = [
  [59, '287082'],
  [1111111109, '081804'],
  [1111111111, '050471'],
  [1234567890, '005924'],
  [2000000000, '279037'],
  [20000000000, '353130'],
];

describe('a code', () => {
  test.each(RFC_CODES)('is that of RFC 6238 at %i', (time, code) => {
    expect(stepOfCode(RFC_SECRET, code, time)).toBe(Math.floor(time / 30));
  });

  test.each([
    ['of this step', 0, true],
    ['of the step before', -30, true],
    ['of two steps back', -60, false],
    ['of the step to come', 30, false],
  ])('%s: good is %s', async (_, seconds, good) => {
    const desk = new LoginDesk();
    const drawn = drawEnrolment(EMAIL);
    const step = stepOfCode(drawn.secret, desk.code(drawn, seconds), desk.clock.seconds);
    expect(step !== undefined).toBe(good);
  });

  test.each([
    '',
    '12345',
    '1234567',
    ' 123456',
    '12345a',
    '１２３４５６',
    '-12345',
    '1e5000',
    '123456\n',
    '\u0000'.repeat(6),
  ])('that is no six digits is none: %j', (code) => {
    expect(stepOfCode(RFC_SECRET, code, 59)).toBeUndefined();
  });
});

test('an enrolment shows an otpauth uri, the same as a picture, and ten recovery codes', () => {
  const { uri, svg, recoveryCodes, secret } = drawEnrolment('ada+x@example.org');
  expect(uri).toBe(`otpauth://totp/Countersign:ada%2Bx%40example.org?secret=${secret}&issuer=Countersign`);
  expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  expect(svg).not.toContain('<script');
  expect(new Set(recoveryCodes).size).toBe(10);
  for (const code of recoveryCodes) expect(code).toMatch(/^([a-z2-7]{4}-){3}[a-z2-7]{4}$/);
});

test("a recovery code is known however it is typed, and only as its own account's", () => {
  expect(recoveryHash('one', 'ABCD efgh-2345 6777')).toEqual(recoveryHash('one', 'abcd-efgh-2345-6777'));
  expect(recoveryHash('one', 'abcd-efgh-2345-6777')).not.toEqual(recoveryHash('two', 'abcd-efgh-2345-6777'));
});

test.each([
  [['operator'], true],
  [['orders', 'operator:keys:read'], true],
  [['operators', 'orders:operator'], false],
  [[], false],
])('roles %j require a second factor: %s', (roles, required) => {
  expect(requiresSecondFactor({ roles })).toBe(required);
});

describe('an enrolment', () => {
  test('asks for nothing until its first code, which is used up', async () => {
    const desk = new LoginDesk();
    const account = await desk.addAccount(EMAIL);
    const drawn = await desk.enrol(account);
    await desk.logIn({ email: EMAIL });

    const code = desk.code(drawn);
    await desk.confirm(account, code);
    await expect(desk.logIn({ email: EMAIL })).rejects.toMatchObject({ code: 'login-failed' });
    await expect(desk.logIn({ email: EMAIL, totp: code })).rejects.toMatchObject({ code: 'login-failed' });
    desk.clock.seconds += 30;
    await desk.logIn({ email: EMAIL, totp: desk.code(drawn) });
  });

  test('is not confirmed by a wrong code, nor twice', async () => {
    const desk = new LoginDesk();
    const account = await desk.addAccount(EMAIL);
    await expect(desk.confirm(account, '123456')).rejects.toMatchObject({ code: 'conflict' });
    const drawn = await desk.enrol(account);
    const wrong = desk.code(drawn, 600);
    await expect(desk.confirm(account, wrong)).rejects.toMatchObject({ code: 'validation-failed' });
    await desk.confirm(account, desk.code(drawn));
    desk.clock.seconds += 30;
    await expect(desk.confirm(account, desk.code(drawn))).rejects.toMatchObject({ code: 'conflict' });
  });

  test('that replaces another leaves it good until its own first code, and then takes its place with its codes', async () => {
    const desk = new LoginDesk();
    const account = await desk.addAccount(EMAIL);
    const first = await desk.enrolled(account);
    const second = await desk.enrol(account);

    await desk.logIn({ email: EMAIL, totp: desk.code(first) });
    await desk.logIn({ email: EMAIL, totp: first.recoveryCodes[0] });
    desk.clock.seconds += 30;
    await expect(desk.logIn({ email: EMAIL, totp: desk.code(second) })).rejects.toThrow();
    await expect(desk.logIn({ email: EMAIL, totp: second.recoveryCodes[0] })).rejects.toThrow();

    await desk.confirm(account, desk.code(second));
    desk.clock.seconds += 30;
    await expect(desk.logIn({ email: EMAIL, totp: desk.code(first) })).rejects.toThrow();
    await expect(desk.logIn({ email: EMAIL, totp: first.recoveryCodes[1] })).rejects.toThrow();
    await desk.logIn({ email: EMAIL, totp: desk.code(second) });
    await desk.logIn({ email: EMAIL, totp: second.recoveryCodes[0] });
  });

  test('lies sealed: neither secret nor recovery code stands in the database', async () => {
    const desk = new LoginDesk();
    const account = await desk.addAccount(EMAIL);
    const drawn = await desk.enrolled(account);
    const factor = await desk.store.accounts.secondFactor(account.id);
    const kept = await desk.store.accounts.recoveryCodes(account.id);
    const bytes = Buffer.concat([factor?.sealedSecret as Buffer, ...kept.map(({ hash }) => hash)]);
    expect(bytes.includes(drawn.secret)).toBe(false);
    for (const code of drawn.recoveryCodes) expect(bytes.includes(code)).toBe(false);
    // A row that is moved to another account opens nothing.
    const other = await desk.addAccount('eve@example.org');
    await desk.store.commitGroup.run('move', ({ accounts }) =>
      accounts.putSecondFactor({
        account: other.id,
        sealedSecret: factor?.sealedSecret as Buffer,
        lastStep: 0,
      }),
    );
    await expect(desk.judge({ email: 'eve@example.org' })).rejects.toMatchObject({ code: 'store-failed' });
  });
});
