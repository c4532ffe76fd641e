/**
 * `countersign ca run`: the issuer that stays, and makes a pass every six hours. SIGHUP asks for a pass at once; SIGTERM
 * and SIGINT end it after the pass that is under way.
 * @module
 */
import { once } from 'node:events';
import { type Command, InvalidArgumentError } from 'commander';
import { systemClock } from '../../clock.ts';
import { openAuthority } from '../../issuer/authority.ts';
import { colonText } from '../../issuer/fingerprint.ts';
import { refuseMissing } from '../../issuer/inbox.ts';
import { Lock, watchLockOf } from '../../issuer/lock.ts';
import { lastPassOf } from '../../issuer/pass.ts';
import { DEFAULT_SCHEDULE, Schedule } from '../../issuer/schedule.ts';
import { PassWatch } from '../../issuer/watch.ts';
import { command, print, reportError } from '../command.ts';
import { onHangUp } from '../hang-up.ts';
import {
  ACCEPT_CLOCK,
  jsonOf,
  lapsingRequesters,
  makePass,
  type PassOptions,
  printEnd,
  withFolders,
} from './pass.ts';
import { readPassphrase, withPassphrase } from './passphrase.ts';

interface RunOptions extends PassOptions {
  readonly schedule?: Schedule;
}

export function run(): Command {
  return withPassphrase(
    withFolders(command('run', 'stay, and answer requests on a schedule; SIGHUP asks for a pass at once')),
  )
    .option(
      '--schedule <cron>',
      `five fields of a cron line, in the box's time zone (${DEFAULT_SCHEDULE}); a missed run is made up for`,
      parseSchedule,
    )
    .option(...ACCEPT_CLOCK)
    .action(stay);
}

function parseSchedule(text: string): Schedule {
  try {
    return new Schedule(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

async function stay(options: RunOptions): Promise<void> {
  const { schedule = new Schedule(DEFAULT_SCHEDULE) } = options;
  refuseMissing(options.inbox, 'inbox');
  refuseMissing(options.outbox, 'outbox');
  const passphrase = await readPassphrase(options);
  const { fingerprint } = openAuthority(options.dir, passphrase);
  const lock = await Lock.acquire(watchLockOf(options.dir));
  try {
    const last = lastPassOf(options.dir);
    // Once: what the operator has looked at is the clock as it stands now.
    let acceptClock = options.acceptClock ?? false;
    const watch = new PassWatch({
      schedule,
      clock: systemClock,
      lastPass: last && last.started * 1000,
      onFailure: (error) => reportError(error, options.json ?? false),
      async pass() {
        const began = systemClock.now();
        if (!options.json) print(`${new Date(began).toISOString()} a pass begins`);
        // Opened for each pass: `ca rotate` may have put another root there.
        const authority = openAuthority(options.dir, passphrase);
        const report = await makePass(authority, { ...options, acceptClock }, schedule.pattern);
        acceptClock = false;
        const lapsing = lapsingRequesters(options.dir);
        const nextPass = new Date(schedule.next(began)).toISOString();
        if (options.json) {
          const line = { began: new Date(began).toISOString(), ...jsonOf(report), lapsing, nextPass };
          print(JSON.stringify(line));
          return;
        }
        printEnd(report, lapsing);
        print(`next pass: ${nextPass}`);
      },
    });
    const ended = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
    onHangUp(() => void watch.passNow());
    if (!options.json) {
      print(
        `The issuer ${colonText(fingerprint)} watches ${options.inbox}, on the schedule "${schedule.pattern}".`,
      );
    }
    watch.start();
    await ended;
    await watch.stop();
  } finally {
    lock.release();
  }
}
