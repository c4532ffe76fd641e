/**
 * `countersign consumer add|list|show|disable|enable`: who may call. A change is in force at once, while a gateway runs
 * on the data folder or not.
 * @module
 */
import type { Command } from 'commander';
import { epochSeconds, systemClock } from '../clock.ts';
import type { Consumer } from '../consumers/consumer.ts';
import { addConsumer } from '../consumers/registration.ts';
import { CountersignError } from '../errors.ts';
import type { Transaction } from '../storage/unit-of-work.ts';
import {
  type CommonOptions,
  command,
  configOf,
  noun,
  print,
  printJson,
  printTable,
  withStore,
} from './command.ts';
import {
  collect,
  draftOf,
  issueTo,
  type LimitOptions,
  type OutOptions,
  printIssued,
  recordedDraft,
  withLimits,
  withOut,
} from './issued-key.ts';
import { describeKeys, findConsumer } from './key.ts';
import { isoTime } from './time.ts';

interface AddOptions extends OutOptions, LimitOptions {
  readonly role?: string[];
}

export function consumer(): Command {
  return noun('consumer', 'who may call', [
    withLimits(withOut(command('add', 'register a consumer and show its secret, once')))
      .argument('<name>', 'lower-case letters, digits and hyphens')
      .option('--role <role>', 'a role that it holds; may stand several times', collect)
      .action(add),
    command('list', 'list the consumers').action(list),
    command('show', 'show a consumer and its keys').argument('<name>').action(show),
    command('disable', 'refuse a consumer from now on').argument('<name>').action(disable),
    command('enable', 'accept a disabled consumer again').argument('<name>').action(enable),
  ]);
}

async function add(name: string, options: AddOptions): Promise<void> {
  const [roles, draft] = [options.role ?? [], draftOf(options)];
  const { roles: listed } = configOf(options);
  const issued = await withStore(options, (store) =>
    issueTo(options, (keep) =>
      store.commitGroup.run('add a consumer', async (tx) => {
        const made = await addConsumer(tx.consumers, store.vault, { name, roles, listed }, now(), draft);
        const detail = { roles, keyid: made.keyid, ...recordedDraft(draft) };
        await tx.audit.append({ actor: 'cli', action: 'consumer.add', subject: name, detail });
        keep(made);
        return made;
      }),
    ),
  );
  printIssued(issued, `Consumer ${name} added`, options);
}

async function list(options: CommonOptions): Promise<void> {
  const consumers = await withStore(options, (store) => store.consumers.list().map(describe));
  if (options.json) printJson(consumers);
  else
    printTable(
      ['NAME', 'STATUS', 'ROLES'],
      consumers.map((each) => [each.name, each.status, each.roles.join(', ')]),
    );
}

async function show(name: string, options: CommonOptions): Promise<void> {
  const shown = await withStore(options, (store) => {
    const found = findConsumer(store.consumers, name);
    return { ...describe(found), keys: describeKeys(store.consumers, name) };
  });
  if (options.json) return printJson(shown);
  print(
    `${shown.name}  ${shown.status}, roles: ${shown.roles.join(', ') || '(none)'}, since ${shown.createdAt}`,
  );
  printTable(
    ['KEYID', 'STATUS', 'NOT AFTER'],
    shown.keys.map((each) => [each.keyid, each.status, each.notAfter]),
  );
}

async function disable(name: string, options: CommonOptions): Promise<void> {
  await withStore(options, (store) =>
    store.commitGroup.run('disable a consumer', async (tx) => {
      await refusePersons(tx, name, 'disable');
      await tx.consumers.disable(name, now());
      await tx.audit.append({ actor: 'cli', action: 'consumer.disable', subject: name });
    }),
  );
  if (options.json) printJson({ name, status: 'disabled' });
  else print(`Consumer ${name} is disabled; its calls are refused from now on.`);
}

async function enable(name: string, options: CommonOptions): Promise<void> {
  await withStore(options, (store) =>
    store.commitGroup.run('enable a consumer', async (tx) => {
      await refusePersons(tx, name, 'enable');
      await tx.consumers.update(name, { disabledAt: null });
      await tx.audit.append({ actor: 'cli', action: 'consumer.enable', subject: name });
    }),
  );
  if (options.json) printJson({ name, status: 'active' });
  else print(`Consumer ${name} is accepted again, with the keys that are still good.`);
}

/** The keys of a person whose account is disabled must not come to life behind its back. */
async function refusePersons({ accounts }: Transaction, name: string, verb: string): Promise<void> {
  const account = await accounts.findByConsumer(name);
  if (!account) return;
  throw new CountersignError(
    'conflict',
    `This consumer is a person's own; see to their account instead: countersign account ${verb} ${account.id}`,
  );
}

function describe({ name, roles, createdAt, disabledAt }: Consumer) {
  return {
    name,
    status: disabledAt === undefined ? 'active' : 'disabled',
    roles,
    createdAt: isoTime(createdAt),
  };
}

const now = () => epochSeconds(systemClock);
