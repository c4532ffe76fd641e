/**
 * `countersign ca`: the offline issuer and its root; `ca/` has one file a verb, and `ca/verbs.ts` lists them.
 * @module
 */
import type { Command } from 'commander';
import { noun } from './command.ts';

/** As in `countersign ca …` and `countersign help ca`: the issuer's libraries take longer to load than most commands run. */
const isAsked = process.argv.slice(2, 4).includes('ca');
const verbs = isAsked ? (await import('./ca/verbs.ts')).verbs() : [];

export function ca(): Command {
  return noun('ca', 'the offline root and its 12-hour certificates', verbs);
}
