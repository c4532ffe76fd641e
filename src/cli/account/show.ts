/**
 * `countersign account list|show`: what is kept about people, without what is secret.
 * @module
 */
import type { Command } from 'commander';
import type { Account, AccountReader } from '../../accounts/account.ts';
import { type CommonOptions, command, print, printJson, printTable, withStore } from '../command.ts';
import { isoTime } from '../time.ts';
import { ACCOUNT, findAccount } from './find.ts';

export function list(): Command {
  return command('list', 'list the accounts').action(showAll);
}

export function show(): Command {
  return command('show', 'show an account')
    .argument(...ACCOUNT)
    .action(showOne);
}

async function showAll(options: CommonOptions): Promise<void> {
  const accounts = await withStore(options, async ({ accounts }) => {
    const found = await accounts.list();
    return Promise.all(found.map((each) => describe(accounts, each)));
  });
  if (options.json) return printJson(accounts);
  printTable(
    ['ACCOUNT', 'STATUS', 'SECOND FACTOR', 'ROLES', 'E-MAIL', 'NAME'],
    accounts.map((each) => [
      each.account,
      each.status,
      each.secondFactor,
      each.roles.join(', '),
      each.email,
      `${each.firstName} ${each.lastName}`,
    ]),
  );
}

async function showOne(wanted: string, options: CommonOptions): Promise<void> {
  const shown = await withStore(options, async ({ accounts }) =>
    describe(accounts, await findAccount(accounts, wanted)),
  );
  if (options.json) return printJson(shown);
  for (const [name, value] of Object.entries(shown)) {
    print(`${name}: ${Array.isArray(value) ? value.join(', ') || '(none)' : (value ?? '(none)')}`);
  }
}

async function describe(accounts: Pick<AccountReader, 'secondFactor'>, account: Account) {
  const { id, consumer, firstName, lastName, email, emailConfirmedAt, roles, createdAt, disabledAt } =
    account;
  const factor = await accounts.secondFactor(id);
  return {
    account: id,
    status: disabledAt === undefined ? 'active' : 'disabled',
    firstName,
    lastName,
    email,
    emailConfirmedAt: emailConfirmedAt === undefined ? null : isoTime(emailConfirmedAt),
    roles,
    secondFactor: !factor ? 'none' : factor.confirmedAt === undefined ? 'enrolled' : 'confirmed',
    consumer: consumer ?? null,
    createdAt: isoTime(createdAt),
  };
}
