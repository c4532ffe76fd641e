/**
 * `countersign account disable|enable|remove`: an account that is refused for a while, or ends for good.
 * @module
 */
import type { Command } from 'commander';
import type { Account } from '../../accounts/account.ts';
import { eraseAccount } from '../../accounts/erasure.ts';
import { endAll } from '../../accounts/generation.ts';
import { Tickets } from '../../accounts/ticket.ts';
import { epochSeconds, systemClock } from '../../clock.ts';
import { CountersignError } from '../../errors.ts';
import type { SqliteStore } from '../../storage/sqlite/store.ts';
import { type CommonOptions, command, print, printJson, withStore } from '../command.ts';
import { Dialogue, type Terminal } from '../dialogue.ts';
import { ACCOUNT, findAccount } from './find.ts';

interface RemoveOptions extends CommonOptions {
  readonly yes?: true;
}

export function disable(): Command {
  return command('disable', 'refuse an account, its tokens and its keys from now on')
    .argument(...ACCOUNT)
    .action(refuse);
}

export function enable(): Command {
  return command('enable', 'accept a disabled account again')
    .argument(...ACCOUNT)
    .action(accept);
}

export function remove(): Command {
  return command('remove', 'erase an account, with everything that is kept about the person')
    .argument(...ACCOUNT)
    .option('--yes', 'ask nothing')
    .action(eraseForGood);
}

/** Shows whom it is about. @throws account-invalid where the answer is not yes. */
export async function confirmErasure(
  { id, firstName, lastName, email }: Account,
  terminal?: Terminal,
): Promise<void> {
  const dialogue = Dialogue.on('give --yes', 'account-invalid', terminal);
  try {
    const answer = await dialogue.ask(
      `Erase account ${id} (${firstName} ${lastName}, ${email}) with everything kept about it? This can't be undone. Type yes: `,
    );
    if (answer.trim() !== 'yes') throw new CountersignError('account-invalid', 'Nothing was erased.');
  } finally {
    dialogue.close();
  }
}

async function refuse(wanted: string, options: CommonOptions): Promise<void> {
  const id = await withStore(options, async (store) => {
    return store.commitGroup.run('disable an account', async ({ accounts, consumers, audit }) => {
      const { id, consumer, disabledAt = epochSeconds(systemClock) } = await findAccount(accounts, wanted);
      await accounts.update(id, { disabledAt });
      await endAll(accounts, id);
      if (consumer !== undefined) await consumers.disable(consumer, disabledAt);
      await audit.append({ actor: 'cli', action: 'account.disable', subject: id });
      return id;
    });
  });
  if (options.json) printJson({ account: id, status: 'disabled' });
  else print(`Account ${id} is disabled; its logins, tokens and keys are refused from now on.`);
}

/** As an operator's PATCH does it: what was ended stays so. */
async function accept(wanted: string, options: CommonOptions): Promise<void> {
  const id = await withStore(options, async (store) => {
    return store.commitGroup.run('enable an account', async ({ accounts, consumers, audit }) => {
      const { id, consumer } = await findAccount(accounts, wanted);
      await accounts.update(id, { disabledAt: null });
      if (consumer !== undefined) await consumers.update(consumer, { disabledAt: null });
      await audit.append({ actor: 'cli', action: 'account.enable', subject: id });
      return id;
    });
  });
  if (options.json) printJson({ account: id, status: 'active' });
  else
    print(`Account ${id} is accepted again: it has to log in, and its keys that are still good sign again.`);
}

async function eraseForGood(wanted: string, options: RemoveOptions, self: Command): Promise<void> {
  if (!options.yes && !process.stdin.isTTY)
    self.error('error: this erases for good: confirm it on a terminal, or with --yes');
  const account = await withStore(options, ({ accounts }) => findAccount(accounts, wanted));
  if (!options.yes) await confirmErasure(account);
  // By its id: the address may be somebody else's by the time of the answer.
  const { id, emptied } = await withStore(options, (store) => erase(store, account.id));
  if (options.json) printJson({ account: id, status: 'erased', journalEmptied: emptied });
  else {
    print(`Account ${id} is erased. The audit record keeps this id, which leads nowhere from now on.`);
    if (!emptied) print('Somebody still reads from the journal; the gateway empties it by and by.');
    print(
      'Mail that lies in the data folder goes with the next start of the gateway, or at once while it runs.',
    );
  }
}

async function erase(store: SqliteStore, wanted: string): Promise<{ id: string; emptied: boolean }> {
  const tickets = new Tickets({ vault: store.vault, clock: systemClock });
  const id = await store.commitGroup.run('erase an account', async (tx) => {
    const account = await findAccount(tx.accounts, wanted);
    await eraseAccount(tx, account, tickets.addressTag(account.email));
    await tx.audit.append({ actor: 'cli', action: 'account.remove', subject: account.id });
    return account.id;
  });
  return { id, emptied: await store.truncateJournal() };
}
