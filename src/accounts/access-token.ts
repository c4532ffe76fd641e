/**
 * Access tokens: JWTs (RFC 7519, RFC 9068) under EdDSA, good for ten minutes at one audience. Whoever holds one is the
 * account, with the token's roles and no others; so it is short, kept nowhere, and ended by the account's generation.
 *
 * What a token says of how it is to be verified is never believed (RFC 8725): algorithm, type, issuer and audience are
 * ours, and a key is only ever looked up among our own.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { errors, jwtVerify, SignJWT } from 'jose';
import { type Clock, epochSeconds } from '../clock.ts';
import { CountersignError } from '../errors.ts';
import { intersectRoles, isRole } from '../security/roles.ts';
import type { Account, AccountReader } from './account.ts';
import { standingAccount } from './generation.ts';
import type { SigningKeys } from './signing-key.ts';

/** Seconds. */
export const ACCESS_LIFE = 600;
const TYPE = 'at+jwt';
const ALGORITHM = 'EdDSA';
/** Characters: well above any of ours. */
const MOST_TOKEN = 8192;

/** A token that was verified, and whose account stands. */
export interface AccessToken {
  readonly account: Account;
  /** What the account has of the token's roles. */
  readonly roles: readonly string[];
  readonly generation: number;
  /** Of the refresh tokens that it was issued with: `sid`. */
  readonly family: string;
}

export interface AccessTokensParts {
  readonly clock: Clock;
  readonly accounts: Pick<AccountReader, 'find' | 'refreshTokens'>;
  readonly signingKeys: Pick<SigningKeys, 'current' | 'find'>;
  /** Issuer and audience: the first public origin. */
  readonly origin: () => string;
  /** Seconds by which clocks may differ. */
  readonly skew: number;
}

export class AccessTokens {
  private readonly parts: AccessTokensParts;

  constructor(parts: AccessTokensParts) {
    this.parts = parts;
  }

  /** @param roles what the account has, or less. */
  async issue(account: Account, roles: readonly string[], family: string): Promise<string> {
    const { clock, signingKeys, origin } = this.parts;
    const { kid, key } = await signingKeys.current();
    const now = epochSeconds(clock);
    const name = `${account.firstName} ${account.lastName}`;
    return new SignJWT({ name, roles, gen: account.generation, sid: family })
      .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid })
      .setIssuer(origin())
      .setAudience(origin())
      .setSubject(account.id)
      .setJti(randomBytes(16).toString('base64url'))
      .setIssuedAt(now)
      .setExpirationTime(now + ACCESS_LIFE)
      .sign(key);
  }

  /** @throws token-invalid, which tells a holder of a token of ours why it counts no more, and others nothing. */
  async verify(token: string): Promise<AccessToken> {
    const { accounts } = this.parts;
    const claims = await this.claimsOf(token);
    const account = await standingAccount(accounts, claims.account, claims.generation);
    if (!account || !(await accounts.refreshTokens.hasFamily(claims.family))) {
      throw tokenInvalid('This token was ended: its account has logged out, or has changed. Log in again.');
    }
    return { ...claims, account, roles: intersectRoles(account.roles, claims.roles) };
  }

  private async claimsOf(token: string): Promise<Omit<AccessToken, 'account'> & { account: string }> {
    if (token.length > MOST_TOKEN) throw notOurs();
    const { clock, signingKeys, origin, skew } = this.parts;
    try {
      const { payload } = await jwtVerify(
        token,
        async ({ kid }) => {
          const key = typeof kid === 'string' ? await signingKeys.find(kid) : undefined;
          if (!key) throw new errors.JWKSNoMatchingKey();
          return key;
        },
        {
          algorithms: [ALGORITHM],
          typ: TYPE,
          issuer: origin(),
          audience: origin(),
          clockTolerance: skew,
          maxTokenAge: ACCESS_LIFE,
          currentDate: new Date(clock.now()),
          requiredClaims: ['iss', 'aud', 'sub', 'jti', 'iat', 'exp', 'gen', 'roles', 'sid'],
        },
      );
      const { sub: account, gen: generation, roles, sid: family } = payload;
      if (
        typeof account !== 'string' ||
        typeof generation !== 'number' ||
        typeof family !== 'string' ||
        !isRoleList(roles)
      ) {
        throw notOurs();
      }
      return { account, generation, roles, family };
    } catch (error) {
      if (error instanceof errors.JWTExpired) {
        throw tokenInvalid('This token has expired: get another with the refresh token.');
      }
      if (error instanceof errors.JOSEError) {
        throw notOurs();
      }
      throw error;
    }
  }
}

/** With what RFC 6750 section 3 asks for. */
export function tokenInvalid(detail: string): CountersignError {
  const headers = { 'WWW-Authenticate': 'Bearer realm="countersign", error="invalid_token"' };
  return new CountersignError('token-invalid', detail, { headers });
}

function notOurs(): CountersignError {
  return tokenInvalid('This is not an access token of this gateway, or not for it. Log in again.');
}

function isRoleList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((role) => typeof role === 'string' && isRole(role));
}
