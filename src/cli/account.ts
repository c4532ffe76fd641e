/**
 * `countersign account add|list|show|totp|disable|enable|remove`: people's accounts. A change is in force at once, while a gateway
 * runs on the data folder or not.
 * @module
 */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { renderUnicodeCompact } from 'uqr';
import type { Account, AccountReader } from '../accounts/account.ts';
import { eraseAccount } from '../accounts/erasure.ts';
import { Passwords } from '../accounts/password.ts';
import { passwordPolicy } from '../accounts/password-policy.ts';
import { type PersonDraft, personFaults } from '../accounts/person.ts';
import { type DrawnAccount, drawAccount, putAccount } from '../accounts/registration.ts';
import { drawEnrolment, type Enrolment, enrol, requiresSecondFactor } from '../accounts/second-factor.ts';
import { Tickets } from '../accounts/ticket.ts';
import { epochSeconds, systemClock } from '../clock.ts';
import { type Fault, roleFaults } from '../consumers/consumer.ts';
import { CountersignError } from '../errors.ts';
import type { SqliteStore } from '../storage/sqlite/store.ts';
import { type CommonOptions, command, noun, print, printJson, printTable, withStore } from './command.ts';
import { Dialogue } from './dialogue.ts';
import { collect } from './issued-key.ts';
import { isoTime } from './time.ts';

interface AddOptions extends CommonOptions {
  readonly role: string[];
  readonly firstName?: string;
  readonly lastName?: string;
  readonly email?: string;
  readonly passwordFile?: string;
  readonly totp?: true;
}

export function account(): Command {
  return noun('account', "people's accounts", [
    command('add', 'make an account; asks for what is not given')
      .option('--role <role>', 'a role that it has; may stand several times', collect, [])
      .option('--first-name <name>', 'first name')
      .option('--last-name <name>', 'last name')
      .option('--email <address>', 'e-mail address, by which it logs in')
      .option('--password-file <file>', 'its first line is the password; - for standard input')
      .option('--totp', 'enrol a second factor now; operator and the roles below it always get one')
      .action(add),
    command('list', 'list the accounts').action(list),
    command('show', 'show an account').argument('<account>', 'its id, or its e-mail address').action(show),
    command('totp', 'hand over a new second factor, in the place of any other')
      .argument('<account>', 'its id, or its e-mail address')
      .action(handOver),
    command('disable', 'refuse an account, its tokens and its keys from now on')
      .argument('<account>', 'its id, or its e-mail address')
      .action(disable),
    command('enable', 'accept a disabled account again')
      .argument('<account>', 'its id, or its e-mail address')
      .action(enable),
    command('remove', 'erase an account, with everything that is kept about the person')
      .argument('<account>', 'its id, or its e-mail address')
      .action(remove),
  ]);
}

async function add(options: AddOptions): Promise<void> {
  const { password, ...person } = await checkedDraft(options);
  const passwordHash = await new Passwords().hash(password);
  const made = drawAccount({ ...person, passwordHash, roles: options.role }, now());
  const drawn = options.totp || requiresSecondFactor(made) ? drawEnrolment(made.email) : undefined;
  await withStore(options, (store) =>
    store.commitGroup.run('add an account', async (tx) => {
      await putAccount(tx, made);
      if (drawn) await enrol(tx.accounts, store.vault, made.id, drawn, true);
      const { id, roles } = made;
      await tx.audit.append({ actor: 'cli', action: 'account.add', subject: id, detail: { roles } });
    }),
  );
  printMade(made, drawn, options);
}

/** What was given and answered; `account-invalid` names every fault. */
async function checkedDraft(options: AddOptions): Promise<PersonDraft> {
  const draft = await readDraft(options);
  const faults = [...personFaults(draft, await passwordPolicy()), ...roleFaults('roles', options.role)];
  if (faults.length > 0) throw refusal(faults);
  return draft;
}

async function readDraft({ firstName, lastName, email, passwordFile }: AddOptions): Promise<PersonDraft> {
  const fromFile = passwordFile === undefined ? undefined : readPassword(passwordFile);
  const given = [firstName, lastName, email, fromFile];
  if (given.every((each) => each !== undefined)) {
    const [first, last, address, password] = given as [string, string, string, string];
    return { firstName: first, lastName: last, email: address, password };
  }
  const dialogue = Dialogue.on('give --first-name, --last-name, --email and --password-file');
  try {
    return {
      firstName: firstName ?? (await dialogue.ask('First name: ')),
      lastName: lastName ?? (await dialogue.ask('Last name: ')),
      email: email ?? (await dialogue.ask('E-mail address: ')),
      password: fromFile ?? (await askPassword(dialogue)),
    };
  } finally {
    dialogue.close();
  }
}

async function askPassword(dialogue: Dialogue): Promise<string> {
  const password = await dialogue.askSecret('Password (8 characters or more): ');
  if ((await dialogue.askSecret('The same again: ')) === password) return password;
  throw new CountersignError('account-invalid', 'The two passwords differ. Nothing was made.');
}

/** Never from an argument, which every process can read. */
function readPassword(file: string): string {
  try {
    const [line = ''] = readFileSync(file === '-' ? 0 : file, 'utf8').split('\n', 1);
    return line.replace(/\r$/, '');
  } catch (error) {
    throw new CountersignError(
      'account-invalid',
      `The password can't be read from ${file}: ${(error as Error).message}. Nothing was made.`,
    );
  }
}

function refusal(faults: readonly Fault[]): CountersignError {
  const told = faults.map(({ path, detail }) => `${path}: ${detail}`).join('; ');
  return new CountersignError('account-invalid', `Not an account: ${told}.`, { members: { errors: faults } });
}

function printMade(
  { id, consumer, email, roles }: DrawnAccount,
  enrolment: Enrolment | undefined,
  { json }: CommonOptions,
): void {
  const { uri, recoveryCodes } = enrolment ?? {};
  if (json) {
    printJson({ account: id, consumer, email, roles, ...(uri && { totp: { uri, recoveryCodes } }) });
    return;
  }
  print(`Account ${id} added. It logs in as ${email}: POST /v1/login.`);
  print(`A key for its programs: countersign key add ${consumer}`);
  if (enrolment) printEnrolment(enrolment);
}

function printEnrolment({ uri, recoveryCodes }: Enrolment): void {
  print('\nThis is the only time its second factor is shown. Let an authenticator app read it:\n');
  print(renderUnicodeCompact(uri));
  print(`\n${uri}\n\nEach of these stands in for a code once, when the telephone is gone:\n`);
  for (const code of recoveryCodes) print(`  ${code}`);
}

/** For who has lost the telephone, or was given a role that asks for a code. */
async function handOver(wanted: string, options: CommonOptions): Promise<void> {
  const { id, drawn } = await withStore(options, (store) =>
    store.commitGroup.run('hand over a second factor', async ({ accounts, audit }) => {
      const { id, email } = await findAccount(accounts, wanted);
      const drawn = drawEnrolment(email);
      await enrol(accounts, store.vault, id, drawn, true);
      await accounts.raiseGeneration(id);
      await accounts.refreshTokens.endAll(id);
      await accounts.sessions.endAll(id);
      await audit.append({ actor: 'cli', action: 'account.hand-over-second-factor', subject: id });
      return { id, drawn };
    }),
  );
  const { uri, recoveryCodes } = drawn;
  if (options.json) return printJson({ account: id, totp: { uri, recoveryCodes } });
  print(`Account ${id} has another second factor, and has to log in again.`);
  printEnrolment(drawn);
}

async function list(options: CommonOptions): Promise<void> {
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

async function show(wanted: string, options: CommonOptions): Promise<void> {
  const shown = await withStore(options, async ({ accounts }) =>
    describe(accounts, await findAccount(accounts, wanted)),
  );
  if (options.json) return printJson(shown);
  for (const [name, value] of Object.entries(shown)) {
    print(`${name}: ${Array.isArray(value) ? value.join(', ') || '(none)' : (value ?? '(none)')}`);
  }
}

async function disable(wanted: string, options: CommonOptions): Promise<void> {
  const id = await withStore(options, async (store) => {
    return store.commitGroup.run('disable an account', async ({ accounts, consumers, audit }) => {
      const { id, consumer, disabledAt = now() } = await findAccount(accounts, wanted);
      await accounts.update(id, { disabledAt });
      await accounts.raiseGeneration(id);
      await accounts.refreshTokens.endAll(id);
      await accounts.sessions.endAll(id);
      if (consumer !== undefined) await consumers.disable(consumer, disabledAt);
      await audit.append({ actor: 'cli', action: 'account.disable', subject: id });
      return id;
    });
  });
  if (options.json) printJson({ account: id, status: 'disabled' });
  else print(`Account ${id} is disabled; its logins, tokens and keys are refused from now on.`);
}

/** As an operator's PATCH does it: what was ended stays so. */
async function enable(wanted: string, options: CommonOptions): Promise<void> {
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

async function remove(wanted: string, options: CommonOptions): Promise<void> {
  const { id, emptied } = await withStore(options, (store) => erase(store, wanted));
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

/** @throws account-unknown */
async function findAccount(
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

const now = () => epochSeconds(systemClock);
