/**
 * `countersign key list|add|rotate|revoke|rekey`: the keys that consumers sign with. A change is in force at once,
 * while a gateway runs on the data folder or not.
 * @module
 */
import { type Command, Option } from 'commander';
import { epochSeconds, systemClock } from '../clock.ts';
import type { Consumer, ConsumerKey, ConsumerReader, KeyUsage } from '../consumers/consumer.ts';
import { type DemoSuccessor, demoSuccessor } from '../consumers/demo.ts';
import { isUsedAfterRotation, keyStatus } from '../consumers/expiry.ts';
import { addKey, type Rotation, rotateKey } from '../consumers/registration.ts';
import { CountersignError } from '../errors.ts';
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
  draftOf,
  issueTo,
  type LimitOptions,
  type OutOptions,
  printIssued,
  recordedDraft,
  withLimits,
  withOut,
} from './issued-key.ts';
import { rekey } from './rekey.ts';
import { isoTime, parseDuration } from './time.ts';

type AddOptions = OutOptions & LimitOptions;

interface RotateOptions extends OutOptions {
  /** Seconds. */
  readonly overlap?: number;
  readonly label?: string;
}

export function key(): Command {
  return noun('key', 'the keys that consumers sign with', [
    command('list', 'list keys, of one consumer or of all').argument('[consumer]').action(list),
    withLimits(withOut(command('add', 'give a consumer one more key, and show its secret, once')))
      .argument('<consumer>')
      .action(add),
    withOut(command('rotate', 'make the successor of a key; the old one stays good for a while'))
      .argument('<consumer|keyid>')
      .addOption(overlap())
      .option('--label <text>', 'a new label; the old one is kept otherwise')
      .action(rotate),
    command('revoke', 'refuse a key from now on').argument('<keyid>').action(revoke),
    rekey(),
  ]);
}

function overlap(): Option {
  return new Option(
    '--overlap <duration>',
    'how long the old key stays good: 24h, or less where it ends before that',
  ).argParser(parseDuration);
}

async function list(consumer: string | undefined, options: CommonOptions): Promise<void> {
  const keys = await withStore(options, ({ consumers }) => {
    const names =
      consumer === undefined
        ? consumers.list().map(({ name }) => name)
        : [findConsumer(consumers, consumer).name];
    return names.flatMap((name) => describeKeys(consumers, name));
  });
  if (options.json) printJson(keys);
  else {
    printTable(
      [
        'KEYID',
        'CONSUMER',
        'STATUS',
        'NOT BEFORE',
        'NOT AFTER',
        'LAST USED',
        'LABEL',
        'ROLES',
        'ALLOW',
        'CERTIFICATE',
      ],
      keys.map((each) => [
        each.keyid,
        each.consumer,
        each.status,
        each.notBefore,
        each.notAfter,
        each.lastUsed ?? 'never',
        each.label ?? '-',
        each.roleSubset?.join(', ') ?? 'all',
        each.allow?.join(', ') ?? 'any',
        each.certificateUri ?? '-',
      ]),
    );
  }
}

async function add(name: string, options: AddOptions): Promise<void> {
  const draft = draftOf(options);
  const issued = await withStore(options, (store) =>
    issueTo(options, (keep) =>
      store.commitGroup.run('add a key', async (tx) => {
        const made = await addKey(tx.consumers, store.vault, findConsumer(tx.consumers, name), now(), draft);
        const detail = { consumer: name, ...recordedDraft(draft) };
        await tx.audit.append({ actor: 'cli', action: 'key.add', subject: made.keyid, detail });
        keep(made);
        return made;
      }),
    ),
  );
  printIssued(issued, `Key ${issued.keyid} added`, options);
}

async function rotate(which: string, options: RotateOptions): Promise<void> {
  const { data } = configOf(options);
  let demo: DemoSuccessor | undefined;
  const { rotated, stillInUse } = await withStore(options, async (store) => {
    const rotated = await issueTo<Rotation>(options, (keep) =>
      store.commitGroup.run('rotate a key', async (tx) => {
        const old = findRotatable(tx.consumers, which, now());
        const made = await rotateKey(tx.consumers, store.vault, old, now(), options);
        const { keyid, previousValidUntil } = made;
        const detail = { consumer: old.consumer.name, successor: keyid, previousValidUntil };
        await tx.audit.append({ actor: 'cli', action: 'key.rotate', subject: old.key.keyid, detail });
        if (old.key.keyid === store.demoKeyid()) {
          store.rememberDemo(keyid);
          demo = demoSuccessor(data, made);
        }
        keep(made);
        return made;
      }),
    ).catch((error) => {
      demo?.drop();
      throw error;
    });
    demo?.put();
    return { rotated, stillInUse: inUseAfterRotation(store.consumers) };
  });
  const until = isoTime(rotated.previousValidUntil);
  printIssued(rotated, `Key ${rotated.keyid} takes the old one's place`, options, {
    previousValidUntil: until,
    ...(demo && { demoFile: demo.file }),
    ...(stillInUse.length > 0 && { stillInUse }),
  });
  if (options.json) return;
  print(`\nThe old key is good until ${until}.`);
  if (demo) print(`${demo.file} holds the new key: the demo consumer's calls go on with it.`);
  for (const { keyid, consumer, lastUsed, validUntil } of stillInUse) {
    print(`${consumer} still uses its old key ${keyid}: last at ${lastUsed}, and it ends at ${validUntil}.`);
  }
}

async function revoke(keyid: string, options: CommonOptions): Promise<void> {
  await withStore(options, (store) =>
    store.commitGroup.run('revoke a key', async (tx) => {
      await tx.consumers.revokeKey(keyid, now());
      await tx.audit.append({ actor: 'cli', action: 'key.revoke', subject: keyid });
    }),
  );
  if (options.json) printJson({ keyid, status: 'revoked' });
  else print(`Key ${keyid} is revoked; what it signs is refused from now on.`);
}

/** `consumer-unknown` where there is none. */
export function findConsumer(consumers: ConsumerReader, name: string): Consumer {
  const found = consumers.find(name);
  if (found) return found;
  throw new CountersignError(
    'consumer-unknown',
    `There is no consumer "${name}"; see: countersign consumer list`,
  );
}

/** The key of that name, or the one that a consumer signs with; `conflict` where it isn't clear which. */
function findRotatable(
  consumers: ConsumerReader,
  which: string,
  at: number,
): { consumer: Consumer; key: ConsumerKey } {
  const named = consumers.findKey(which);
  if (named) return named;
  const consumer = findConsumer(consumers, which);
  const good = consumers.keysOf(which).filter((each) => ['active', 'expiring'].includes(keyStatus(each, at)));
  const [only] = good;
  if (only && good.length === 1) return { consumer, key: only };
  const detail = only
    ? `${which} has several keys that could be rotated; name one: ${good.map(({ keyid }) => keyid).join(', ')}`
    : `${which} has no key that could be rotated; make a new one: countersign key add ${which}`;
  throw new CountersignError('conflict', `${detail}.`);
}

/** Who hasn't taken a successor's secret yet, of all consumers. */
function inUseAfterRotation(consumers: ConsumerReader) {
  return consumers
    .standingKeys(now())
    .filter(isUsedAfterRotation)
    .map(({ keyid, consumer, lastUsed = 0, notAfter }) => ({
      keyid,
      consumer,
      lastUsed: isoTime(lastUsed),
      validUntil: isoTime(notAfter),
    }));
}

/** A consumer's keys, the revoked ones too. */
export function describeKeys(consumers: ConsumerReader, name: string) {
  return consumers.keysOf(name).map((each) => describeKey(each, consumers.usageOf(each.keyid)));
}

function describeKey(each: ConsumerKey, usage: KeyUsage | undefined) {
  return {
    keyid: each.keyid,
    consumer: each.consumer,
    label: each.label ?? null,
    status: keyStatus(each, now()),
    notBefore: isoTime(each.notBefore),
    notAfter: isoTime(each.notAfter),
    lastUsed: usage ? isoTime(usage.lastUsed) : null,
    calls: usage?.calls ?? 0,
    roleSubset: each.roleSubset ?? null,
    allow: each.allow ?? null,
    certificateUri: each.certificateUri ?? null,
    successor: each.successor ?? null,
  };
}

const now = () => epochSeconds(systemClock);
