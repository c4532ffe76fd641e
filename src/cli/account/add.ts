/**
 * `countersign account add`: makes an account, and asks on the terminal for what is not given.
 * @module
 */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { Passwords } from '../../accounts/password.ts';
import { passwordPolicy } from '../../accounts/password-policy.ts';
import { type PersonDraft, personFaults } from '../../accounts/person.ts';
import { type DrawnAccount, drawAccount, putAccount } from '../../accounts/registration.ts';
import { drawEnrolment, type Enrolment, enrol, requiresSecondFactor } from '../../accounts/second-factor.ts';
import { epochSeconds, systemClock } from '../../clock.ts';
import { type Fault, handedOutFaults } from '../../consumers/consumer.ts';
import { CountersignError } from '../../errors.ts';
import { type CommonOptions, command, configOf, print, printJson, withStore } from '../command.ts';
import { Dialogue } from '../dialogue.ts';
import { collect } from '../issued-key.ts';
import { printEnrolment } from './second-factor.ts';

interface AddOptions extends CommonOptions {
  readonly role?: string[];
  readonly firstName?: string;
  readonly lastName?: string;
  readonly email?: string;
  readonly passwordFile?: string;
  readonly totp?: true;
}

export function add(): Command {
  return command('add', 'make an account; asks for what is not given')
    .option('--role <role>', 'a role that it has; may stand several times', collect)
    .option('--first-name <name>', 'first name')
    .option('--last-name <name>', 'last name')
    .option('--email <address>', 'e-mail address, by which it logs in')
    .option('--password-file <file>', 'its first line is the password; - for standard input')
    .option('--totp', 'enrol a second factor now; operator and the roles below it always get one')
    .action(make);
}

async function make(options: AddOptions): Promise<void> {
  const { password, ...person } = await checkedDraft(options);
  const passwordHash = await new Passwords().hash(password);
  const made = drawAccount({ ...person, passwordHash, roles: options.role ?? [] }, epochSeconds(systemClock));
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
  const roleFaults = handedOutFaults(options.role ?? [], configOf(options).roles);
  const faults = [...personFaults(draft, await passwordPolicy()), ...roleFaults];
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
  const options = ['--first-name', '--last-name', '--email', '--password-file'];
  const missing = options.filter((_, i) => given[i] === undefined);
  const dialogue = Dialogue.on(`give ${missing.join(', ')}`, 'account-invalid');
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
