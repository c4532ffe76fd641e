/**
 * Rows of accounts, tokens and sessions, and what they stand for.
 * @module
 */
import type { Account, RecoveryCode, SecondFactor } from '../../accounts/account.ts';
import type { RefreshToken, Session, SigningKey } from '../../accounts/token-store.ts';

export interface AccountRow {
  readonly id: string;
  readonly consumer: string | null;
  readonly sealed_person: Buffer;
  readonly email_confirmed_at: number | null;
  readonly roles: string;
  readonly generation: number;
  readonly created_at: number;
  readonly disabled_at: number | null;
  readonly version: number;
}

export interface SecondFactorRow {
  readonly account: string;
  readonly sealed_secret: Buffer;
  readonly confirmed_at: number | null;
  readonly last_step: number;
}

export interface RecoveryCodeRow {
  readonly hash: Buffer;
  readonly used_at: number | null;
}

export interface RefreshTokenRow {
  readonly hash: Buffer;
  readonly family: string;
  readonly account: string;
  readonly generation: number;
  readonly roles: string | null;
  readonly expires_at: number;
  readonly used_at: number | null;
  readonly asked_by: Buffer | null;
  readonly sealed_answer: Buffer | null;
}

export interface SessionRow {
  readonly hash: Buffer;
  readonly account: string;
  readonly generation: number;
  readonly created_at: number;
  readonly expires_at: number;
}

export interface SigningKeyRow {
  readonly kid: string;
  readonly sealed_key: Buffer;
  readonly public_key: string;
  readonly created_at: number;
  readonly signs_until: number;
  readonly verifies_until: number;
}

/** What is sealed of an account, as JSON. */
export type Person = Pick<Account, 'firstName' | 'lastName' | 'email' | 'passwordHash'>;

export function readAccount(row: AccountRow, { firstName, lastName, email, passwordHash }: Person): Account {
  const { id, consumer, generation, version, email_confirmed_at: confirmed, disabled_at: at } = row;
  return {
    id,
    ...(consumer !== null && { consumer }),
    firstName,
    lastName,
    email,
    ...(confirmed !== null && { emailConfirmedAt: confirmed }),
    passwordHash,
    roles: JSON.parse(row.roles) as string[],
    generation,
    createdAt: row.created_at,
    ...(at !== null && { disabledAt: at }),
    version,
  };
}

export function readSecondFactor(row: SecondFactorRow): SecondFactor {
  const { account, sealed_secret: sealedSecret, confirmed_at: at, last_step: lastStep } = row;
  return { account, sealedSecret, ...(at !== null && { confirmedAt: at }), lastStep };
}

export function readRecoveryCode({ hash, used_at: usedAt }: RecoveryCodeRow): RecoveryCode {
  return { hash, ...(usedAt !== null && { usedAt }) };
}

export function readRefreshToken(row: RefreshTokenRow): RefreshToken {
  const { hash, family, account, generation, roles, used_at: usedAt, asked_by: askedBy } = row;
  return {
    hash,
    family,
    account,
    generation,
    ...(roles !== null && { roles: JSON.parse(roles) as string[] }),
    expiresAt: row.expires_at,
    ...(usedAt !== null && { usedAt }),
    ...(askedBy !== null && { askedBy }),
    ...(row.sealed_answer !== null && { sealedAnswer: row.sealed_answer }),
  };
}

export function readSession({ created_at: createdAt, expires_at: expiresAt, ...row }: SessionRow): Session {
  return { ...row, createdAt, expiresAt };
}

export function readSigningKey(row: SigningKeyRow): SigningKey {
  return {
    kid: row.kid,
    sealedKey: row.sealed_key,
    publicKey: JSON.parse(row.public_key) as Record<string, unknown>,
    createdAt: row.created_at,
    signsUntil: row.signs_until,
    verifiesUntil: row.verifies_until,
  };
}
