/**
 * Who is to have a role that was asked for, and how it comes to them.
 * @module
 */
import type { AccountReader } from '../../../accounts/account.ts';
import { endAll } from '../../../accounts/generation.ts';
import { consumerRoles } from '../../../accounts/registration.ts';
import { requiresSecondFactor } from '../../../accounts/second-factor.ts';
import type { RoleGrant } from '../../../consumers/consumer.ts';
import { CountersignError } from '../../../errors.ts';
import { grants as grantsRole } from '../../../security/roles.ts';
import type { SecurityContext } from '../../../security/security-context.ts';
import type { Transaction } from '../../../storage/unit-of-work.ts';
import { known } from './consumers.ts';
import { MOST_ROLES } from './schemas.ts';

/** Whose role it is to be: a consumer, or the person to whom it belongs. */
export interface Holder {
  /** Of the consumer. */
  readonly name: string;
  readonly roles: readonly string[];
  /** The person's id. */
  readonly account: string | undefined;
}

export async function loadHolder(tx: Transaction, name: string): Promise<Holder> {
  const consumer = known(tx.consumers.find(name), name);
  const account = await tx.accounts.findByConsumer(name);
  return { name, roles: account?.roles ?? consumer.roles, account: account?.id };
}

export interface GrantChange {
  readonly grant: RoleGrant;
  readonly holder: Holder;
  /** The holder's roles from now on; undefined where they stay. */
  readonly roles: readonly string[] | undefined;
}

export async function putGrant(tx: Transaction, { grant, holder, roles }: GrantChange): Promise<void> {
  await tx.consumers.putGrant(grant);
  if (!roles) return;
  if (holder.account === undefined) {
    await tx.consumers.update(holder.name, { roles });
    return;
  }
  // Tokens with fewer roles stay good: no generation is raised for a role more. But a session, and what is refreshed,
  // has whatever the account has, and a password alone may have opened it.
  await tx.accounts.update(holder.account, { roles });
  await tx.consumers.update(holder.name, { roles: consumerRoles(roles) });
  if (requiresSecondFactor({ roles }) && !requiresSecondFactor(holder))
    await endAll(tx.accounts, holder.account);
}

/** The consumer's name, of a person too. */
export async function ownConsumer(
  accounts: Pick<AccountReader, 'find'>,
  { account, consumer }: SecurityContext,
): Promise<string | undefined> {
  return account === undefined ? consumer : (await accounts.find(account))?.consumer;
}

export function grantEvent({ grant: { id, consumer, role, status } }: GrantChange) {
  return { subject: consumer, detail: { grant: id, role, status } };
}

export function holds({ roles }: Holder, role: string): boolean {
  return roles.some((held) => grantsRole(held, role));
}

/** What the new role grants is no longer listed beside it. */
export function withRole({ name, roles }: Holder, role: string): string[] {
  const rest = roles.filter((held) => !grantsRole(role, held));
  if (rest.length >= MOST_ROLES)
    throw new CountersignError('conflict', `"${name}" has ${rest.length} roles, and there may be no more.`);
  return [...rest, role];
}
