/**
 * The account that a command is about.
 * @module
 */
import type { Account, AccountReader } from '../../accounts/account.ts';
import { CountersignError } from '../../errors.ts';

/** The argument that `findAccount` understands. */
export const ACCOUNT = ['<account>', 'its id, or its e-mail address'] as const;

/** @throws account-unknown */
export async function findAccount(
  accounts: Pick<AccountReader, 'find' | 'findByEmail'>,
  wanted: string,
): Promise<Account> {
  const found = wanted.includes('@') ? await accounts.findByEmail(wanted) : await accounts.find(wanted);
  if (found) return found;
  throw new CountersignError(
    'account-unknown',
    `There is no account ${wanted}; see: countersign account list`,
  );
}
