/**
 * People's accounts: what they are, and the port through which they, their second factors, tokens and sessions are
 * kept.
 *
 * Nothing of it is held in memory from one call to the next: each call reads its account, so that a change is in force
 * at once in every process. Log and audit know an account by its random id alone.
 * @module
 */
import { randomBytes } from 'node:crypto';
import type { Page } from '../consumers/consumer.ts';
import type {
  Eventual,
  RefreshTokenChanges,
  RefreshTokenReader,
  SessionChanges,
  SessionReader,
  SigningKeyChanges,
  SigningKeyReader,
} from './token-store.ts';

/** Times are whole seconds since the epoch. */
export interface Account {
  /** Random, 24 hex digits; also what log and audit know it by after it was erased. */
  readonly id: string;
  /** The name of its own consumer, whose keys call for it; undefined where it never got one, or it was removed. */
  readonly consumer?: string;
  readonly firstName: string;
  readonly lastName: string;
  /** As it was given. Compared by `emailKey()`. */
  readonly email: string;
  readonly emailConfirmedAt?: number;
  /** Argon2id in the PHC string format. Never shown. */
  readonly passwordHash: string;
  readonly roles: readonly string[];
  /** Raised to end every token, session and ticket of the account. */
  readonly generation: number;
  readonly createdAt: number;
  readonly disabledAt?: number;
  /** Counts changes: the entity tag. */
  readonly version: number;
}

/** What time-based codes are made from (RFC 6238). */
export interface SecondFactor {
  readonly account: string;
  /** Sealed by the key vault. */
  readonly sealedSecret: Buffer;
  /** Undefined while the enrolment awaits its first code. It demands nothing then, unless it was handed over. */
  readonly confirmedAt?: number;
  /** The newest time step whose code was used; 0 where none was. */
  readonly lastStep: number;
}

/** Stands in for a code of the second factor, once. */
export interface RecoveryCode {
  /** SHA-256 of the code. */
  readonly hash: Buffer;
  readonly usedAt?: number;
}

/** Reads: of what is committed, or inside a unit of work of what stands there. */
export interface AccountReader {
  find(id: string): Eventual<Account | undefined>;
  /** @param email in any spelling that `emailKey()` takes for the same. */
  findByEmail(email: string): Eventual<Account | undefined>;
  /** The account whose own consumer this is. */
  findByConsumer(name: string): Eventual<Account | undefined>;
  /** In the order of ids, which say nothing of the person: a cursor may stand in a log. */
  list(page?: Page): Eventual<Account[]>;
  secondFactor(account: string): Eventual<SecondFactor | undefined>;
  /** All that were made at the last enrolment, used ones too. */
  recoveryCodes(account: string): Eventual<RecoveryCode[]>;
  readonly refreshTokens: RefreshTokenReader;
  readonly sessions: SessionReader;
  readonly signingKeys: SigningKeyReader;
}

export interface AccountChange {
  readonly firstName?: string;
  readonly lastName?: string;
  readonly roles?: readonly string[];
  readonly passwordHash?: string;
  readonly emailConfirmedAt?: number;
  /** `null` enables it again. */
  readonly disabledAt?: number | null;
  /** `null` where its consumer is removed and it stays. */
  readonly consumer?: string | null;
}

/**
 * Changes, inside a unit of work. Those that answer `boolean` decide and change in one step: of two calls at once, in
 * whatever processes, one gets `true`.
 */
export interface AccountChanges {
  /** `account-exists` where the e-mail address is taken. */
  add(account: Omit<Account, 'generation' | 'version'>): Eventual<void>;
  /** Raises the version; `account-unknown` where there is none. The generation stays: see `raiseGeneration`. */
  update(id: string, change: AccountChange): Eventual<void>;
  /** Ends every token, session and ticket at once; `account-unknown` where there is none. @returns the new one. */
  raiseGeneration(id: string): Eventual<number>;
  /**
   * Removes it with its second factor, codes, refresh tokens and sessions; `account-unknown` where there is none. Its
   * consumer is the caller's affair.
   */
  remove(id: string): Eventual<void>;

  /** Inserts or replaces. */
  putSecondFactor(factor: SecondFactor): Eventual<void>;
  /** Confirms the enrolment and uses the step up. @returns false where there is none to confirm, or the step isn't newer. */
  confirmSecondFactor(account: string, at: number, step: number): Eventual<boolean>;
  /** Uses the code of a time step up. @returns false where it isn't newer than the newest that was used. */
  useStep(account: string, step: number): Eventual<boolean>;
  /** Removes the recovery codes too. Nothing happens where there is none. */
  removeSecondFactor(account: string): Eventual<void>;
  /** Replaces all that there are. @param hashes SHA-256 of each code. */
  putRecoveryCodes(account: string, hashes: readonly Buffer[]): Eventual<void>;
  /** @returns false where there is none such, or it was used. */
  useRecoveryCode(account: string, hash: Buffer, at: number): Eventual<boolean>;

  /** Uses a ticket up. @param keptUntil when it has ended by itself. @returns false where it was used before. */
  useTicket(id: string, keptUntil: number): Eventual<boolean>;

  readonly refreshTokens: RefreshTokenChanges;
  readonly sessions: SessionChanges;
  readonly signingKeys: SigningKeyChanges;
}

export function generateAccountId(): string {
  return randomBytes(12).toString('hex');
}

/** Who a person is in log, audit and records. */
export function accountPrincipal(id: string): string {
  return `account:${id}`;
}

/** What e-mail addresses are compared by: two spellings with one key are one address. */
export function emailKey(email: string): string {
  return email.normalize('NFC').toLowerCase().normalize('NFC');
}
