/**
 * What the routes for people are given, and how it is joined.
 * @module
 */
import { AccessTokens } from '../../../accounts/access-token.ts';
import type { AccountReader } from '../../../accounts/account.ts';
import { Logins, type PasswordHashes } from '../../../accounts/login.ts';
import { LoginThrottle } from '../../../accounts/login-throttle.ts';
import { RefreshTokens } from '../../../accounts/refresh-token.ts';
import { SigningKeys } from '../../../accounts/signing-key.ts';
import type { FailureBuckets } from '../../../limits/failure-bucket.ts';
import type { EndpointParts } from '../endpoint-route.ts';

export interface PeopleParts extends EndpointParts {
  /** What is committed. */
  readonly accounts: AccountReader;
  readonly logins: Logins;
  readonly accessTokens: AccessTokens;
  readonly refreshTokens: RefreshTokens;
  readonly signingKeys: SigningKeys;
}

export interface PeopleSources extends EndpointParts {
  readonly accounts: AccountReader;
  readonly passwords: PasswordHashes;
  readonly failures: Pick<FailureBuckets, 'wait'>;
  /** The first public origin: known once the gateway listens. */
  readonly origin: () => string;
}

export function peopleParts({ passwords, failures, origin, ...shared }: PeopleSources): PeopleParts {
  const { clock, vault, commitGroup, accounts, skew } = shared;
  const throttle = new LoginThrottle(clock, failures);
  const logins = new Logins({ clock, vault, accounts, passwords, throttle });
  const signingKeys = new SigningKeys({ clock, vault, accounts, commitGroup, skew });
  const accessTokens = new AccessTokens({ clock, accounts, signingKeys, origin, skew });
  const refreshTokens = new RefreshTokens({ clock, vault, accounts, commitGroup, accessTokens });
  return { ...shared, logins, accessTokens, refreshTokens, signingKeys };
}
