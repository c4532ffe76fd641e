/**
 * Who a person is to the gateway: the same frozen SecurityContext that a key yields, made from the account as it stands
 * at this moment.
 * @module
 */
import { type Account, type AccountReader, accountPrincipal } from '../accounts/account.ts';
import { standingAccount } from '../accounts/generation.ts';
import { findSession, invalidSession } from '../accounts/session.ts';
import { CountersignError } from '../errors.ts';
import { intersectRoles } from '../security/roles.ts';
import { type SecurityContext, securityContext } from '../security/security-context.ts';
import type { Person } from './call.ts';

export type PersonReader = Pick<AccountReader, 'find' | 'sessions'>;

/** The roles are those that both the account and the token or session grant. */
export function contextOf({ id, roles }: Pick<Account, 'id' | 'roles'>, person: Person): SecurityContext {
  return securityContext({
    principal: accountPrincipal(id),
    account: id,
    roles: person.roles ? intersectRoles(roles, person.roles) : roles,
  });
}

/**
 * The same, read once more: in the unit of work of what the call changes, where it can't have changed meanwhile.
 * @param now epoch seconds.
 * @throws token-invalid where the account, or the session, doesn't stand any more.
 */
export async function currentContext(
  accounts: PersonReader,
  person: Person,
  now: number,
): Promise<SecurityContext> {
  const account = await standingAccount(accounts, person.account, person.generation);
  if (!account) {
    throw new CountersignError(
      'token-invalid',
      'The account has just changed, or has ended its tokens: log in again.',
    );
  }
  if (person.session && !(await findSession(accounts, person.session, now))) throw invalidSession();
  return contextOf(account, person);
}
