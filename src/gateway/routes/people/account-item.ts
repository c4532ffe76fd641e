/**
 * Accounts as they are told: to their owners, and to operators.
 * @module
 */
import type { Account, SecondFactor } from '../../../accounts/account.ts';
import { CountersignError } from '../../../errors.ts';
import type { SecurityContext } from '../../../security/security-context.ts';
import { isoTime, isoTimeOrNull } from '../management/schemas.ts';

export function personOf(account: Account) {
  const { id, firstName, lastName, email, emailConfirmedAt, roles, consumer, createdAt, disabledAt } =
    account;
  return {
    id,
    firstName,
    lastName,
    email,
    emailConfirmedAt: isoTimeOrNull(emailConfirmedAt),
    roles,
    consumer: consumer ?? null,
    createdAt: isoTime(createdAt),
    disabledAt: isoTimeOrNull(disabledAt),
  };
}

export function factorState(factor: SecondFactor | undefined): 'none' | 'enrolled' | 'confirmed' {
  if (!factor) return 'none';
  return factor.confirmedAt === undefined ? 'enrolled' : 'confirmed';
}

/** The version, and whose: for If-Match. */
export function accountTag({ id, version }: Account): string {
  return `"${version}-${id.slice(0, 8)}"`;
}

/** @throws not-found where there is none. */
export function knownAccount(account: Account | undefined, id: string | undefined): Account {
  if (!account)
    throw new CountersignError(
      'not-found',
      `There is no account "${id}"; it goes by its id: see GET /v1/accounts.`,
    );
  return account;
}

/** The caller's own. @throws key-forbidden where a service calls, which has none. */
export function ownIdOf(context: SecurityContext): string {
  if (context.account !== undefined) return context.account;
  throw new CountersignError('key-forbidden', 'This call is for people; log in for a token.');
}

/** The caller's own, as it stands. @throws token-invalid where it was erased meanwhile. */
export function ownAccountOf(account: Account | undefined): Account {
  if (account) return account;
  throw new CountersignError('token-invalid', 'The account is gone; everything kept about it was erased.');
}
