/**
 * Passes over the inbox, as `ca issue --once` and `ca run` make them: their options, and how they tell what they did.
 * @module
 */
import type { Command } from 'commander';
import { epochSeconds, systemClock } from '../../clock.ts';
import { type Authority, openAuthority } from '../../issuer/authority.ts';
import { Lock, watchLockOf } from '../../issuer/lock.ts';
import type { Outcome, PassReport } from '../../issuer/outcome.ts';
import { runPass } from '../../issuer/pass.ts';
import { findRequester, type Requester, requesterNames } from '../../issuer/requesters.ts';
import { type CommonOptions, print, printJson, progressOf, REFUSED } from '../command.ts';
import { isoTime } from '../time.ts';
import { type PassphraseOptions, readPassphrase } from './passphrase.ts';

/** Seconds before an approval lapses from which each pass says so. */
const LAPSING = 7 * 24 * 3600;

export interface PassOptions extends CommonOptions, PassphraseOptions {
  readonly dir: string;
  readonly inbox: string;
  readonly outbox: string;
  readonly acceptClock?: boolean;
}

export const ACCEPT_CLOCK = [
  '--accept-clock',
  'go on though the clock stands more than 24 h after the newest row of the ledger',
] as const;

/** The options that a pass has beside those of every command and the passphrase's. */
export function withFolders(command: Command): Command {
  return command
    .requiredOption('--dir <folder>', "the issuer's folder")
    .requiredOption('--inbox <folder>', 'where requests lie: ID.csr, ID.json, ID.sig')
    .requiredOption('--outbox <folder>', 'where chains are put: ID.pem');
}

/** One pass: exit 0 where every request was decided, 1 where one must wait for the next pass. */
export async function issueOnce(options: PassOptions): Promise<void> {
  const authority = openAuthority(options.dir, await readPassphrase(options));
  const lock = await Lock.acquire(watchLockOf(options.dir));
  try {
    const report = await makePass(authority, options);
    const lapsing = lapsingRequesters(options.dir);
    if (options.json) printJson({ ...jsonOf(report), lapsing });
    else printEnd(report, lapsing);
    if (report.outcomes.some(({ outcome }) => outcome === 'postponed')) process.exitCode = REFUSED;
  } finally {
    lock.release();
  }
}

/**
 * A pass that tells people of each request as it is decided.
 * @param schedule the cron line of `ca run`; what runs `ca issue --once` is known to nobody here.
 */
export function makePass(authority: Authority, options: PassOptions, schedule?: string): Promise<PassReport> {
  const { inbox, outbox, acceptClock, json } = options;
  return runPass({
    authority,
    inbox,
    outbox,
    clock: systemClock,
    acceptClock,
    schedule,
    ...(!json && { onOutcome: printOutcome, onProgress: progressOf() }),
  });
}

/** What a pass did, for programs. */
export function jsonOf({ outcomes, partial }: PassReport) {
  const of = (wanted: Outcome['outcome']) =>
    outcomes.filter(({ outcome }) => outcome === wanted).map(({ outcome, ...rest }) => withIsoTime(rest));
  return { issued: of('issued'), rejected: of('rejected'), postponed: of('postponed'), partial };
}

function withIsoTime<T extends object>(outcome: T) {
  return 'notAfter' in outcome ? { ...outcome, notAfter: isoTime(Number(outcome.notAfter)) } : outcome;
}

export function printEnd({ outcomes, partial }: PassReport, lapsing: readonly Lapsing[]): void {
  const count = (wanted: Outcome['outcome']) => outcomes.filter(({ outcome }) => outcome === wanted).length;
  print(`${count('issued')} issued, ${count('rejected')} rejected, ${count('postponed')} postponed.`);
  if (partial.length > 0) print(`Not whole yet: ${partial.join(', ')}.`);
  for (const { requester, lapses } of lapsing) {
    warn(`The approval of ${requester} lapses at ${lapses}; renew it: countersign ca enrol ${requester}`);
  }
}

function printOutcome(outcome: Outcome): void {
  if (outcome.outcome === 'issued') {
    const { id, requester, names, serial, notAfter } = outcome;
    print(`issued ${id} for ${requester}: ${names.join(', ')}, serial ${serial}, until ${isoTime(notAfter)}`);
  } else if (outcome.outcome === 'rejected') {
    warn(
      `REJECTED ${outcome.id}${outcome.requester ? ` of ${outcome.requester}` : ''}: ${plain(outcome.detail)}`,
    );
  } else warn(`postponed ${plain(outcome.id)}: ${plain(outcome.detail)}`);
}

export interface Lapsing {
  readonly requester: string;
  /** ISO 8601. */
  readonly lapses: string;
}

/** Whose approval lapses within a week, or has lapsed. */
export function lapsingRequesters(dir: string): Lapsing[] {
  const soon = epochSeconds(systemClock) + LAPSING;
  return requesterNames(dir)
    .flatMap((name) => readable(dir, name))
    .filter(({ lapses }) => lapses < soon)
    .map(({ name, lapses }) => ({ requester: name, lapses: isoTime(lapses) }));
}

/** None where the record is damaged: a request of theirs tells so. */
function readable(dir: string, name: string): Requester[] {
  try {
    return [findRequester(dir, name)];
  } catch {
    return [];
  }
}

/** On standard error, which system cron and systemd show the operator. */
export function warn(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** What a stranger wrote may hold what moves a terminal. */
export function plain(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}
