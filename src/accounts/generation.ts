/**
 * Whether an account still stands behind what was issued in its name, and the end of all that. Read from the store at each call, so that
 * "log out everywhere", another password or role, and a disabled account are in force at once in every process.
 * @module
 */
import type { Account, AccountChanges, AccountReader } from './account.ts';

/** The account; undefined where it is gone or disabled, or has ended what was issued in that generation. */
export async function standingAccount(
  accounts: Pick<AccountReader, 'find'>,
  id: string,
  generation: number,
): Promise<Account | undefined> {
  const account = await accounts.find(id);
  const stands = account?.disabledAt === undefined && account?.generation === generation;
  return stands ? account : undefined;
}

/** Ends every token, session and ticket of an account. */
export async function endAll(
  accounts: Pick<AccountChanges, 'raiseGeneration' | 'refreshTokens' | 'sessions'>,
  id: string,
): Promise<void> {
  await accounts.raiseGeneration(id);
  await accounts.refreshTokens.endAll(id);
  await accounts.sessions.endAll(id);
}
