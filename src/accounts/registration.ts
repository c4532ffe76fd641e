/**
 * A new account, and the consumer of its own that calls for it: made in one unit of work, or not at all.
 * @module
 */
import { randomInt } from 'node:crypto';
import type { ConsumerChanges } from '../consumers/consumer.ts';
import type { KeyVault } from '../consumers/key-vault.ts';
import { issueKey, type NewKey } from '../consumers/registration.ts';
import { type Account, type AccountChanges, generateAccountId } from './account.ts';
import { requiresSecondFactor } from './second-factor.ts';

/** Whose account it will be; checked, and the password hashed. */
export type NewPerson = Pick<Account, 'firstName' | 'lastName' | 'email' | 'passwordHash' | 'roles'> & {
  /** Epoch seconds; undefined while nobody knows whether mail reaches them. */
  readonly emailConfirmedAt?: number | undefined;
};

export type DrawnAccount = Omit<Account, 'generation' | 'version'> & { readonly consumer: string };

/** Draws the ids of an account and of its consumer. */
export function drawAccount({ emailConfirmedAt, roles, ...person }: NewPerson, now: number): DrawnAccount {
  return {
    ...person,
    id: generateAccountId(),
    consumer: generateConsumerName(),
    roles: [...new Set(roles)],
    createdAt: now,
    ...(emailConfirmedAt !== undefined && { emailConfirmedAt }),
  };
}

/** Draws a key of its consumer, good for 90 days. */
export function drawKey(vault: KeyVault, { consumer }: DrawnAccount, now: number): NewKey {
  return issueKey(vault, consumer, {}, now);
}

/**
 * Puts it with its consumer.
 * @throws account-exists
 */
export async function putAccount(
  { accounts, consumers }: { readonly accounts: AccountChanges; readonly consumers: ConsumerChanges },
  account: DrawnAccount,
  key?: NewKey,
): Promise<void> {
  const { consumer: name, roles, createdAt } = account;
  await accounts.add(account);
  await consumers.add({ name, roles: consumerRoles(roles), createdAt });
  if (key) await consumers.addKey(key.key);
}

/**
 * The roles of an account's consumer, at every change: the account's, without those that ask for a second factor. A
 * key is one factor, and one that was handed out at a registration must not become an operator's.
 */
export function consumerRoles(roles: readonly string[]): readonly string[] {
  return roles.filter((role) => !requiresSecondFactor({ roles: [role] }));
}

/** Says nothing of the person: it stands in keyids, and so in logs. */
function generateConsumerName(): string {
  const letters = Array.from({ length: 12 }, () => randomInt(36).toString(36));
  return `person-${letters.join('')}`;
}
