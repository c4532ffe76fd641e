/**
 * The one place that decides whether somebody is who he says: by e-mail address and password, and by a code where the
 * account has a second factor, or a role that asks for one.
 *
 * An unknown address, a wrong password, a wrong or missing code and a disabled account get the same answer, after the
 * same work: one argon2 verification (of a decoy where there is no account) and one look at a factor (a decoy again).
 * Only then are the verdicts put together; nothing is written for a login that fails. What is decided here is used up
 * by `redeem` in the unit of work of what it opens, so that of two logins with one code one alone succeeds.
 * @module
 */
import type { Clock } from '../clock.ts';
import { epochSeconds } from '../clock.ts';
import type { KeyVault } from '../consumers/key-vault.ts';
import { CountersignError } from '../errors.ts';
import type { Account, AccountChanges, AccountReader, SecondFactor } from './account.ts';
import type { LoginThrottle, LoginTry } from './login-throttle.ts';
import {
  drawSecret,
  type OpenFactor,
  openFactor,
  recoveryHash,
  requiresSecondFactor,
  sealFactor,
  stepOfCode,
} from './second-factor.ts';

/** What a person presents. */
export interface LoginAttempt {
  readonly email: string;
  readonly password: string;
  /** A code of the second factor, or a recovery code. */
  readonly totp?: string | undefined;
  /** Where the call comes from. */
  readonly address: string;
}

/** How passwords are kept. */
export interface PasswordHashes {
  /** A hash of no password, that takes as long to verify as any. */
  readonly decoy: string;
  verify(hash: string, password: string): Promise<boolean>;
  /** Whether the hash was made with other parameters than are used now. */
  isOutdated(hash: string): boolean;
  hash(password: string): Promise<string>;
}

/** A login that was right, and is still to be redeemed. */
export interface LoginProof {
  readonly account: Account;
  /** The factor that was looked at. */
  readonly factor: SecondFactor | undefined;
  readonly code: UsedCode | undefined;
  /** Takes the place of a hash with outdated parameters. */
  readonly passwordHash: string | undefined;
}

type UsedCode =
  | { readonly kind: 'step'; readonly step: number }
  | { readonly kind: 'recovery'; readonly hash: Buffer };

export interface LoginsParts {
  readonly clock: Clock;
  readonly vault: Pick<KeyVault, 'open' | 'seal'>;
  readonly accounts: Pick<AccountReader, 'findByEmail' | 'secondFactor' | 'recoveryCodes'>;
  readonly passwords: PasswordHashes;
  readonly throttle: LoginThrottle;
}

/** Characters; the policy for new passwords allows 256. What is longer is not hashed, and wrong. */
const MOST_PASSWORD = 1024;
const MOST_EMAIL = 1024;
const MOST_CODE = 64;
/** No account has this id. */
const DECOY = 'decoy';

export class Logins {
  private readonly parts: LoginsParts;
  private readonly decoy: SecondFactor;

  constructor(parts: LoginsParts) {
    this.parts = parts;
    this.decoy = {
      account: DECOY,
      sealedSecret: sealFactor(parts.vault, DECOY, { secret: drawSecret() }),
      confirmedAt: 0,
      lastStep: 0,
    };
  }

  /**
   * Decides, and changes nothing.
   * @throws login-failed, whatever is wrong; rate-limited before anything is looked at, and overloaded.
   */
  async judge(attempt: LoginAttempt): Promise<LoginProof> {
    const bounded = withinBounds(attempt);
    const tried = this.parts.throttle.begin(bounded.email, bounded.address);
    const proof = await decided(tried, () => this.decide(bounded));
    if (!proof) throw loginFailed();
    return proof;
  }

  /**
   * Judges the password alone, of somebody who is let in already: where it is asked for once more. Whoever has taken a
   * session over guesses no faster than at the login.
   * @throws login-failed; rate-limited before anything is looked at, and overloaded.
   */
  async judgeAgain(account: Account, password: string, address: string): Promise<void> {
    const { passwords, throttle } = this.parts;
    const bounded = withinBounds({ email: account.email, password, address });
    const tried = throttle.begin(bounded.email, address);
    if (!(await decided(tried, () => passwords.verify(account.passwordHash, bounded.password))))
      throw wrongPassword();
  }

  /**
   * Uses the code up, inside the unit of work of what the login opens.
   * @returns the account as it stands.
   * @throws login-failed where the account, its factor or the code is not what was judged any more.
   */
  async redeem(tx: AccountReader & AccountChanges, proof: LoginProof): Promise<Account> {
    const { id, generation, passwordHash } = proof.account;
    const account = await tx.find(id);
    const factor = await tx.secondFactor(id);
    const stands =
      account?.generation === generation &&
      account.passwordHash === passwordHash &&
      account.disabledAt === undefined &&
      isSame(factor, proof.factor);
    if (!stands || !(await this.useCode(tx, proof))) throw loginFailed();
    if (proof.passwordHash !== undefined) await tx.update(id, { passwordHash: proof.passwordHash });
    return account;
  }

  private async decide({ email, password, totp }: LoginAttempt): Promise<LoginProof | undefined> {
    const { accounts, passwords, throttle, vault } = this.parts;
    const account = await accounts.findByEmail(email);
    const isRight = await passwords.verify(account?.passwordHash ?? passwords.decoy, password);

    const id = account?.id ?? DECOY;
    const factor = await accounts.secondFactor(id);
    const opened = openFactor(vault, factor ?? this.decoy);
    const code = await this.matchCode(id, opened, totp);
    const isDemanded =
      (factor !== undefined && (opened.confirmed || opened.handed)) ||
      (account !== undefined && requiresSecondFactor(account));
    const hasCode = totp === undefined ? !isDemanded : factor !== undefined && code !== undefined;

    if (!account || !isRight) return undefined;
    if (!hasCode) {
      if (totp !== undefined) throttle.wrongCode(account.id);
      return undefined;
    }
    if (account.disabledAt !== undefined) return undefined;
    const isOutdated = passwords.isOutdated(account.passwordHash);
    const passwordHash = isOutdated ? await passwords.hash(password) : undefined;
    return { account, factor, code, passwordHash };
  }

  /** Undefined where the code is none, is wrong, or was used. */
  private async matchCode(
    account: string,
    { secret, confirmed, handed, lastStep }: OpenFactor,
    code: string | undefined,
  ): Promise<UsedCode | undefined> {
    const { accounts, clock, throttle } = this.parts;
    const kept = await accounts.recoveryCodes(account);
    if (code === undefined) return undefined;
    const step = stepOfCode(secret, code, epochSeconds(clock));
    const hash = recoveryHash(account, code);
    const isRecovery = kept.some((each) => each.usedAt === undefined && each.hash.equals(hash));
    if (isRecovery && confirmed) return { kind: 'recovery', hash };
    const isGood = step !== undefined && step > lastStep && (confirmed || handed);
    return isGood && throttle.judgesCodes(account) ? { kind: 'step', step } : undefined;
  }

  private async useCode(tx: AccountChanges, { account, factor, code }: LoginProof): Promise<boolean> {
    const now = epochSeconds(this.parts.clock);
    if (!code) return true;
    if (code.kind === 'recovery') return tx.useRecoveryCode(account.id, code.hash, now);
    if (factor?.confirmedAt === undefined) return tx.confirmSecondFactor(account.id, now, code.step);
    return tx.useStep(account.id, code.step);
  }
}

/** One answer for all that may be wrong. */
export function loginFailed(): CountersignError {
  return new CountersignError(
    'login-failed',
    'The e-mail address, the password or the code (all three are strings) is wrong, or the account is closed. A code ' +
      'is needed where a second factor was enrolled, and always for operator and the roles below it: another operator ' +
      'hands the first enrolment over (POST /v1/accounts/{id}/second-factor), or whoever runs the gateway (countersign ' +
      'account totp).',
    { headers: { 'WWW-Authenticate': 'Basic realm="countersign", charset="UTF-8"' } },
  );
}

/** A browser's page holds a session: it is not asked for Basic, which would open a dialogue of the browser's own. */
export function wrongPassword(): CountersignError {
  const headers = { 'WWW-Authenticate': 'Bearer realm="countersign"' };
  const detail = 'The password is wrong, or the code where one is asked for; nothing was changed.';
  return new CountersignError('login-failed', detail, { headers });
}

/** A try that was right costs nothing, and nor does one that wasn't judged. */
async function decided<T>(tried: LoginTry, decide: () => Promise<T>): Promise<T> {
  try {
    const verdict = await decide();
    if (verdict) tried.giveBack();
    return verdict;
  } catch (error) {
    tried.giveBack();
    throw error;
  }
}

/** What is longer than anything that could be right is hashed as nothing, so that no hash takes longer than another. */
function withinBounds({ email, password, totp, address }: LoginAttempt): LoginAttempt {
  return {
    email: email.length > MOST_EMAIL ? '' : email,
    password: password.length > MOST_PASSWORD ? '' : password,
    totp: totp !== undefined && totp.length > MOST_CODE ? '' : totp,
    address,
  };
}

function isSame(one: SecondFactor | undefined, other: SecondFactor | undefined): boolean {
  if (!one || !other) return one === other;
  return one.sealedSecret.equals(other.sealedSecret) && one.confirmedAt === other.confirmedAt;
}
