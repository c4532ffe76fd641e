/**
 * `countersign account`: people's accounts; `account/verbs.ts` lists the verbs. A change is in force at once, while a
 * gateway runs on the data folder or not.
 * @module
 */
import type { Command } from 'commander';
import { noun } from './command.ts';

/** As in `countersign account …` and `countersign help account`: the libraries of passwords and codes take 150 ms to load. */
const isAsked = process.argv.slice(2, 4).includes('account');
const verbs = isAsked ? (await import('./account/verbs.ts')).verbs() : [];

export function account(): Command {
  return noun('account', "people's accounts", verbs);
}
