/**
 * Whether the time of a refused login tells what was wrong with it: an unknown user, a wrong password, or a wrong code
 * after a right password.
 *
 * The logins come in pairs, one of each kind, in an order that is drawn by lot, so that whatever slows the machine
 * down meets both alike. What is asked of each comparison:
 *
 * - A permutation test of the signed ranks of the differences within pairs (Wilcoxon's statistic: ranks, so that a
 *   pause of the machine counts as one pair and not as all the others together). If the kinds took the same time, each
 *   difference could as well have had the other sign; so the signs are drawn anew 10,000 times, and p is the share of
 *   draws whose sum is at least as far from zero as the one that was measured. A small p says that the times differ.
 * - The size of the difference: its median, against the time of a login. With enough pairs every difference, however
 *   small, becomes significant; what an attacker can use is one that stands out from the noise of a network.
 *
 * The test fails where the times differ with p < 0.001 and by more than 2 % of a login as well. If p alone counted,
 * three comparisons at that level would fail by chance once in 300 runs; both together fail less often. That the test
 * can fail is shown by two careless logins: one without the decoy, and one that works a millisecond more (which is
 * found on a machine that does nothing else meanwhile).
 */
import { performance } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { Logins } from '../../src/accounts/login.ts';
import { LoginThrottle } from '../../src/accounts/login-throttle.ts';
import { Passwords } from '../../src/accounts/password.ts';
import { LoginDesk, PASSWORD } from './login-desk.ts';

const PAIRS = 200;
/** Pairs that are not counted. */
const WARMING = 10;
const DRAWS = 10_000;
const SIGNIFICANT = 0.001;
const NOTICEABLE = 0.02;
const EMAIL = 'ada@example.org';

type Attempt = { readonly email: string; readonly password: string; readonly totp?: string };

async function scene() {
  const desk = new LoginDesk();
  let verifications = 0;
  const passwords = new Passwords({ onVerify: () => (verifications += 1) });
  const account = await desk.addAccount(EMAIL);
  const passwordHash = await passwords.hash(PASSWORD);
  await desk.store.commitGroup.run('hash', ({ accounts }) => accounts.update(account.id, { passwordHash }));
  const drawn = await desk.enrolled(account);
  const { clock } = desk;
  const { vault, accounts } = desk.store;
  // Nothing is to be slowed down here but by the work itself.
  const free = { burst: 1e9, perSecond: 1e9 };
  const throttle = new LoginThrottle(clock, { wait: () => 0 }, { pair: free, address: free, codes: free });
  const parts = { clock, vault, accounts, throttle };
  const kinds = {
    unknown: { email: 'nobody@example.org', password: PASSWORD, totp: '123456' },
    password: { email: EMAIL, password: 'another password', totp: '123456' },
    code: { email: EMAIL, password: PASSWORD, totp: desk.code(drawn, 3000) },
  };
  return { parts, passwords, kinds, verifications: () => verifications };
}

async function timeOf(logins: Logins, attempt: Attempt): Promise<number> {
  const started = performance.now();
  const refused = await logins
    .judge({ ...attempt, address: '192.0.2.1' })
    .catch(({ code }: { code: string }) => code);
  expect(refused).toBe('login-failed');
  return performance.now() - started;
}

interface Comparison {
  /** Milliseconds. */
  readonly median: number;
  /** Of a login. */
  readonly share: number;
  readonly p: number;
}

async function compare(logins: Logins, one: Attempt, other: Attempt): Promise<Comparison> {
  const differences: number[] = [];
  const times: number[] = [];
  for (let i = 0; i < PAIRS + WARMING; i++) {
    const swapped = Math.random() < 0.5;
    const first = await timeOf(logins, swapped ? other : one);
    const second = await timeOf(logins, swapped ? one : other);
    // The first ones warm everything up.
    if (i < WARMING) continue;
    differences.push(swapped ? second - first : first - second);
    times.push(first, second);
  }
  const median = medianOf(differences);
  return { median, share: Math.abs(median) / medianOf(times), p: permuted(differences) };
}

function permuted(differences: readonly number[]): number {
  const ranks = signedRanks(differences);
  const size = Math.abs(sum(ranks));
  let asFar = 0;
  for (let draw = 0; draw < DRAWS; draw++) {
    if (Math.abs(sum(ranks.map((rank) => (Math.random() < 0.5 ? rank : -rank)))) >= size) asFar += 1;
  }
  // One more of each: the order that was measured is one of the possible ones.
  return (asFar + 1) / (DRAWS + 1);
}

/** The place of each in the order of their sizes, with its own sign. Times in nanoseconds hardly ever tie. */
function signedRanks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => Math.abs(values[a] ?? 0) - Math.abs(values[b] ?? 0));
  const ranks: number[] = [];
  order.forEach((i, place) => {
    ranks[i] = (place + 1) * Math.sign(values[i] ?? 0);
  });
  return ranks;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, each) => total + each, 0);
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}

const differs = ({ share, p }: Comparison) => p < SIGNIFICANT && share > NOTICEABLE;

test.each([
  { one: 'unknown', other: 'password' },
  { one: 'password', other: 'code' },
  { one: 'unknown', other: 'code' },
] as const)(
  'what is wrong is $one or $other: both take as long',
  { timeout: 300_000 },
  async ({ one, other }) => {
    const { parts, passwords, kinds, verifications } = await scene();
    const logins = new Logins({ ...parts, passwords });
    const before = verifications();
    const found = await compare(logins, kinds[one], kinds[other]);
    expect(verifications() - before).toBe(2 * (PAIRS + WARMING));
    console.log(`${one} and ${other}: ${told(found)}`);
    expect(differs(found)).toBe(false);
  },
);

type Verify = (hash: string, password: string) => Promise<boolean>;

test.each([
  {
    careless: 'no verification for unknown users',
    verifyOf:
      ({ decoy }: Passwords, bound: Verify): Verify =>
      async (hash, password) =>
        hash !== decoy && bound(hash, password),
    one: 'unknown',
    other: 'password',
  },
  {
    careless: 'a millisecond more after a right password',
    verifyOf:
      (_: Passwords, bound: Verify): Verify =>
      async (hash, password) => {
        const isRight = await bound(hash, password);
        const until = performance.now() + (isRight ? 1 : 0);
        while (performance.now() < until);
        return isRight;
      },
    one: 'password',
    other: 'code',
  },
] as const)(
  '$careless would be found out',
  { timeout: 300_000 },
  async ({ careless, verifyOf, one, other }) => {
    const { parts, passwords, kinds } = await scene();
    const verify = verifyOf(passwords, (hash, password) => passwords.verify(hash, password));
    const { decoy } = passwords;
    const hashes = {
      decoy,
      verify,
      isOutdated: () => false,
      hash: (password: string) => passwords.hash(password),
    };
    const found = await compare(new Logins({ ...parts, passwords: hashes }), kinds[one], kinds[other]);
    console.log(`${careless}: ${told(found)}`);
    expect(differs(found)).toBe(true);
  },
);

function told({ median, share, p }: Comparison): string {
  return `median difference ${median.toFixed(3)} ms (${(share * 100).toFixed(2)} % of a login), p = ${p.toFixed(4)}`;
}
