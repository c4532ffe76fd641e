/**
 * `countersign consumer add|list|show|disable`: who may call. A change is in force at once, while a gateway runs
 * on the data folder or not.
 * @module
 */
import { unlinkSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { epochSeconds, systemClock } from '../clock.ts';
import type { Consumer } from '../consumers/consumer.ts';
import { addConsumer, type IssuedKey } from '../consumers/registration.ts';
import { CountersignError } from '../errors.ts';
import { type CommonOptions, command, noun, print, printJson, printTable, withStore } from './command.ts';
import { describeKey } from './key.ts';

interface AddOptions extends CommonOptions {
  readonly role: string[];
  readonly out?: string;
}

export function consumer(): Command {
  return noun('consumer', 'who may call', [
    command('add', 'register a consumer and show its secret, once')
      .argument('<name>', 'lower-case letters, digits and hyphens')
      .option('--role <role>', 'a role that it holds; may stand several times', collect, [])
      .option('--out <file>', 'write a credentials file, and keep the secret off the terminal')
      .action(add),
    command('list', 'list the consumers').action(list),
    command('show', 'show a consumer and its keys').argument('<name>').action(show),
    command('disable', 'refuse a consumer from now on').argument('<name>').action(disable),
  ]);
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

async function add(name: string, options: AddOptions): Promise<void> {
  let written: string | undefined;
  const issued = await withStore(options, (store) =>
    store.commitGroup.run('add a consumer', async (tx) => {
      const made = await addConsumer(tx.consumers, store.vault, { name, roles: options.role }, now());
      // Before the commit: a file that can't be written leaves no consumer whose secret nobody has.
      if (options.out !== undefined) writeCredentials(options.out, made);
      written = options.out;
      return made;
    }),
  ).catch((error) => {
    if (written !== undefined) unlinkSync(written);
    throw error;
  });
  const { secret, ...open } = issued;
  if (options.out !== undefined) {
    if (options.json) printJson(open);
    else print(`Consumer ${name} added. Its credentials are in ${options.out}.`);
  } else if (options.json) printJson(issued);
  else {
    print(`Consumer ${name} added. This is the only time its secret is shown:\n`);
    print(`  keyid   ${issued.keyid}\n  secret  ${secret}\n  roles   ${issued.roles.join(', ') || '(none)'}`);
  }
}

function writeCredentials(file: string, { keyid, secret }: IssuedKey): void {
  try {
    writeFileSync(file, `${JSON.stringify({ keyid, secret }, null, 2)}\n`, {
      mode: 0o600,
      flag: 'wx',
      flush: true,
    });
  } catch (error) {
    const why =
      (error as NodeJS.ErrnoException).code === 'EEXIST' ? 'it exists already' : (error as Error).message;
    throw new CountersignError(
      'credentials-invalid',
      `${file} can't be written: ${why}. No consumer was added.`,
    );
  }
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
    const found = store.consumers.find(name);
    if (!found) {
      throw new CountersignError(
        'consumer-unknown',
        `There is no consumer "${name}"; see: countersign consumer list`,
      );
    }
    return { ...describe(found), keys: store.consumers.keysOf(name).map((key) => describeKey(key, now())) };
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
    store.commitGroup.run('disable a consumer', (tx) => tx.consumers.disable(name, now())),
  );
  if (options.json) printJson({ name, status: 'disabled' });
  else print(`Consumer ${name} is disabled; its calls are refused from now on.`);
}

function describe({ name, roles, createdAt, disabledAt }: Consumer) {
  return {
    name,
    status: disabledAt === undefined ? 'active' : 'disabled',
    roles,
    createdAt: new Date(createdAt * 1000).toISOString(),
  };
}

const now = () => epochSeconds(systemClock);
