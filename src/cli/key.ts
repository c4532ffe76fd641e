/**
 * `countersign key list|revoke`: the keys that consumers sign with.
 * @module
 */
import type { Command } from 'commander';
import { epochSeconds, systemClock } from '../clock.ts';
import type { ConsumerKey } from '../consumers/consumer.ts';
import { CountersignError } from '../errors.ts';
import { type CommonOptions, command, noun, print, printJson, printTable, withStore } from './command.ts';

export function key(): Command {
  return noun('key', 'the keys that consumers sign with', [
    command('list', 'list keys, of one consumer or of all').argument('[consumer]').action(list),
    command('revoke', 'refuse a key from now on').argument('<keyid>').action(revoke),
  ]);
}

async function list(consumer: string | undefined, options: CommonOptions): Promise<void> {
  const now = epochSeconds(systemClock);
  const keys = await withStore(options, (store) => {
    if (consumer !== undefined && !store.consumers.find(consumer)) {
      throw new CountersignError(
        'consumer-unknown',
        `There is no consumer "${consumer}"; see: countersign consumer list`,
      );
    }
    const names = consumer === undefined ? store.consumers.list().map(({ name }) => name) : [consumer];
    return names.flatMap((name) => store.consumers.keysOf(name)).map((each) => describeKey(each, now));
  });
  if (options.json) printJson(keys);
  else {
    printTable(
      ['KEYID', 'CONSUMER', 'STATUS', 'NOT AFTER'],
      keys.map((each) => [each.keyid, each.consumer, each.status, each.notAfter]),
    );
  }
}

async function revoke(keyid: string, options: CommonOptions): Promise<void> {
  await withStore(options, (store) =>
    store.commitGroup.run('revoke a key', (tx) => tx.consumers.revokeKey(keyid, epochSeconds(systemClock))),
  );
  if (options.json) printJson({ keyid, status: 'revoked' });
  else print(`Key ${keyid} is revoked; what it signs is refused from now on.`);
}

export function describeKey({ keyid, consumer, notBefore, notAfter, revokedAt }: ConsumerKey, now: number) {
  return {
    keyid,
    consumer,
    status: statusOf({ notBefore, notAfter, revoked: revokedAt !== undefined }, now),
    notBefore: isoTime(notBefore),
    notAfter: isoTime(notAfter),
  };
}

function statusOf(key: { notBefore: number; notAfter: number; revoked: boolean }, now: number): string {
  if (key.revoked) return 'revoked';
  if (now < key.notBefore) return 'not yet valid';
  return now < key.notAfter ? 'active' : 'expired';
}

function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
