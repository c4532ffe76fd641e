/**
 * Slows guessing down, without letting a stranger lock anybody out. The rule:
 *
 * - A failed login is paid for by its address, and by its address together with the e-mail address that it named,
 *   whether there is such an account or not. So whoever guesses is stopped where he sits; the account's owner, who
 *   sits elsewhere, never notices. Nothing counts failures by the account alone: that count would be a switch with
 *   which a stranger turns somebody off. IPv6 addresses count by /64.
 * - A wrong code after a right password is paid for by the account as well. A stranger can't bring that about, and
 *   whoever has the password guesses one of a million codes, from as many addresses as he can get: ten guesses, and
 *   288 a day. While they are spent no code is good, but a recovery code is, which can't be guessed: the owner gets
 *   in by one, and changes the password.
 * - An address whose failures have emptied the bucket of all failed calls (limits/failure-bucket.ts) waits too.
 *
 * A try is charged when it begins and given back when it succeeds, so that tries side by side don't slip through. It
 * is refused before any hash is computed, and without a look at the accounts, so that the refusal tells nothing. Who
 * shares an address with somebody who guesses at one's own account waits with him, for half a minute a try.
 *
 * In memory and for each process: a restart forgives, and N processes allow N times as much.
 * @module
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { CountersignError } from '../errors.ts';
import { type BucketSize, bucketKey, type FailureBuckets } from '../limits/failure-bucket.ts';
import { emailKey } from './account.ts';

export interface LoginLimits {
  /** Failures of one address at one e-mail address. */
  readonly pair: BucketSize;
  /** Failures of one address. */
  readonly address: BucketSize;
  /** Wrong codes after a right password, by account. */
  readonly codes: BucketSize;
}

export const LOGIN_LIMITS: LoginLimits = {
  pair: { burst: 20, perSecond: 1 / 30 },
  address: { burst: 100, perSecond: 1 / 6 },
  codes: { burst: 10, perSecond: 1 / 300 },
};

/** More than these are not told apart at one time; the longest quiet are forgotten first. */
const MOST_KEYS = 50_000;

/** A try that was let through, and charged. */
export interface LoginTry {
  /** Where it succeeded, or came to no end: once. */
  giveBack(): void;
}

export class LoginThrottle {
  private readonly pairs: Buckets;
  private readonly addresses: Buckets;
  private readonly codes: Buckets;
  private readonly failures: Pick<FailureBuckets, 'wait'>;

  /** @param failures of all calls, which the pipeline charges. */
  constructor(clock: Clock, failures: Pick<FailureBuckets, 'wait'>, limits: LoginLimits = LOGIN_LIMITS) {
    this.pairs = new Buckets(limits.pair, clock);
    this.addresses = new Buckets(limits.address, clock);
    this.codes = new Buckets(limits.codes, clock);
    this.failures = failures;
  }

  /** @throws rate-limited */
  begin(email: string, address: string): LoginTry {
    const where = bucketKey(address);
    const pair = `${createHash('sha256').update(emailKey(email)).digest('base64')} ${where}`;
    const wait = Math.max(this.failures.wait(address), this.addresses.wait(where), this.pairs.wait(pair));
    if (wait > 0) throw tooMany(wait);
    this.addresses.take(where);
    this.pairs.take(pair);
    return {
      giveBack: () => {
        this.addresses.giveBack(where);
        this.pairs.giveBack(pair);
      },
    };
  }

  /** Whether codes of the account are judged at this moment. */
  judgesCodes(account: string): boolean {
    return this.codes.wait(account) === 0;
  }

  /** A right password came with a wrong code. */
  wrongCode(account: string): void {
    this.codes.take(account);
  }
}

function tooMany(wait: number): CountersignError {
  return new CountersignError(
    'rate-limited',
    'Too many logins from this address have failed. Try again after Retry-After.',
    { headers: { 'Retry-After': String(Math.ceil(wait)) } },
  );
}

/** As FailureBuckets, but by any key, and what was taken can be given back. */
class Buckets {
  private readonly spent = new Map<string, { spent: number; at: number }>();
  private readonly size: BucketSize;
  private readonly clock: Clock;

  constructor(size: BucketSize, clock: Clock) {
    this.size = size;
    this.clock = clock;
  }

  /** Seconds until there is one to take; 0 where there is one now. */
  wait(key: string): number {
    const missing = this.spentBy(key) + 1 - this.size.burst;
    return missing <= 0 ? 0 : missing / this.size.perSecond;
  }

  take(key: string): void {
    this.put(key, Math.min(this.spentBy(key) + 1, this.size.burst));
  }

  giveBack(key: string): void {
    this.put(key, Math.max(this.spentBy(key) - 1, 0));
  }

  private spentBy(key: string): number {
    const bucket = this.spent.get(key);
    if (!bucket) return 0;
    // A clock that steps back forgives nothing, and takes nothing either.
    const elapsed = Math.max(0, this.clock.now() - bucket.at) / 1000;
    return Math.max(0, bucket.spent - elapsed * this.size.perSecond);
  }

  /** Deleted and set again, so that the map's order is the order of last use. */
  private put(key: string, spent: number): void {
    this.spent.delete(key);
    if (spent > 0) this.spent.set(key, { spent, at: this.clock.now() });
    if (this.spent.size > MOST_KEYS) {
      const [oldest] = this.spent.keys();
      this.spent.delete(oldest as string);
    }
  }
}
