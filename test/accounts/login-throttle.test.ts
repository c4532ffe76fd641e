/** How guessing is slowed down, and that nobody is locked out by a stranger. */
import { describe, expect, test } from 'vitest';
import { LOGIN_LIMITS, LoginThrottle } from '../../src/accounts/login-throttle.ts';
import { FailureBuckets } from '../../src/limits/failure-bucket.ts';
import { ManualClock } from '../storage/manual-clock.ts';
import { LoginDesk, PASSWORD } from './login-desk.ts';

const EMAIL = 'ada@example.org';
const LIMITED = { code: 'rate-limited' };

function scene() {
  const clock = new ManualClock();
  const failures = new FailureBuckets({ burst: 200, perSecond: 20 }, clock);
  const throttle = new LoginThrottle(clock, failures);
  const fail = (email: string, address: string, times: number) => {
    for (let i = 0; i < times; i++) throttle.begin(email, address);
  };
  return { clock, failures, throttle, fail };
}

describe('failed logins', () => {
  test('are paid for by address and account together, and forgiven with time', () => {
    const { clock, throttle, fail } = scene();
    fail(EMAIL, '192.0.2.1', LOGIN_LIMITS.pair.burst);
    expect(() => throttle.begin(EMAIL, '192.0.2.1')).toThrow(expect.objectContaining(LIMITED));
    expect(() => throttle.begin('ADA@example.org', '192.0.2.1')).toThrow(expect.objectContaining(LIMITED));
    // Somebody else at the same address isn't meant.
    throttle.begin('bob@example.org', '192.0.2.1');
    clock.seconds += 30;
    throttle.begin(EMAIL, '192.0.2.1');
    expect(() => throttle.begin(EMAIL, '192.0.2.1')).toThrow();
  });

  test('of a thousand strangers lock nobody out', () => {
    const { throttle, fail } = scene();
    for (let i = 0; i < 1000; i++) fail(EMAIL, `198.51.${i >> 8}.${i & 255}`, LOGIN_LIMITS.pair.burst);
    throttle.begin(EMAIL, '192.0.2.1').giveBack();
  });

  test('over many accounts are paid for by the address, IPv6 by /64', () => {
    const { throttle, fail } = scene();
    for (let i = 0; i < LOGIN_LIMITS.address.burst; i++) fail(`user${i}@example.org`, `2001:db8::${i}`, 1);
    expect(() => throttle.begin('another@example.org', '2001:db8::ffff')).toThrow(
      expect.objectContaining({ ...LIMITED, headers: { 'Retry-After': '6' } }),
    );
    throttle.begin('another@example.org', '2001:db8:0:1::1').giveBack();
  });

  test("are charged while they are under way, so that many at once don't slip through", () => {
    const { throttle } = scene();
    const tries = Array.from({ length: LOGIN_LIMITS.pair.burst }, () => throttle.begin(EMAIL, '192.0.2.1'));
    expect(() => throttle.begin(EMAIL, '192.0.2.1')).toThrow(expect.objectContaining(LIMITED));
    for (const each of tries) each.giveBack();
    throttle.begin(EMAIL, '192.0.2.1').giveBack();
  });

  test('wait where the address has emptied the bucket of all failures', () => {
    const { clock, failures, throttle } = scene();
    for (let i = 0; i < 200; i++) failures.charge('192.0.2.1');
    expect(() => throttle.begin(EMAIL, '192.0.2.1')).toThrow(expect.objectContaining(LIMITED));
    clock.seconds += 1;
    throttle.begin(EMAIL, '192.0.2.1').giveBack();
  });

  test('are held in bounded memory', () => {
    const { throttle } = scene();
    for (let i = 0; i < 60_000; i++) throttle.begin(EMAIL, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    const { pairs } = throttle as unknown as { pairs: { spent: Map<string, unknown> } };
    expect(pairs.spent.size).toBe(50_000);
  });
});

describe('wrong codes after a right password', () => {
  test('are limited by the account, from however many addresses; a recovery code still opens it', async () => {
    const desk = new LoginDesk();
    const drawn = await desk.enrolled(await desk.addAccount(EMAIL));
    for (let i = 0; i < LOGIN_LIMITS.codes.burst; i++) {
      const totp = desk.code(drawn, 3000 + 30 * i);
      await expect(desk.judge({ email: EMAIL, totp, address: `198.51.100.${i}` })).rejects.toThrow();
    }
    await expect(desk.logIn({ email: EMAIL, totp: desk.code(drawn) })).rejects.toMatchObject({
      code: 'login-failed',
    });
    await desk.logIn({ email: EMAIL, totp: drawn.recoveryCodes[0] });
    desk.clock.seconds += 300;
    await desk.logIn({ email: EMAIL, totp: desk.code(drawn) });
  });

  test("can't be brought about by somebody who doesn't know the password", async () => {
    const desk = new LoginDesk();
    const drawn = await desk.enrolled(await desk.addAccount(EMAIL));
    for (let i = 0; i < 100; i++) {
      const attempt = {
        email: EMAIL,
        password: `${PASSWORD}${i}`,
        totp: '123456',
        address: `198.51.100.${i}`,
      };
      await expect(desk.judge(attempt)).rejects.toMatchObject({ code: 'login-failed' });
    }
    await desk.logIn({ email: EMAIL, totp: desk.code(drawn) });
  });
});
