/**
 * Everything that a login needs, over a store of its own, by a clock that the test sets. Passwords are kept as text,
 * so that a test is quick; how often one was verified is counted.
 * @module
 */
import { generateSync } from 'otplib';
import { onTestFinished } from 'vitest';
import { AccessTokens } from '../../src/accounts/access-token.ts';
import { type Account, generateAccountId } from '../../src/accounts/account.ts';
import { type LoginAttempt, type LoginProof, Logins, type PasswordHashes } from '../../src/accounts/login.ts';
import { LoginThrottle } from '../../src/accounts/login-throttle.ts';
import { RefreshTokens, type TokenPair } from '../../src/accounts/refresh-token.ts';
import {
  confirmEnrolment,
  type DrawnEnrolment,
  drawEnrolment,
  enrol,
} from '../../src/accounts/second-factor.ts';
import { SigningKeys } from '../../src/accounts/signing-key.ts';
import { FailureBuckets } from '../../src/limits/failure-bucket.ts';
import { SqliteStore } from '../../src/storage/sqlite/store.ts';
import { dataFolder } from '../storage/data-folder.ts';
import { ManualClock } from '../storage/manual-clock.ts';

export const SKEW = 30;
export const PASSWORD = 'a good long password';
export const ORIGIN = 'https://gateway.example';

export class PlainPasswords implements PasswordHashes {
  readonly decoy = 'plain:';
  verifications = 0;
  /** Hashes that begin otherwise are outdated. */
  scheme = 'plain:';

  async verify(hash: string, password: string): Promise<boolean> {
    this.verifications += 1;
    return password !== '' && hash.slice(hash.indexOf(':') + 1) === password;
  }

  isOutdated(hash: string): boolean {
    return !hash.startsWith(this.scheme);
  }

  async hash(password: string): Promise<string> {
    return this.scheme + password;
  }
}

export class LoginDesk {
  readonly clock: ManualClock;
  readonly folder: string;
  readonly store: SqliteStore;
  readonly passwords = new PlainPasswords();
  readonly throttle: LoginThrottle;
  readonly logins: Logins;
  readonly signingKeys: SigningKeys;
  readonly accessTokens: AccessTokens;
  readonly refreshTokens: RefreshTokens;
  origin = ORIGIN;

  /** @param beside another desk, as in another process on the same folder. */
  constructor(beside?: LoginDesk) {
    this.clock = beside?.clock ?? new ManualClock();
    this.folder = beside?.folder ?? dataFolder();
    const { clock } = this;
    this.store = new SqliteStore({ folder: this.folder, clock, skew: SKEW, masterKey: undefined });
    onTestFinished(() => this.store.close());
    const { vault, accounts, commitGroup } = this.store;
    this.throttle = new LoginThrottle(clock, new FailureBuckets({ burst: 200, perSecond: 20 }, clock));
    const { passwords, throttle } = this;
    this.logins = new Logins({ clock, vault, accounts, passwords, throttle });
    this.signingKeys = new SigningKeys({ clock, vault, accounts, commitGroup, skew: SKEW });
    const { signingKeys } = this;
    this.accessTokens = new AccessTokens({
      clock,
      accounts,
      signingKeys,
      origin: () => this.origin,
      skew: SKEW,
    });
    const { accessTokens } = this;
    this.refreshTokens = new RefreshTokens({ clock, vault, accounts, commitGroup, accessTokens });
  }

  async addAccount(email: string, ...roles: string[]): Promise<Account> {
    const id = generateAccountId();
    const account = {
      id,
      firstName: 'Ada',
      lastName: 'Lovelace',
      email,
      passwordHash: `plain:${PASSWORD}`,
      roles,
      createdAt: this.clock.seconds,
    };
    await this.store.commitGroup.run('add an account', ({ accounts }) => accounts.add(account));
    return this.account(id);
  }

  async account(id: string): Promise<Account> {
    return (await this.store.accounts.find(id)) as Account;
  }

  /** Puts an enrolment in place without confirming it. */
  async enrol(account: Account, handed = false): Promise<DrawnEnrolment> {
    const drawn = drawEnrolment(account.email);
    const { commitGroup, vault } = this.store;
    await commitGroup.run('enrol', (tx) => enrol(tx.accounts, vault, account.id, drawn, handed));
    return drawn;
  }

  confirm(account: Account, code: string): Promise<void> {
    const { commitGroup, vault } = this.store;
    return commitGroup.run('confirm', (tx) =>
      confirmEnrolment(tx.accounts, vault, account.id, code, this.clock.seconds),
    );
  }

  /** Enrols, confirms, and goes on to a step whose code is fresh. */
  async enrolled(account: Account): Promise<DrawnEnrolment> {
    const drawn = await this.enrol(account);
    await this.confirm(account, this.code(drawn));
    this.clock.seconds += 30;
    return drawn;
  }

  /** What the app shows, so many seconds from now. */
  code({ secret }: Pick<DrawnEnrolment, 'secret'>, seconds = 0): string {
    return generateSync({ secret, epoch: this.clock.seconds + seconds });
  }

  judge(attempt: Pick<LoginAttempt, 'email'> & Partial<LoginAttempt>): Promise<LoginProof> {
    return this.logins.judge({ password: PASSWORD, address: '192.0.2.1', ...attempt });
  }

  /** Judges and redeems, as a login does. */
  async logIn(
    attempt: Pick<LoginAttempt, 'email'> & Partial<LoginAttempt>,
    roles?: readonly string[],
  ): Promise<TokenPair> {
    const proof = await this.judge(attempt);
    const drawn = await this.refreshTokens.draw(proof.account, roles);
    await this.store.commitGroup.run('log in', async ({ accounts }) => {
      await this.logins.redeem(accounts, proof);
      await accounts.refreshTokens.add(drawn.kept);
    });
    return drawn.pair;
  }
}
